"""Measures a finished bundle on phantoms that it was not trained on, and keeps the figures beside the cases."""

from __future__ import annotations

import json
import os
from pathlib import Path

from uvlm_core.errors import CaseError
from uvlm_core.evaluation.cases import summary
from uvlm_core.evaluation.phantom_cases import measure
from uvlm_core.model.bundle import MANIFEST, verify_bundle

FIGURES, MEASURED = "figures.json", "measured.json"


def evaluate_bundle(folder: str | Path, out: str | Path, cases: int = 200, seed: int = 900000) -> dict:
    """The figures of a bundle over `cases` phantoms with the seeds `seed`, `seed` + 1 …, also written to `out`.

    Each case is one file, so an interrupted call goes on where it stopped.

    Raises:
        BundleError: the bundle is damaged.
        CaseError: no cases, a negative seed, or `out` holds the cases of another bundle.
    """
    if cases < 1 or seed < 0:
        raise CaseError(f"The number of cases must be at least 1 and the seed at least 0; found {cases} and {seed}.")
    folder, out = Path(folder), Path(out)
    info = verify_bundle(folder)
    _same_bundle(out, {"name": info.name, "version": info.version, "files": info.files,
                       "thresholds": info.thresholds, "part_limits": info.part_limits,
                       "size_limit": info.size_limit})
    rows = measure(folder, range(seed, seed + cases), out / "cases")
    figures = {**summary(rows, info.assessed, info.thresholds), "first_seed": seed}
    _write(out / FIGURES, figures)
    return figures


def _same_bundle(out: Path, measured: dict) -> None:
    """Writes down whose cases these are, or refuses a folder that holds those of another bundle."""
    path = out / MEASURED
    if not path.exists():
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CaseError(f"The folder {out} cannot be written: {error.strerror}. Choose another one.") from error
        _write(path, measured)
    elif _read(path) != measured:
        raise CaseError(f"{out} holds the measured cases of another bundle ({MANIFEST} differs). "
                        "Choose another folder for the result.")


def _read(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError:  # damaged: whose cases these are is not known
        return None


def _write(path: Path, values: dict) -> None:
    beside = path.with_suffix(".writing")
    beside.write_text(json.dumps(values, indent=1) + "\n", "utf-8")
    os.replace(beside, path)
