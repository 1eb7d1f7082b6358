"""Synthetic cases as files: images, label maps and a table of cases."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from uvlm_core.errors import CaseError
from uvlm_core.files import replace_file, replace_text
from uvlm_core.labels import findings
from uvlm_core.phantom.case import PhantomCase
from uvlm_core.phantom.generator import DRAWING, make_phantom
from uvlm_core.volumes.writing import write_labelmap, write_volume

COLUMNS = ("case", "image", "label", "report", "seed", "imaged", "findings")


def write_cases(count: int, out: str | Path, seed: int = 0,
                progress: Callable[[int, int], None] = lambda done, total: None, **options) -> Path:
    """Writes `count` phantoms with the seeds `seed`, `seed` + 1 … and returns the path of cases.csv.

    The folder gets images/, labels/ (NIfTI, the same grid) and cases.csv: one row per case with paths relative to the
    folder, the report, the facts as JSON, and 0 / 1 for each of the 21 findings. Cases that are there with the same
    seed and options are kept, so an interrupted call can be repeated.

    Args:
        options: `shape`, `spacing` and `region` of `make_phantom`.

    Raises:
        CaseError: `count` is not positive, options that no phantom has, cases of other options in the folder, or it
            cannot be written.
    """
    if count < 1:
        raise CaseError(f"The number of phantoms must be at least 1; found {count}.")
    out = Path(out)
    made_with = json.loads(json.dumps({**options, "drawing": DRAWING}))
    for number in range(count):
        path = out / "rows" / f"phantom_{seed + number}.json"
        row = _read_row(path)
        if row is None:
            _write_case(make_phantom(seed + number, **options), out, path, made_with)
        elif row.get("options", made_with) != made_with:
            raise CaseError(f"{out} holds phantom_{seed + number} with other options ({_shown(row['options'])} "
                            f"instead of {_shown(made_with)}). Choose a new folder.")
        progress(number + 1, count)
    return _write_table(out)


def _shown(options: dict) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items() if value is not None) or "the usual ones"


def _read_row(path: Path) -> dict | None:
    """The row of a case that is there, None where it is not, or damaged: it is then made again."""
    try:
        row = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return row if isinstance(row, dict) and set(COLUMNS) <= set(row) else None


def _write_case(case: PhantomCase, out: Path, path: Path, options: dict) -> None:
    """The row is written last: where it exists, image and label map are complete."""
    try:
        for name in ("images", "labels", "rows"):
            (out / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CaseError(f"The folder {out} cannot be written: {error}. Choose another one.") from error
    name = case.volume.name
    write_volume(out / "images" / f"{name}.nii.gz", case.volume)
    write_labelmap(out / "labels" / f"{name}.nii.gz", case.labels, case.volume)
    row = {"case": name, "image": f"images/{name}.nii.gz", "label": f"labels/{name}.nii.gz", "report": case.report(),
           "seed": case.seed, "imaged": " ".join(sorted(case.imaged)),
           "findings": json.dumps([asdict(planted) for planted in case.findings], default=float), **case.present}
    replace_text(path, json.dumps({**row, "options": options}))


def _write_table(out: Path) -> Path:
    rows = [row for path in sorted((out / "rows").glob("*.json")) if (row := _read_row(path)) is not None]

    def write(file) -> None:
        writer = csv.DictWriter(file, [*COLUMNS, *(finding.name for finding in findings())], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)

    return replace_file(out / "cases.csv", write)
