"""Seconds and memory of former runs, by model, device and precision: what a next run will probably take."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from statistics import median

FORMAT = "uvlm-timings/1"
KEPT = 5  # runs per model, device and precision
COMPARABLE = 4.0  # a run says something about scans of a quarter to four times its voxels
SCAN_STAGES = ("read", "check", "grid", "measure", "save")  # grow with the scan; the others with the body or the text
COMMON_SCAN = 512 * 512 * 300


class Timings:
    """What former runs took; in memory, and in a file where one was named. A damaged file is begun anew."""

    def __init__(self, path: str | None = None):
        self._path = None if path is None else Path(path)
        self._lock = threading.Lock()
        self._runs: dict[str, list[dict]] = {}
        if self._path is not None:
            self._runs = _read(self._path)

    def add(self, sha256: str, device: str, precision: str, voxels: int, seconds: dict[str, float],
            peak_mib: int | None) -> None:
        """Keeps a finished run.

        Args:
            sha256: of the bundle; device, precision: as they were asked for.
            voxels: of the scan; seconds: per stage.
        """
        with self._lock:
            rows = self._runs.setdefault(_key(sha256, device, precision), [])
            rows.append({"voxels": voxels, "seconds": dict(seconds), "peak_mib": peak_mib})
            del rows[:-KEPT]
            self._write()

    def stages(self, sha256: str, device: str, precision: str, voxels: int | None,
               loaded: bool = True) -> dict[str, float] | None:
        """Seconds that each stage will probably take; None without a comparable run.

        Args:
            voxels: of the scan; None where that is not known: then the runs as they were.
            loaded: the model is warm.
        """
        runs = self._comparable(sha256, device, precision, voxels)
        if not runs:
            return None
        names = {name for run in runs for name in run["seconds"]}
        expected = {}
        for name in names - {"load model"}:
            values = [run["seconds"].get(name, 0.0) * (voxels / run["voxels"] if voxels and name in SCAN_STAGES else 1)
                      for run in runs]
            expected[name] = median(values)
        loading = [run["seconds"]["load model"] for run in runs if run["seconds"].get("load model", 0) > 0.05]
        expected["load model"] = median(loading) if loading and not loaded else 0.0
        return expected

    def peak_mib(self, sha256: str, device: str, precision: str, voxels: int) -> int | None:
        """Memory that a run will probably take; None without a comparable run that knows it."""
        peaks = [run["peak_mib"] for run in self._comparable(sha256, device, precision, voxels)
                 if run["peak_mib"] is not None]
        return max(peaks, default=None)

    def _comparable(self, sha256: str, device: str, precision: str, voxels: int | None) -> list[dict]:
        with self._lock:
            runs = list(self._runs.get(_key(sha256, device, precision), ()))
        if voxels is None:
            return runs
        return [run for run in runs if 1 / COMPARABLE <= voxels / run["voxels"] <= COMPARABLE]

    def _write(self) -> None:
        if self._path is None:
            return
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}.writing")
        try:
            beside.write_text(json.dumps({"format": FORMAT, "runs": self._runs}, indent=1) + "\n", "utf-8")
            os.replace(beside, self._path)
        except OSError:  # estimates are not worth an error
            beside.unlink(missing_ok=True)


def _key(sha256: str, device: str, precision: str) -> str:
    return f"{sha256} {device} {precision}"


def _read(path: Path) -> dict[str, list[dict]]:
    """The runs of a file; what does not fit is left out."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(values, dict) or values.get("format") != FORMAT or not isinstance(values.get("runs"), dict):
        return {}
    return {key: [row for row in rows if _is_run(row)][-KEPT:] for key, rows in values["runs"].items()
            if isinstance(rows, list)}


def _is_run(row: object) -> bool:
    return (isinstance(row, dict) and isinstance(row.get("voxels"), int) and row["voxels"] > 0
            and isinstance(row.get("seconds"), dict)
            and all(isinstance(value, (int, float)) for value in row["seconds"].values())
            and (row.get("peak_mib") is None or isinstance(row["peak_mib"], int)))
