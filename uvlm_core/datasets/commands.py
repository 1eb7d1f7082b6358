"""The `uvlm dataset` commands: parse, call, print."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from uvlm_core.errors import CaseError
from uvlm_core.stopping import stoppable

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None,
                  help="Import, check, split and prepare data sets for training.")

Folder = Annotated[Path, typer.Argument(help="Folder of the data set as it was distributed.")]
Table = Annotated[Path, typer.Argument(help="Case table (.csv or .parquet).")]
TableOut = Annotated[Path, typer.Option("--out", "-o", help="Case table to write (.csv or .parquet).")]
MappingFile = Annotated[Path | None, typer.Option("--mapping", help="JSON file of label and finding names.")]
Jobs = Annotated[int, typer.Option("--jobs", "-j", help="Processes that work at the same time.")]
MOST_LINES = 8
PRESETS = ("demo", "base", "paper")


@app.command()
def guess(folder: Folder) -> None:
    """Say which importer fits a folder, and why."""
    from uvlm_core.datasets.importing import guess as guesses

    for row in guesses(folder):
        print(f"{row.kind:20} {row.title}: {'; '.join(row.clues)}")


@app.command("import")
def import_(
    kind: Annotated[str, typer.Argument(help="ct-rate, rexgroundingct, radgenome-chestct, abdomen-atlas, "
                                             "totalsegmentator, amos22, nnunet, released-tables, kept-cases, phantoms, "
                                             "plain-folder or auto.")],
    folder: Folder,
    out: TableOut,
    on_error: Annotated[str, typer.Option(help="stop or skip what cannot be used.")] = "stop",
    mapping: MappingFile = None,
    report: Annotated[str, typer.Option(help="AbdomenAtlas: structured, narrative, fusion structured or fusion "
                                             "narrative.")] = "structured",
    ids: Annotated[str, typer.Option(help="AbdomenAtlas: split IID or OOD.")] = "IID",
    drafts: Annotated[bool, typer.Option("--drafts", help="Kept cases: unsigned texts too.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Read every scan and mask to its end (slow).")] = False,
) -> None:
    """Write the case table of a data set."""
    from uvlm_core.datasets.importing import import_dataset
    from uvlm_core.datasets.layout import ImportOptions
    from uvlm_core.datasets.mapping import read_mapping

    options = ImportOptions(report, ids, drafts, read_mapping(mapping))
    with _bar("files") as progress:
        cases, problems = import_dataset(kind, folder, out, on_error, options, verify, progress)
    _tell(problems, out.with_name(f"{out.stem}_problems.csv"))
    masks, texts = sum(case.has_masks for case in cases), sum(bool(case.report) for case in cases)
    print(f"{len(cases)} cases ({cases[0].source}), {masks} with masks, {texts} with a report: {out}")
    if not verify:
        print("Scans and masks were not read through; uvlm dataset check does that.")


@app.command()
def join(tables: Annotated[list[Path], typer.Argument(help="Case tables; the first one's word counts.")], out: TableOut,
         mapping: MappingFile = None) -> None:
    """Unite tables: rows of one scan become one."""
    from uvlm_core.datasets.joining import join_tables
    from uvlm_core.datasets.mapping import read_mapping

    cases, problems = join_tables(tables, out, read_mapping(mapping))
    _tell(problems, None)
    print(f"{len(cases)} cases: {out}")


@app.command()
def check(
    table: Table,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for problems.csv, pictures and the page.")],
    mapping: MappingFile = None,
    jobs: Jobs = 1,
    again: Annotated[bool, typer.Option("--again", help="Also what was checked before.")] = False,
) -> None:
    """Look for what is wrong with each case.

    Nothing is deleted or changed. The same command goes on after a stop.
    """
    from uvlm_core.datasets.checking import PAGE, check_table, forget
    from uvlm_core.datasets.mapping import read_mapping
    from uvlm_core.datasets.problems import counted

    if again:
        forget(out)
    with stoppable("Stopped. The same command goes on.") as stop, _bar("cases") as progress:
        problems = check_table(table, out, read_mapping(mapping), jobs, progress, stop)
    print(f"{counted(problems).capitalize()}.\nPage: {out / PAGE}")


@app.command()
def split(
    table: Table,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Another table; default: the same one.")] = None,
    validation: Annotated[float, typer.Option(help="Share of the patients.")] = 0.1,
    test: Annotated[float, typer.Option(help="Share of the patients.")] = 0.1,
    folds: Annotated[int, typer.Option(help="Folds over all but the test patients; 0: none.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the random order.")] = 0,
    again: Annotated[bool, typer.Option("--again", help="Also what is split already.")] = False,
) -> None:
    """Split by patient, stratified; rows that are split keep their split.

    A part that would stay empty is taken from train.
    """
    from uvlm_core.datasets.splitting import counts, split_table

    cases = split_table(table, out, validation, test, folds, seed, again, print)
    for name, patients, scans in counts(cases):
        print(f"{name:12} {patients:6} patients {scans:6} scans")
    print(f"Table: {out or table}")


@app.command()
def prepare(
    table: Table,
    store: Annotated[Path, typer.Option("--out", "-o", help="Folder of the store.")],
    model: Annotated[str, typer.Option(help="demo, base, paper, or a recipe: whose grid to use.")] = "demo",
    mapping: MappingFile = None,
    jobs: Jobs = 1,
    on_error: Annotated[str, typer.Option(help="skip or stop at a case that cannot be used.")] = "skip",
    same_voxels: Annotated[bool, typer.Option("--same-voxels", help="Take masks voxel for voxel, whatever their "
                                                                    "headers say.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Read what is there again and compare.")] = False,
    estimate_only: Annotated[bool, typer.Option("--estimate", help="Only say how much disk it needs.")] = False,
) -> None:
    """Put the cases on the model's grid, so that training only has to read them.

    The same command goes on after a stop.
    """
    from uvlm_core.datasets.mapping import read_mapping
    from uvlm_core.datasets.preparing import FAILED, prepare_table
    from uvlm_core.datasets.space import estimate
    from uvlm_core.datasets.storage import has_blosc
    from uvlm_core.datasets.table import read_table

    spec = grid_of(model)
    needed = estimate(read_table(table), store, spec, has_blosc())
    print(f"{needed}.", flush=True)
    if estimate_only:
        return
    if not needed.fits:
        raise CaseError("The store will not fit on this disk. Choose another one, or a coarser model.")
    with stoppable("Stopped. The same command goes on.") as stop, _bar("cases") as progress:
        done = prepare_table(table, store, spec, read_mapping(mapping), jobs, on_error, same_voxels, verify, progress,
                             stop)
    _tell(done.problems, store / FAILED)
    print(f"{done.made} cases prepared, {done.kept} were there, {len(done.problems)} failed: {store}")
    if done.problems and not done.made + done.kept:
        raise CaseError("Not one case could be prepared.")


def grid_of(model: str):
    """Grid of a preset, or of a recipe by its name or path. Raises RecipeError for an unknown one."""
    from uvlm_core.model.config import preset

    if model in PRESETS:
        return preset(model).grid
    from uvlm_core.training.building import recipe_grid
    from uvlm_core.training.recipe import load_recipe

    return recipe_grid(load_recipe(model))


@contextmanager
def _bar(unit: str) -> Iterator[Callable[[int, int], None]]:
    from tqdm import tqdm

    with tqdm(unit=f" {unit}", disable=not sys.stderr.isatty()) as bar:
        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress


def _tell(problems, listed: Path | None) -> None:
    """The gravest problems on the error stream, and where all of them are."""
    from uvlm_core.datasets.problems import SEVERITIES, counted

    rows = sorted(problems, key=lambda row: SEVERITIES.index(row.severity))
    for row in rows[:MOST_LINES]:
        where = f" ({row.file})" if row.file else ""
        name = f"{row.case_id}: " if row.case_id else ""
        print(f"{row.severity.capitalize()}: {name}{row.message}{where}", file=sys.stderr)
    if rows:
        rest = f"{len(rows) - MOST_LINES} more. " if len(rows) > MOST_LINES else ""
        print(f"{rest}In all {counted(rows)}{f', listed in {listed}' if listed else ''}.", file=sys.stderr)
