"""Synthetic cases as files: images, label maps and a table of cases."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from uvlm_core.errors import CaseError
from uvlm_core.labels import findings
from uvlm_core.phantom.case import PhantomCase
from uvlm_core.phantom.generator import make_phantom
from uvlm_core.volumes.writing import write_labelmap, write_volume

COLUMNS = ("case", "image", "label", "report", "seed", "imaged", "findings")


def write_cases(count: int, out: str | Path, seed: int = 0,
                progress: Callable[[int, int], None] = lambda done, total: None, **options) -> Path:
    """Writes `count` phantoms with the seeds `seed`, `seed` + 1 … and returns the path of cases.csv.

    The folder gets images/, labels/ (NIfTI, the same grid) and cases.csv: one row per case with paths relative to the
    folder, the report, the facts as JSON, and 0 / 1 for each of the 21 findings. Cases that are there with the same
    seed are kept, so an interrupted call can be repeated.

    Args:
        options: `shape`, `spacing` and `region` of `make_phantom`.

    Raises:
        CaseError: `count` is not positive, or the folder cannot be written.
    """
    if count < 1:
        raise CaseError(f"The number of phantoms must be at least 1; found {count}.")
    out = Path(out)
    try:
        for name in ("images", "labels", "rows"):
            (out / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CaseError(f"The folder {out} cannot be written: {error}. Choose another one.") from error
    for number in range(count):
        path = out / "rows" / f"phantom_{seed + number}.json"
        if not path.exists():
            _write_case(make_phantom(seed + number, **options), out, path)
        progress(number + 1, count)
    return _write_table(out)


def _write_case(case: PhantomCase, out: Path, path: Path) -> None:
    """The row is written last: where it exists, image and label map are complete."""
    name = case.volume.name
    write_volume(out / "images" / f"{name}.nii.gz", case.volume)
    write_labelmap(out / "labels" / f"{name}.nii.gz", case.labels, case.volume)
    row = {"case": name, "image": f"images/{name}.nii.gz", "label": f"labels/{name}.nii.gz", "report": case.report(),
           "seed": case.seed, "imaged": " ".join(sorted(case.imaged)),
           "findings": json.dumps([asdict(planted) for planted in case.findings], default=float), **case.present}
    beside = path.with_suffix(".writing")
    beside.write_text(json.dumps(row), "utf-8")
    os.replace(beside, path)


def _write_table(out: Path) -> Path:
    rows = [json.loads(path.read_text("utf-8")) for path in sorted((out / "rows").glob("*.json"))]
    path = out / "cases.csv"
    beside = path.with_suffix(".writing")
    with open(beside, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*COLUMNS, *(finding.name for finding in findings())])
        writer.writeheader()
        writer.writerows(rows)
    os.replace(beside, path)
    return path
