"""The model card of a bundle, written from its recipe and its measured figures."""

from __future__ import annotations

from uvlm_core.model.bundle import BundleInfo
from uvlm_core.training.recipe import Recipe

GOALS = (
    ("Mean organ Dice", "organ_dice", 0.92), ("Dice of lesions of at least 10 mm", "lesion_dice_10mm", 0.65),
    ("Macro F1 of the probabilities", "finding_macro_f1", 0.88),
    ("Macro F1 of the labels read from the text", "text_macro_f1", 0.85),
    ("Side correct in sentences that name one", "side_accuracy", 0.97),
    ("Size within 30 % in sentences that give one", "size_within_30_percent", 0.80),
)


def model_card(recipe: Recipe, info: BundleInfo, parameters: int) -> str:
    """Markdown: what the model is, what it was trained on, what was measured against which goal, what it cannot do."""
    figures = info.figures
    lines = [
        f"# {info.name} {info.version}", "",
        f"**{info.intended_use}**", "",
        recipe.description, "",
        f"{parameters / 1e6:.2f} million parameters, stored in 16 bit. Licence of the weights: {info.licence}.", "",
        "## Training data", "", *_sources(recipe), "",
        "## Training", "", *_stages(recipe), "",
        "## Measured", "",
        f"On {figures.get('cases', 0)} phantoms with seeds that were never trained on, through the whole pipeline. "
        f"Thresholds come from {figures.get('threshold_cases', 0)} other phantoms{_part_limits(info)}.", "",
        "| figure | goal | measured | |", "|---|---|---|---|",
        *(_goal_row(title, figures.get(key), goal) for title, key, goal in GOALS),
        f"| AUC, macro | | {figures.get('finding_macro_auc', float('nan')):.3f} | |",
        f"| CRG of the text | | {figures.get('text_crg', float('nan')):.3f} | |",
        f"| Expected calibration error | | {figures.get('calibration_error', float('nan')):.3f} | |",
        *([f"| BLEU, mean of 1 to 4 | | {figures['bleu_mean']:.3f} | |"] if "bleu_mean" in figures else []),
        "", f"Sentences counted: {figures.get('sentences_with_side', 0)} with a side, "
        f"{figures.get('sentences_with_size', 0)} with a size.", "",
        "### Per finding", "", "| finding | F1 of the probability | F1 of the text | threshold |", "|---|---|---|---|",
        *(f"| {name} | {value:.2f} | {figures['text_f1_per_name'][name]:.2f} | {info.thresholds.get(name, 0.5):.2f} |"
          for name, value in figures.get("finding_f1_per_name", {}).items()),
        "", "### Dice per label", "", "| label | Dice |", "|---|---|",
        *(f"| {name} | {value:.3f} |" for name, value in figures.get("organ_dice_per_label", {}).items()),
        *(f"| {name} (at least 10 mm) | {value:.3f} |"
          for name, value in figures.get("lesion_dice_10mm_per_label", {}).items()),
        "", *_real(figures.get("real_scans_trained_on", {})), "## What it cannot do", "",
        *_limits(recipe, info), "",
    ]
    return "\n".join(lines)


def _part_limits(info: BundleInfo) -> str:
    """How sure a part of a lesion's mask must be, as the end of a sentence; "" where every part is shown."""
    if not info.part_limits:
        return ""
    rows = ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in sorted(info.part_limits.items()))
    return (f", as does the mean probability from which a part of a lesion's mask is shown ({rows}) and its size told "
            f"({info.size_limit:.2f})")


def _limits(recipe: Recipe, info: BundleInfo) -> list[str]:
    """What a reader must not expect, from what the model was trained on and its grid."""
    spacing = max((info.config.get("grid") or {}).get("spacing", (3.0,)))
    real = sum(source["kind"] == "real" for source in recipe.data)
    if recipe.bundle is not None:
        lines = [f"- It was fine-tuned from the bundle {recipe.bundle}; what that one cannot do, it cannot do either,",
                 "  unless the figures above say so."]
    elif any(source["kind"] == "table" for source in recipe.data):
        lines = ["- The figures above are of phantoms. On the real cases that it was trained on see the run's own",
                 "  figures; on scans of other hospitals, scanners and protocols it has not been measured."]
    else:
        count = {0: "no real scan", 1: "one real scan", 3: "three real scans"}.get(real, f"{real} real scans")
        lines = [f"- It was trained almost only on synthetic anatomy and on {count}. On real patients it makes "
                 "mistakes", "  that the figures above do not show. It is there to show and test the software, not to",
                 "  read scans.", "- Its wording is that of the synthetic reports: short, with a fixed vocabulary."]
    return [*lines, "- It tells the findings listed above and nothing else. The other CT-RATE findings are "
            "\"not assessed\".",
            f"- It works on a {spacing:g} mm grid: lesions below about {2.7 * spacing:.0f} mm are lost, and thin "
            "structures are thick."]


def _real(scans: dict[str, dict[str, float]]) -> list[str]:
    """A table of the organs on real scans, or nothing."""
    if not scans:
        return []
    organs = list(dict.fromkeys(organ for rows in scans.values() for organ in rows))
    return ["### Real scans", "", "Dice on the three real scans **that were trained on** (labels of TotalSegmentator): "
            "this shows the fit. No labelled real scan was left for a test.", "",
            f"| scan | {' | '.join(organs)} |", f"|---|{'---|' * len(organs)}",
            *(f"| {name} | {' | '.join(f'{rows[organ]:.2f}' if organ in rows else '' for organ in organs)} |"
              for name, rows in scans.items()), ""]


def _goal_row(title: str, value: float | None, goal: float) -> str:
    if value is None:
        return f"| {title} | {goal:.2f} | not measured | |"
    return f"| {title} | {goal:.2f} | {value:.3f} | {'met' if value >= goal else f'missed by {goal - value:.3f}'} |"


def _sources(recipe: Recipe) -> list[str]:
    rows = []
    for source in recipe.data:
        if source.get("held_out"):
            continue
        kind = {"phantoms": "synthetic cases of `uvlm_core.phantom`", "real": "real scan",
                "real_with_findings": "copies of a real scan with synthetic findings",
                "table": "case table of real scans"}[source["kind"]]
        licence = f"; {source['licence']}" if "licence" in source else ""
        rows.append(f"- {source['name']}: {source.get('count', 1)} {kind}{licence}")
    return rows


def _stages(recipe: Recipe) -> list[str]:
    return [f"{number}. {stage.kind}: {stage.steps} steps, batch {stage.batch * stage.accumulate}"
            f"{', encoder frozen' if stage.freeze_encoder else ''}" for number, stage in enumerate(recipe.stages, 1)]
