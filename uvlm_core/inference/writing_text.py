"""Lets the language decoder write the report: cues in front, token by token, with where each sentence looked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uvlm_core.errors import UVLMError
from uvlm_core.inference.device import Placement, memory_explained
from uvlm_core.inference.progress import Monitor

MOST_TOKENS = 640


@dataclass(frozen=True)
class WrittenText:
    """`text`; per token `spans` (start, end) characters, `log_probabilities` (T,), `attention` (T, groups, N);
    `grid` (z, y, x) and `stride` (model grid voxels per token) of the vision tokens; `ended` False where the text
    reached the token limit."""

    text: str
    spans: list[tuple[int, int]]
    log_probabilities: np.ndarray
    attention: np.ndarray
    grid: tuple[int, int, int]
    stride: tuple[int, int, int]
    ended: bool

    def tokens_of(self, start: int, end: int) -> np.ndarray:
        """Indices of the tokens that wrote any of the characters start .. end."""
        return np.array([n for n, (first, last) in enumerate(self.spans) if first < end and last > start], int)


def write_text(bundle, vision, prompt: str, placement: Placement, monitor: Monitor, seed: int = 0) -> WrittenText:
    """Greedy decoding of one report; new text is told as progress while it is written.

    Raises:
        Cancelled: before any token.
        UVLMError: the device is out of memory, or the model wrote nothing.
    """
    import torch

    from uvlm_core.model.generate import generate
    from uvlm_core.model.tokenizer import ANSWER, END, PROMPT

    tokenizer, model = bundle.tokenizer, bundle.model
    ids, rows = [], []
    told, ended = "", False
    prompt_ids = [PROMPT, *tokenizer.encode(prompt), ANSWER]
    with torch.inference_mode(), memory_explained(placement.device, "write report"):
        for token in generate(model, vision, prompt_ids, MOST_TOKENS, seed=seed, want_attention=True, stop=(END,),
                              cancel=monitor.cancelled):
            if token.id == END:
                ended = True
                break
            ids.append(token.id)
            rows.append((token.logprob, token.attention.float().cpu().numpy()))
            text = tokenizer.decode(ids)
            if not text.endswith("\ufffd"):
                monitor.tell(len(ids), MOST_TOKENS, text[len(told) :])
                told = text
    if not ids:
        raise UVLMError("The model wrote no report for this scan. Use another bundle.")
    text, spans = tokenizer.decode_with_spans(ids)
    if text != told:
        monitor.tell(len(ids), MOST_TOKENS, text[len(told) :])
    config = model.config
    return WrittenText(text, spans, np.array([row[0] for row in rows], np.float32), np.stack([row[1] for row in rows]),
                       tuple(vision.grid), config.encoder.total_stride(config.injection.source), ended)
