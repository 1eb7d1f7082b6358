"""Writes a report token by token: greedy by default, sampling on request, with attention to the vision tokens."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from uvlm_core.errors import Cancelled
from uvlm_core.model.injection import VisionTokens
from uvlm_core.model.language import LanguageDecoder
from uvlm_core.model.uvlm import UVLM


@dataclass(frozen=True)
class GeneratedToken:
    """One token, its log-probability under the model (before temperature, top-k and top-p), and, if wanted, the
    attention (groups, N) float32 with which it was chosen: per group of layers (deepest stage first), mean over its
    heads and layers, to each vision token; the rest of the attention went to text."""

    id: int
    logprob: float
    attention: Tensor | None = None


def next_token_distribution(logits: Tensor, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """Probabilities (V,) to sample from: temperature, then the `top_k` highest, then the nucleus `top_p`.

    Args:
        logits: (V,).
        top_k: 0 keeps all; ties with the k-th are kept.
        top_p: keeps the smallest set of likely tokens that reaches this probability; the likeliest always stays.
    """
    logits = logits.float() / temperature
    if 0 < top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    if top_p < 1:
        ordered, order = logits.sort(descending=True)
        probability = ordered.softmax(0)
        before = probability.cumsum(0) - probability
        dropped = before > top_p
        dropped[0] = False
        logits = logits.masked_fill(torch.zeros_like(dropped).scatter(0, order, dropped), -torch.inf)
    return logits.softmax(0)


def generate(model: UVLM, vision: VisionTokens, prompt_ids: list[int], max_new_tokens: int = 512,
             temperature: float = 0.0, top_k: int = 0, top_p: float = 1.0, seed: int = 0,
             want_attention: bool = False, stop: Collection[int] = (),
             cancel: Callable[[], bool] | None = None) -> Iterator[GeneratedToken]:
    """Yields one token after the other, as soon as each is known; the stop token is the last one.

    Args:
        vision: tokens of one scan.
        prompt_ids: text tokens before the answer.
        temperature: 0 is greedy: the same bytes in every run.
        seed: of the sampling.
        stop: ids that end the text.
        cancel: asked before every token.

    Raises:
        Cancelled: `cancel` returned True.
    """
    language = model.language
    device = language.token_embedding.weight.device
    random = torch.Generator().manual_seed(seed)
    prompt = torch.tensor([prompt_ids], dtype=torch.long, device=device)
    logits, attention, state = language.prefill(vision, prompt, None, max_new_tokens, want_attention)
    for number in range(max_new_tokens):
        if cancel is not None and cancel():
            raise Cancelled(f"Stopped while writing the report, after {number} tokens.")
        logprobs = logits[0].float().log_softmax(0)
        if temperature == 0:
            token = int(logits[0].argmax())
        else:
            probability = next_token_distribution(logits[0], temperature, top_k, top_p)
            token = int(torch.multinomial(probability.cpu(), 1, generator=random))
        groups = None if attention is None else attention_by_group(language, attention[0])
        yield GeneratedToken(token, float(logprobs[token]), groups)
        if token in stop or number + 1 == max_new_tokens:
            return
        logits, attention = language.step(state, torch.tensor([token], device=device), want_attention)


def attention_by_group(language: LanguageDecoder, attention: Tensor) -> Tensor:
    """(layers, N) -> (groups, N): mean over the layers that receive the same stage."""
    return torch.stack([rows.mean(0) for rows in attention.split(language.layers_per_group)])


def generate_batch(model: UVLM, vision: VisionTokens, prompts: list[list[int]], max_new_tokens: int = 512,
                   stop: Collection[int] = (), pad_id: int = 0) -> list[list[int]]:
    """Greedy answers of several scans at once, each up to and without its stop token.

    Decoding reads all weights once per token, so a batch costs little more than one scan. Ids agree with `generate`
    up to rounding: batched matrix products add in another order.
    """
    language = model.language
    device = language.token_embedding.weight.device
    length = max(map(len, prompts))
    ids = torch.tensor([row + [pad_id] * (length - len(row)) for row in prompts], device=device)
    mask = torch.tensor([[True] * len(row) + [False] * (length - len(row)) for row in prompts], device=device)
    logits, _, state = language.prefill(vision, ids, mask, max_new_tokens)
    answers: list[list[int]] = [[] for _ in prompts]
    running = set(range(len(prompts)))
    for _ in range(max_new_tokens):
        tokens = logits.argmax(1)
        for index, token in enumerate(tokens.tolist()):
            if index in running and token in stop:
                running.remove(index)
            elif index in running:
                answers[index].append(token)
        if not running:
            break
        logits, _ = language.step(state, tokens)
    return answers
