"""BLEU as different groups compute it, by name of the preset, on pycocoevalcap's scorer."""

from __future__ import annotations

import re

from uvlm_core.errors import UVLMError

PRESETS = ("uvlm", "vlm3d", "ct2rep")


def clean(text: str, preset: str = "uvlm") -> str:
    """The text as the preset's authors clean it before scoring.

    "uvlm": end token and double quotes dropped, whitespace collapsed, every full stop followed by one space (decimals
    are split too), double stops collapsed. "vlm3d": only whitespace collapsed. "ct2rep": as that, in lower case with
    full stops as words of their own.

    Raises:
        UVLMError: unknown preset.
    """
    if preset not in PRESETS:
        raise UVLMError(f"BLEU has the presets {', '.join(PRESETS)}; found '{preset}'.")
    text = " ".join(text.split())
    if preset == "vlm3d":
        return text
    if preset == "ct2rep":
        return " ".join(re.sub(r"\s*\.\s*", " . ", text.lower()).split())
    text = text.replace("<|eot_id|>", "").replace('"', "")
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"\s*\.\s*", ". ", text)
    text = re.sub(r"(\.\s*){2,}", ". ", text)
    return text.strip()


def bleu(truths: list[str], predictions: list[str], preset: str = "uvlm") -> dict[str, float]:
    """Corpus BLEU-1 … BLEU-4 on whitespace tokens, closest reference length, and their mean.

    Raises:
        UVLMError: the lists differ in length, or pycocoevalcap is not installed.
    """
    if len(truths) != len(predictions):
        raise UVLMError(f"BLEU needs one prediction per report; found {len(predictions)} for {len(truths)}.")
    try:
        from pycocoevalcap.bleu.bleu_scorer import BleuScorer
    except ImportError as error:
        raise UVLMError("BLEU needs pycocoevalcap; install it with: pip install 'slicer-uvlm[eval]'") from error
    scorer = BleuScorer(n=4)
    for truth, prediction in zip(truths, predictions, strict=True):
        scorer += (clean(prediction, preset), [clean(truth, preset)])
    values, _ = scorer.compute_score(option="closest", verbose=0)
    figures = {f"BLEU_{order}": float(value) for order, value in enumerate(values, 1)}
    return {**figures, "BLEU_mean": sum(figures.values()) / 4}
