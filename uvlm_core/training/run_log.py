"""The log of a stage: metrics.jsonl always, TensorBoard and MLflow where they are installed.

Both are written on this machine, inside the run folder, unless the environment variable MLFLOW_TRACKING_URI names a
server. A logger that fails is left out with a warning: it never ends a training.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

from uvlm_core.files import replace_text

METRICS = "metrics.jsonl"


class RunLog:
    """Rows of figures per step; rows of steps that a resumed run repeats are dropped first."""

    def __init__(self, stage: Path, keep_until: int):
        self.path = stage / METRICS
        kept = [line + "\n" for line in _whole_lines(self.path) if json.loads(line)["step"] <= keep_until]
        replace_text(self.path, "".join(kept))
        self.others = [made for name, make in (("tensorboard", _TensorBoard), ("mlflow", _MLflow))
                       if importlib.util.find_spec(name) and (made := _tried(name, lambda: make(stage, keep_until)))]

    def write(self, row: dict) -> None:
        """Adds a row; it has the key "step"."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({name: _rounded(value) for name, value in row.items()}) + "\n")
        figures = {name: float(value) for name, value in row.items() if name != "step"}
        self.others = [other for other in self.others
                       if _tried(other.name, lambda: other.write(row["step"], figures) or True)]

    def close(self) -> None:
        """Writes what the other loggers still hold."""
        for other in self.others:
            _tried(other.name, other.close)


def read_metrics(stage: Path) -> list[dict]:
    """The rows of a stage's metrics.jsonl, without a last one that a kill cut off."""
    return [json.loads(line) for line in _whole_lines(stage / METRICS)]


def _whole_lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    lines = []
    for line in path.read_text("utf-8").splitlines():
        try:
            json.loads(line)
        except json.JSONDecodeError:  # the last line of a killed run
            continue
        lines.append(line)
    return lines


class _TensorBoard:
    name = "tensorboard"

    def __init__(self, stage: Path, keep_until: int):
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(stage.parent / "tensorboard" / stage.name), purge_step=keep_until + 1)

    def write(self, step: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self.writer.add_scalar(name.replace("validation_", "validation/", 1), value, step)

    def close(self) -> None:
        self.writer.close()


class _MLflow:
    name = "mlflow"

    def __init__(self, stage: Path, keep_until: int):
        for setting in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):  # it would tell its makers that it is used
            os.environ.setdefault(setting, "true")
        import mlflow

        mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI") or _mlflow_store(stage.parent.absolute()))
        mlflow.set_experiment(f"uvlm-{stage.parent.name}")
        kept = stage / "mlflow_run.txt"
        self.run = mlflow.start_run(run_id=kept.read_text("utf-8") if kept.exists() else None, run_name=stage.name)
        kept.write_text(self.run.info.run_id, "utf-8")
        self.log, self.end = mlflow.log_metrics, mlflow.end_run

    def write(self, step: int, figures: dict[str, float]) -> None:
        self.log(figures, step=step)

    def close(self) -> None:
        self.end()


def _mlflow_store(run: Path) -> str:
    """In the run folder: a database with the whole of MLflow, plain files with its small form (mlflow-skinny)."""
    if importlib.util.find_spec("sqlalchemy"):
        return f"sqlite:///{run / 'mlruns.db'}"
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    return (run / "mlruns").as_uri()


def _tried(name: str, work: Callable[[], object]) -> object:
    """The result of `work`, None with a warning where it fails."""
    try:
        return work()
    except Exception as error:  # a foreign logger may raise anything
        logging.getLogger(__name__).warning("%s does not log this run: %s", name, error)
        return None


def _rounded(value):
    return float(f"{value:.6g}") if isinstance(value, float) else value
