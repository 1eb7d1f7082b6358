"""Compares reference mode with a fixture folder: outputs of the released code for given weights and inputs.

A folder holds config.json, weights.safetensors, aliases.json, inputs.npz, outputs.npz and extra.json. Every output,
loss, gradient norm and generated id is compared; what is compared with what follows the fixtures' README.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from uvlm_core.errors import BundleError
from uvlm_core.model.config import InjectionConfig
from uvlm_core.model.injection import VisionTokens
from uvlm_core.model.reference import (
    load_reference_state,
    reference_aliases,
    reference_config,
    reference_names,
    rope_length,
)
from uvlm_core.model.reference_tokenizer import load_reference_tokenizer
from uvlm_core.model.uvlm import UVLM

FEATURE, LOGIT, LOSS, GRADIENT, NOISE = 1e-4, 2e-3, 1e-4, 1e-3, 1e-5
GREEDY_MARGIN = 1e-3  # a lead of the first over the second id below this is rounding
FILES = ("config.json", "weights.safetensors", "aliases.json", "inputs.npz", "outputs.npz", "extra.json")


@dataclass(frozen=True)
class VerifiedOutput:
    """One compared output: largest error, what is allowed, whether all of it is within.

    `kind` says what `error` counts: "absolute", "relative" (losses, gradient norms), "absolute/relative" (an absolute
    error, allowed up to tolerance * (1 + |value|)) or "different" (a number of values that should be equal).
    """

    name: str
    error: float
    tolerance: float
    ok: bool
    kind: str = "absolute"
    note: str = ""


def verify_fixture(folder: str | Path) -> list[VerifiedOutput]:
    """Runs one fixture folder in reference mode, fp32 on the CPU.

    Returns:
        one row per output, in the order of the fixture.

    Raises:
        BundleError: a file is missing or unreadable, or weights and configuration do not fit each other.
        RecipeError: the configuration has an unknown or unsupported argument.
    """
    try:
        return _Verification(Path(folder)).run()
    except KeyError as error:
        raise BundleError(f"The fixture {folder} is incomplete: its arrays or extra.json have no {error}.") from error


def format_rows(rows: list[VerifiedOutput]) -> str:
    """The rows as a table for the terminal, in the fixture's order, and a verdict."""
    width = max(len(row.name) for row in rows)
    lines = [f"{'output':{width}}  largest error  allowed"]
    for row in rows:
        if row.kind == "different":
            error, allowed = f"{row.error:13.0f}", f"{row.tolerance:.0f} different"
        else:
            error, allowed = f"{row.error:13.2e}", f"{row.tolerance:.0e} {row.kind}"
        lines.append(f"{row.name:{width}}  {error}  {allowed}{'' if row.ok else '   BEYOND'}"
                     f"{'   ' + row.note if row.note else ''}")
    failed = [row.name for row in rows if not row.ok]
    lines.append(f"{len(rows)} outputs, " + ("all within tolerance" if not failed else f"beyond: {', '.join(failed)}"))
    return "\n".join(lines)


