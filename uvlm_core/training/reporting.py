"""Stage 3: the decoder learns to write the report from the injected features of a (by default frozen) encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from uvlm_core.errors import RecipeError
from uvlm_core.model.injection import VisionTokens, collate_stage_tokens
from uvlm_core.model.tokenizer import ANSWER, END, PAD, PROMPT, Tokenizer
from uvlm_core.model.uvlm import UVLM
from uvlm_core.report.cues import write_cues
from uvlm_core.training import processes
from uvlm_core.training.cue_facts import cues_of_planted
from uvlm_core.training.loop import StageTask
from uvlm_core.training.losses import answer_loss
from uvlm_core.training.prepare import GridCase, report_of
from uvlm_core.training.processes import Part
from uvlm_core.training.recipe import StageRecipe
from uvlm_core.training.recombination import FindingPool
from uvlm_core.training.sampling import row_generator
from uvlm_core.training.segmentation import augmented_patch
from uvlm_core.training.token_cache import CachedCase, cache_tokens, to_float
from uvlm_core.training.vocabulary import run_tokenizer
from uvlm_core.volumes.grid import apply_hu_curve


def report_task(model: UVLM, cases: list[GridCase], held_out: list[GridCase], recipe: StageRecipe, seed: int,
                out: Path, cancel: Callable[[], bool] = lambda: False) -> StageTask:
    """Loss and validation of stage 3; with a frozen encoder the vision tokens of every case are made only once, here
    (`cancel` as in `cache_tokens`)."""
    tokenizer = run_tokenizer(cases, model.config.language.vocabulary, out)
    written = [case for case in cases if case.has_report]
    checked = [case for case in held_out if case.has_report]
    for part in (model.segmenter, model.classifier):
        part.requires_grad_(False)
    if recipe.freeze_encoder:
        model.encoder.requires_grad_(False)
    text_only = recipe.recombined >= 1
    cached = None
    if recipe.freeze_encoder and not text_only:
        everything = [*written, *checked]  # the second for `validate`, which is not stopped
        cached = cache_tokens(model, everything, out / "tokens", recipe.precision, cancel)
    level, pool = model.config.language.cues, FindingPool([case for case in written if case.text is None])
    if recipe.recombined > 0 and not pool.imaged:
        raise RecipeError("Recombined findings need cases whose report is written from their findings; the data are "
                          "real reports only. Set 'recombined' to 0, or add phantoms.")

    def loss(network: UVLM, part: Part):
        rng = np.random.default_rng((seed, 3, part.number))  # the whole batch's texts are drawn by every process
        mine = slice(part.rows(recipe.batch).start, part.rows(recipe.batch).stop)
        if rng.random() < recipe.recombined:
            pairs = [_recombined_pair(tokenizer, pool, level, rng) for _ in range(recipe.batch)]
            vision = _no_vision(network, len(pairs[mine]))
        else:
            chosen = rng.choice(len(written), recipe.batch)
            pairs = [encode_pair(tokenizer, written[number], level, recipe, rng) for number in chosen]
            if cached is None:
                generators = [row_generator(seed, 3, part, 1 + row) for row in part.rows(recipe.batch)]
                vision = _vision_from_images(network, [written[number] for number in chosen[mine]], recipe, generators)
            else:
                vision = _vision_from_cache(network, [cached[number] for number in chosen[mine]])
        answers = sum(len(ids) - begin for ids, begin in pairs)
        counted = None if part.shares == 1 else answers / part.shares
        return _text_loss(network, vision, pairs[mine], recipe.label_smoothing, counted), {}

    def validate(network: UVLM) -> dict[str, float]:
        rows = None if text_only else cache_tokens(network, checked, out / "tokens", precision=recipe.precision)
        losses = answer_losses(network, tokenizer, checked, rows, recipe)
        total, count = processes.sum_over_processes(np.array([np.sum(losses), len(losses)]))
        return {"score": -float(total / count), "answer_loss": float(total / count)} if count else {}

    return StageTask(loss, validate)


def answer_losses(model: UVLM, tokenizer: Tokenizer, cases: list[GridCase], cached: Sequence[CachedCase] | None,
                  recipe: StageRecipe | None = None) -> list[float]:
    """Mean loss per token of the report of each of this process's share of the cases; without cached tokens, from the
    cues alone."""
    recipe = recipe or StageRecipe("report", 1)
    losses = []
    for number, counts in processes.same_number(processes.mine(range(len(cases))), len(cases)):
        vision = _no_vision(model, 1) if cached is None else _vision_from_cache(model, [cached[number]])
        pair = encode_pair(tokenizer, cases[number], model.config.language.cues, recipe,
                           np.random.default_rng((number, 4)), dropout=False)
        loss = _text_loss(model, vision, [pair], 0.0).item()
        losses += [loss] if counts else []
    return losses


def encode_pair(tokenizer: Tokenizer, case: GridCase, level: str, recipe: StageRecipe, rng: np.random.Generator,
                dropout: bool = True) -> tuple[list[int], int]:
    """(ids, where the answer begins) of <prompt> cues <answer> report <end>; now and then without any cue."""
    prompt = write_cues(cues_of_planted(case.planted, rng), case.imaged, level)
    if dropout and rng.random() < recipe.cue_dropout:
        prompt = ""
    return _pair(tokenizer, prompt, case.report(int(rng.integers(recipe.wordings))))


def _recombined_pair(tokenizer: Tokenizer, pool: FindingPool, level: str,
                     rng: np.random.Generator) -> tuple[list[int], int]:
    planted, imaged = pool.draw(rng)
    return _pair(tokenizer, write_cues(cues_of_planted(planted, rng), imaged, level), report_of(planted, imaged, rng))


def _pair(tokenizer: Tokenizer, prompt: str, report: str) -> tuple[list[int], int]:
    head = [PROMPT, *tokenizer.encode(prompt), ANSWER]
    return [*head, *tokenizer.encode(report), END], len(head)


def _text_loss(model: UVLM, vision: VisionTokens, pairs: list[tuple[list[int], int]], smoothing: float,
               counted: float | None = None) -> Tensor:
    device = vision.main.device
    length = max(len(ids) for ids, _ in pairs)
    text = torch.full((len(pairs), length), PAD, device=device)
    real = torch.zeros((len(pairs), length), dtype=torch.bool, device=device)
    answer = torch.zeros_like(real)
    for row, (ids, begin) in enumerate(pairs):
        text[row, : len(ids)] = torch.tensor(ids, device=device)
        real[row, : len(ids)] = True
        answer[row, begin : len(ids)] = True
    return answer_loss(model.language(vision, text, real), text, answer, smoothing, counted)


def _no_vision(model: UVLM, batch: int) -> VisionTokens:
    device = next(model.language.parameters()).device
    empty = torch.zeros((batch, 0, model.config.language.width), device=device)
    return VisionTokens(empty, [], torch.zeros((batch, 3), dtype=torch.int64, device=empty.device))


def _vision_from_cache(model: UVLM, rows: list[CachedCase]) -> VisionTokens:
    device = next(model.language.parameters()).device
    return model.vision_from_cached(collate_stage_tokens([to_float(row.vision, device) for row in rows]))


def _vision_from_images(model: UVLM, cases: list[GridCase], recipe: StageRecipe,
                        generators: list[np.random.Generator]):
    tokens = []
    for case, rng in zip(cases, generators, strict=True):
        image, _ = augmented_patch(case, replace(recipe, mirror=0.0), rng)  # the text names sides
        image = torch.from_numpy(apply_hu_curve(image, model.config.grid.hu_curve))[None, None]
        tokens.append(model.vision_tokens_to_cache(model.encode(image.to(next(model.parameters()).device))))
    return model.vision_from_cached(collate_stage_tokens(tokens))
