"""Recipes for the panel: those of UVLM and files; the run's own recipe is one of them with the chosen cases."""

import json
import os

from slicer.i18n import tr as _

from UVLMTrainLib.RunChild import writeJson

NO_START = "none"
PREFERRED = ("finetune-corrections", "base")


class RecipeTrouble(Exception):
    """A recipe that cannot be read; str() says why."""


def names():
    """Names of the recipes that come with UVLM and train on phantoms and the cases of step Data, fine-tuning first.

    `demo` is not among them: it needs the three real scans that it was made with.
    """
    from uvlm_core.resources import resource

    found = sorted(path.stem for path in resource("Recipes").glob("*.json")
                   if {source["kind"] for source in read(path.stem)["data"]} <= {"phantoms", "table"})
    return sorted(found, key=lambda name: PREFERRED.index(name) if name in PREFERRED else len(PREFERRED))


def read(nameOrPath):
    """A recipe as plain values; whether they are right in detail is for the core to say.

    Raises:
        RecipeTrouble: no such file, or no recipe in it.
    """
    from uvlm_core.resources import resource

    try:
        path = nameOrPath if nameOrPath.endswith(".json") else resource("Recipes", f"{nameOrPath}.json")
        with open(path, encoding="utf-8") as file:
            recipe = json.load(file)
    except (OSError, ValueError) as error:
        raise RecipeTrouble(_("'{name}' is not a recipe: {error}").format(name=nameOrPath, error=error)) from error
    lists = [recipe.get(name) for name in ("stages", "data")] if isinstance(recipe, dict) else [None]
    if not all(isinstance(rows, list) and rows and all(isinstance(row, dict) and row.get("kind") for row in rows)
               for rows in lists):
        raise RecipeTrouble(_("'{name}' is not a recipe: it needs lists of 'data' and 'stages', each with a 'kind'.")
                            .format(name=nameOrPath))
    return recipe


def planned(recipe, table, start, mapping="", store=""):
    """The recipe with the table of step Data in the place of its own tables.

    Args:
        table: absolute path of cases.csv, "" to leave its tables as they are.
        mapping, store: absolute paths of the table's mapping file and of its prepared cases, "" for none.
        start: folder of a bundle or "demo"; NO_START for random weights; "" for what the recipe says.

    Returns:
        (recipe, whether it has a table at all).
    """
    made = json.loads(json.dumps(recipe))
    tables = [source for source in made["data"] if source["kind"] == "table"]
    for source in tables:
        if table:
            source["path"] = table
            for name, path in (("mapping", mapping), ("store", store)):
                source.pop(name, None)  # of the recipe's own table
                source.update({name: path} if path else {})
    if start == NO_START:
        made.pop("bundle", None)
    elif start:
        made["bundle"] = start
    return made, bool(tables)


def write(recipe, path):
    """Writes a recipe file; folders are made. Raises RecipeTrouble."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        writeJson(path, recipe)
    except OSError as error:
        raise RecipeTrouble(_("'{path}' cannot be written: {reason}. Choose another folder.").format(
            path=path, reason=error.strerror)) from error
