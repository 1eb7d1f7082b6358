"""A picture of a training run: losses per stage, and what validation said."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from uvlm_core.errors import RecipeError
from uvlm_core.training.run_log import METRICS, read_metrics

BLUE, ORANGE, GREY = "#1f5fa8", "#c8641e", "#b8c4d4"


def plot_run(run: Path, out: Path) -> Path:
    """Writes the picture (PNG, PDF or SVG by its ending): one row per stage, losses left, validation scores right.

    Raises:
        RecipeError: matplotlib is missing, or the folder has no stage with a logged step.
    """
    run, out = Path(run), Path(out)
    stages = sorted((path.parent for path in run.glob(f"stage*/{METRICS}")),
                    key=lambda path: int(re.findall(r"\d+", path.name)[0]))
    rows = {path.name: found for path in stages if (found := read_metrics(path))}
    if not rows:
        raise RecipeError(f"{run} has no stage with a logged step (stage*/{METRICS}). "
                          "Give the folder of a training run.")
    try:
        import matplotlib
    except ImportError as error:
        raise RecipeError("Plots need matplotlib, which is not installed: pip install 'slicer-uvlm[train]'.") from error
    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(rows), 2, figsize=(10, 2.4 * len(rows) + 0.6), squeeze=False,
                                   layout="constrained")
    for (name, found), (left, right) in zip(rows.items(), axes, strict=True):
        _losses(left, name, found)
        _validation(right, found)
    figure.suptitle(run.absolute().name, fontsize=11)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=120)
    pyplot.close(figure)
    return out


def _losses(axis, name: str, rows: list[dict]) -> None:
    steps, losses = np.array([row["step"] for row in rows]), np.array([row["loss"] for row in rows])
    axis.plot(steps, losses, color=GREY, linewidth=0.8, label="each step")
    window = max(1, len(losses) // 25)
    if window > 1:
        padded = np.pad(losses, (window // 2, window - 1 - window // 2), mode="edge")
        axis.plot(steps, np.convolve(padded, np.ones(window) / window, "valid"), color=BLUE, linewidth=1.6,
                  label=f"mean of {window}")
    axis.legend(frameon=False, fontsize=8)
    axis.set_title(name, loc="left", fontsize=10)
    axis.set_xlabel("step", fontsize=8)
    axis.set_ylabel("loss", fontsize=8)
    _plain(axis)


def _validation(axis, rows: list[dict]) -> None:
    found = [row for row in rows if "validation_score" in row]
    if not found:
        axis.text(0.5, 0.5, "no validation yet", ha="center", va="center", color="#666666", fontsize=9,
                  transform=axis.transAxes)
        axis.set_axis_off()
        return
    names = [name for name in ("organ_dice", "lesion_dice", "macro_f1", "answer_loss", "score")
             if f"validation_{name}" in found[-1]]
    for name, colour in zip([name for name in names if name != "score"] or names, (BLUE, ORANGE), strict=False):
        points = [(row["step"], row[f"validation_{name}"]) for row in found if f"validation_{name}" in row]
        axis.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=3, linewidth=1.4,
                  label=name.replace("_", " "))
    axis.legend(frameon=False, fontsize=8)
    axis.set_title("held-out cases", loc="left", fontsize=10)
    axis.set_xlim(0, rows[-1]["step"] * 1.03)
    if {"organ_dice", "macro_f1"} & set(names):
        axis.set_ylim(0, 1)
    axis.set_xlabel("step", fontsize=8)
    _plain(axis)


def _plain(axis) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