class _Verification:
    """One fixture: its files, the model with its weights, and the rows so far."""

    def __init__(self, folder: Path):
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise BundleError(f"{folder} is not a fixture folder: {', '.join(missing)} missing. "
                              f"Expected are {', '.join(FILES)}.")
        try:
            self.config = json.loads((folder / "config.json").read_text("utf-8"))
            self.extra = json.loads((folder / "extra.json").read_text("utf-8"))
            self.aliases = json.loads((folder / "aliases.json").read_text("utf-8"))
            self.inputs = _arrays(folder / "inputs.npz")
            self.outputs = _arrays(folder / "outputs.npz")
            weights = load_file(folder / "weights.safetensors")
        except (OSError, ValueError, KeyError) as error:
            raise BundleError(f"{folder} cannot be read: {error}.") from error
        except Exception as error:  # safetensors has its own exception class for a damaged file
            raise BundleError(f"{folder}/weights.safetensors cannot be read: {error}.") from error
        self.rows: list[VerifiedOutput] = []
        self.seen: set[str] = set()
        extra = self.extra
        tokens = {name: extra[key] for name, key in (("vocabulary", "vocab_size"), ("vision_start_id",) * 2,
                                                     ("vision_end_id",) * 2) if key in extra}
        torch.manual_seed(0)
        self.model = UVLM(reference_config(self.config, **tokens)).eval()
        load_reference_state(self.model, weights)
        self.same("state: names of tensors", set(reference_names(self.model)) ^ set(weights))
        self.same("state: aliases", set(reference_aliases(self.model).items()) ^ set(self.aliases.items()))
        if (folder / str(self.config.get("tokenizer"))).is_dir() and "texts" in extra:
            self.tokenizer(folder / self.config["tokenizer"])
        elif "texts" in extra:
            self.rows.append(VerifiedOutput("vocabulary and text", 0, 0, True, "different",
                                            f"NOT COMPARED: there is no tokenizer {self.config.get('tokenizer')}"))
        counts = {"n_unique_tensors": len(weights), "state_dict_keys": len(weights) + len(self.aliases),
                  "n_params": sum(parameter.numel() for parameter in self.model.parameters())}
        self.numbers({name: value for name, value in counts.items() if name in self.config}, self.config)

    def run(self) -> list[VerifiedOutput]:
        features = self.model.encode(self.inputs["image"])
        self.features(features)
        loss = self.segmentation(features) if self.model.segmenter is not None else self.tasks(features)
        self.gradients(loss)
        for name in self.outputs.keys() - self.seen:  # an output that nothing was compared with is no success
            self.rows.append(VerifiedOutput(f"{name} (not known)", float("nan"), 0, False))
        return self.rows

    def close(self, name: str, found: Tensor, tolerance: float, relative: float = 0.0,
              expected: Tensor | None = None) -> None:
        """Compares with an output of the fixture; allowed is tolerance + relative * |value|."""
        self.seen.add(name)
        expected = (self.outputs[name] if expected is None else expected).double()
        if found.shape != expected.shape:
            self.rows.append(VerifiedOutput(f"{name} (shape {tuple(found.shape)}, expected {tuple(expected.shape)})",
                                            float("inf"), tolerance, False))
            return
        error = (found.detach().double() - expected).abs()
        ok = bool((error <= tolerance + relative * expected.abs()).all())
        kind = "absolute/relative" if relative else "absolute"
        self.rows.append(VerifiedOutput(name, float(error.max()), tolerance, ok, kind))

    def relative(self, name: str, found: float, expected: float, tolerance: float) -> None:
        error = abs(found - expected) / max(abs(expected), 1e-12)
        self.rows.append(VerifiedOutput(name, error, tolerance, error <= tolerance, "relative"))

    def same(self, name: str, differences: Any) -> None:
        count = differences if isinstance(differences, int) else len(differences)
        self.rows.append(VerifiedOutput(name, count, 0, count == 0, "different"))

    def numbers(self, found: dict[str, Any], expected: dict[str, Any]) -> None:
        """Integers and lists of integers that must be equal where the fixture has them."""
        for name, value in found.items():
            if name in expected:
                self.same(name, int(value != expected[name]))

    def tokenizer(self, folder: Path) -> None:
        """Special tokens, and text to ids and back, where the fixture's tokenizer is at hand."""
        tokenizer, specials = load_reference_tokenizer(folder)
        self.numbers({**specials, "vocab_size": tokenizer.get_vocab_size(with_added_tokens=True)}, self.extra)
        masks = self.inputs["text_attention_mask"].bool()
        wrong = sum(tokenizer.encode(text).ids != ids[mask].tolist()
                    for text, ids, mask in zip(self.extra["texts"], self.inputs["text_ids"], masks, strict=True))
        self.same("ids of texts", wrong)
        if "prompt" in self.extra:
            same = tokenizer.encode(self.extra["prompt"]).ids == self.inputs["prompt_ids"][0].tolist()
            self.same("prompt_ids", int(not same))
        if "greedy_text" in self.extra:
            text = tokenizer.decode(self.outputs["greedy_ids"].tolist(), skip_special_tokens=False)
            self.same("greedy_text", int(text != self.extra["greedy_text"]))

    def features(self, features: list[Tensor]) -> None:
        if "enc_last" in self.outputs:
            self.close("enc_last", features[-1], FEATURE, FEATURE)
        if "enc_stage0_sub" in self.outputs:
            self.close("enc_stage0_sub", features[0][:, :, 3::8, 3::8, 3::8], FEATURE, FEATURE)
        for number, (row, feature) in enumerate(zip(self.extra.get("stage_features", []), features, strict=False)):
            self.same(f"stage_features {number} shape", int(row["shape"] != list(feature.shape)))
            found = torch.stack((feature.mean(), feature.std(), feature.abs().max()))
            expected = torch.tensor([row["mean"], row["std"], row["absmax"]])
            self.close(f"stage_features {number} mean, std, absmax", found, FEATURE, FEATURE, expected)

    def segmentation(self, features: list[Tensor]) -> Tensor:
        """Segmentation fixtures; returns the total loss."""
        levels = self.model.segment(features, deep_supervision=True)
        for number, logits in enumerate(levels):
            if f"seg_{number}" in self.outputs:
                self.close(f"seg_{number}", logits, LOGIT)
            if f"seg_{number}_b0" in self.outputs:
                step = max(1, 4 >> number)
                self.close(f"seg_{number}_b0", logits[:1, :, ::step, ::step, ::step], LOGIT)
        single = self.model.segment(features)
        self.close("without deep supervision", single, 0, expected=levels[0].detach())
        if "seg_0_argmax" in self.outputs:
            self.seen.add("seg_0_argmax")
            two = single.topk(2, 1)
            clear = two.values[:, 0] - two.values[:, 1] > 2 * LOGIT
            self.same("seg_0_argmax", int((clear & (two.indices[:, 0] != self.outputs["seg_0_argmax"].long())).sum()))
        targets = [self.inputs[f"target_{number}"].long() for number in range(len(levels))]
        terms = [dice_and_cross_entropy(logits, target) for logits, target in zip(levels, targets, strict=True)]
        for number, (dice, entropy) in enumerate(terms):
            for name, value in (("dice_term", dice), ("ce_term", entropy), ("loss", dice + entropy)):
                if f"{name}_per_scale" in self.extra:
                    expected = self.extra[f"{name}_per_scale"][number]
                    self.relative(f"{name} {number}", value.item(), expected, LOSS)
        weights = deep_supervision_weights(len(levels))
        self.close("ds_weights", torch.tensor(weights), 1e-6, expected=torch.tensor(self.extra["ds_weights"]))
        total = sum(weight * (dice + entropy) for weight, (dice, entropy) in zip(weights, terms, strict=True))
        self.relative("loss", total.item(), self.extra["loss"], LOSS)
        return total

    def tasks(self, features: list[Tensor]) -> Tensor:
        """Classification and report fixtures; returns the mean of the task losses."""
        losses = []
        tasks = 0
        if self.model.classifier is not None:
            losses += self.classification(features)
            tasks += len(losses)
        if self.model.language is not None:
            losses.append(self.report(features))
            tasks += 1
        total = sum(losses) / tasks
        self.relative("total_loss", total.item(), self.extra["total_loss"], LOSS)
        return total

    def classification(self, features: list[Tensor]) -> list[Tensor]:
        heads = self.model.config.classifier.heads
        losses = []
        for number, logits in enumerate(self.model.classify(features).split([head.classes for head in heads], 1)):
            self.close(f"cls_logits_{number}", logits, LOGIT)
            loss = functional.binary_cross_entropy_with_logits(
                logits, self.inputs[f"cls_target_{number}"],
                pos_weight=torch.tensor(self.extra[f"pos_weight_{number}"], dtype=torch.float32))
            self.relative(f"cls_loss_{number}", loss.item(), self.extra[f"cls_loss_{number}"], LOSS)
            losses.append(loss)
        return losses

    def report(self, features: list[Tensor]) -> Tensor:
        """Vision tokens, injected features, teacher-forced logits and generation; returns the report loss."""
        vision = self.model.vision(features)
        self.vision_tokens(vision)
        ids, mask = self.inputs["text_ids"], self.inputs["text_attention_mask"]
        logits = self.model.language(vision, ids, mask, every_position=True)
        start = len(vision) + 2
        self.close("text_logits", logits[:, start:], LOGIT)
        self.close("vision_pos_logits", logits[:, self.outputs["vision_pos_idx"]], LOGIT)
        self.seen.add("vision_pos_idx")
        self.close("logsumexp_all", logits.logsumexp(2), LOGIT)
        self.numbers({"text_start_idx": start, "seq_len": start + ids.shape[1]}, self.extra)
        wanted = ids[:, 1:].masked_fill(ids[:, 1:] == self.extra["pad_id"], -100)
        loss = functional.cross_entropy(logits[:, start:-1].flatten(0, 1), wanted.flatten(), ignore_index=-100)
        self.relative("report_loss", loss.item(), self.extra["report_loss"], LOSS)
        self.generation(vision)
        return loss

    def vision_tokens(self, vision: VisionTokens) -> None:
        sub = slice(None, None, max(1, len(vision) // 32))
        if "vision_tokens_b0_sub" in self.outputs:
            self.close("vision_tokens_b0_sub", vision.main[:1, sub], FEATURE, FEATURE)
        for number, tokens in enumerate(vision.injected):
            if f"deepstack_{number}_b0_sub" in self.outputs:
                self.close(f"deepstack_{number}_b0_sub", tokens[:1, sub], FEATURE, FEATURE)
        injection: InjectionConfig = self.model.config.injection
        self.numbers({
            "n_vision_tokens": len(vision), "num_layers": len(self.model.language.layers),
            "deepstack_stages": list(injection.stages), "source_stage_idx": injection.source,
            "rope_max_seq_len": rope_length(self.config),
        }, self.extra)
        if vision.injected:
            self.numbers({
                "deepstack_len": [tokens.shape[1] for tokens in vision.injected],
                "deepstack_nonzero_rows": [int((tokens[0] != 0).any(1).sum()) for tokens in vision.injected],
            }, self.extra)

    @torch.no_grad()
    def generation(self, vision: VisionTokens) -> None:
        """Greedy ids with the cache. Where an id was chosen by rounding, the fixture's is taken for the next step."""
        if "greedy_ids" not in self.outputs:
            return
        first = VisionTokens(vision.main[:1].detach(), [row[:1].detach() for row in vision.injected], vision.grids[:1])
        language = self.model.language
        ids = self.outputs["greedy_ids"].tolist()
        logits, _, state = language.prefill(first, self.inputs["prompt_ids"], None, len(ids))
        wrong, margins, rows = 0, [], []
        for token in ids:
            rows.append(logits.clone())
            top = logits[0].topk(2)
            margins.append(float(top.values[0] - top.values[1]))
            lead = float(top.values[0] - logits[0, token])  # of our choice over the fixture's
            wrong += int(top.indices[0]) != token and lead > GREEDY_MARGIN
            logits, _ = language.step(state, torch.tensor([token]))
        self.seen.add("greedy_ids")
        self.same("greedy_ids", wrong)
        for name, row in (("gen_first_logits", rows[0]), ("gen_last_logits", rows[-1])):
            if name in self.outputs:
                self.close(name, row, LOGIT)
        if "greedy_margin" in self.extra:
            self.close("greedy_margin", torch.tensor(margins), 2 * LOGIT,
                       expected=torch.tensor(self.extra["greedy_margin"]))
        self.numbers({"greedy_stopped_on_eos": ids[-1] == self.extra.get("eos_id")}, self.extra)
        whole = torch.cat((self.inputs["prompt_ids"], self.outputs["greedy_ids"][None].long()), 1)
        uncached = language(first, whole)[:, -len(ids) - 1 : -1]
        self.close("cached - uncached", torch.stack(rows, 1), LOGIT, expected=uncached)

    def gradients(self, loss: Tensor) -> None:
        """Gradient norms of every parameter.

        The bias of a convolution before an instance norm has no effect: its true gradient is 0 and what is found is
        rounding, about 1e-7 of the whole gradient. It must only be as small as that.
        """
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        parameters = dict(self.model.named_parameters())
        names, expected = reference_names(self.model), self.extra["grad_norms"]
        norms = {}
        for name, target in names.items():
            gradient = parameters[target.name].grad
            norms[name] = 0.0 if gradient is None else float(target.of(gradient).norm())
        total = sum(norm**2 for norm in norms.values()) ** 0.5
        errors, noise = {}, 0.0
        for name, norm in norms.items():
            wanted = expected.get(name, 0.0)
            if name.endswith("conv.bias"):
                noise = max(noise, norm / max(1.0, total))
            elif max(wanted, norm) >= NOISE:
                errors[name] = abs(norm - wanted) / max(wanted, NOISE)
        worst = max(errors, key=errors.get)
        self.rows.append(VerifiedOutput(f"grad_norms of {len(errors)} parameters", errors[worst], GRADIENT,
                                        errors[worst] <= GRADIENT, "relative", f"worst: {worst}"))
        self.rows.append(VerifiedOutput("grad_norms of biases before a norm", noise, NOISE, noise <= NOISE))
        self.same("grad_norms: unknown names", set(expected) - set(names))
        if "grad_total_norm" in self.extra:
            self.relative("grad_total_norm", total, self.extra["grad_total_norm"], GRADIENT)


def dice_and_cross_entropy(logits: Tensor, target: Tensor, smooth: float = 1e-5) -> tuple[Tensor, Tensor]:
    """Negative soft Dice (foreground, mean over samples and classes) and cross-entropy, as nnU-Net defines them.

    Args:
        logits: (B, C, z, y, x).
        target: (B, 1, z, y, x) int64.
    """
    probability = logits.softmax(1).flatten(2)[:, 1:]
    truth = nn.functional.one_hot(target[:, 0].flatten(1), logits.shape[1]).transpose(1, 2)[:, 1:]
    overlap = (probability * truth).sum(2)
    volume = probability.sum(2) + truth.sum(2)
    dice = (2 * overlap + smooth) / (volume + smooth).clamp_min(1e-8)
    return -dice.mean(), functional.cross_entropy(logits, target[:, 0])


def deep_supervision_weights(levels: int) -> list[float]:
    """1, 1/2, 1/4, ... with the last set to 0, normalised to sum 1."""
    weights = [0.5**level for level in range(levels)]
    weights[-1] = 0.0
    return [weight / sum(weights) for weight in weights]


def _arrays(path: Path) -> dict[str, Tensor]:
    with np.load(path, allow_pickle=False) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def verify_and_print(folder: str | Path, show: Callable[[str], None] = print) -> bool:
    """Verifies one folder, shows the table, and says whether everything is within tolerance."""
    rows = verify_fixture(folder)
    show(format_rows(rows))
    return all(row.ok for row in rows)
