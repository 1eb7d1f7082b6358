"""Which cases a stage was trained on. A case table may be split anew later; what was trained on judges no model.

    stage1-segmentation/used_cases.json   {"trained": [names], "held_out": [names]}
"""

from __future__ import annotations

import json
from pathlib import Path

from uvlm_core.errors import RecipeError
from uvlm_core.training.prepare import GridCase

USED_CASES = "used_cases.json"
SHOWN = 3


def used_cases(stage: Path, trained: list[GridCase], held_out: list[GridCase]) -> dict[str, list[str]]:
    """What the file in the folder of a stage is to say: also what it was trained on before it was resumed."""
    return {"trained": sorted({*_trained_on(stage / USED_CASES), *(case.name for case in trained)}),
            "held_out": sorted(case.name for case in held_out)}


def refuse_trained(run: Path, held_out: list[GridCase]) -> None:
    """Runs of earlier versions, which have no such file, are let through.

    Raises:
        RecipeError: a stage of the run was trained on cases that are held out now.
    """
    names = {case.name for case in held_out}
    for path in sorted(run.glob(f"stage*/{USED_CASES}")):
        if both := sorted(names & _trained_on(path)):
            more = f" and {len(both) - SHOWN} more" if len(both) > SHOWN else ""
            raise RecipeError(f"Held out are {', '.join(both[:SHOWN])}{more}, which this run was trained on: they "
                              "cannot show whether it got better. Their table was split anew since. Give them the "
                              f"split or fold again that they had ({path} tells it), or train in a new run folder.")


def _trained_on(path: Path) -> set[str]:
    if not path.exists() or not any(path.parent.glob("*.safetensors")):  # without weights no step was made
        return set()
    try:
        return set(json.loads(path.read_text("utf-8"))["trained"])
    except (ValueError, KeyError, TypeError) as error:
        raise RecipeError(f"{path} is damaged ({error}), so nothing tells what the stage was trained on. Train it "
                          "again in a new run folder.") from error
