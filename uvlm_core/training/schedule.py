"""Optimizer groups, learning-rate schedules and averaged weights."""

from __future__ import annotations

import math

import torch
from torch import nn

from uvlm_core.errors import RecipeError
from uvlm_core.training.recipe import StageRecipe
from uvlm_core.training.sharding import is_shared


def rate_factor(schedule: str, step: int, steps: int, warm_up: int) -> float:
    """Factor on the learning rate for step 0 … steps - 1.

    Linear warm-up, then "poly" ((1 - t) ** 0.9, nnU-Net), "cosine" (half wave to zero) or "constant".
    """
    if step < warm_up:
        return (step + 1) / (warm_up + 1)
    progress = (step - warm_up) / max(1, steps - warm_up)
    if schedule == "poly":
        return (1 - progress) ** 0.9
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    if schedule == "constant":
        return 1.0
    raise RecipeError(f"Unknown schedule '{schedule}'; there are poly, cosine and constant.")


def parameter_groups(model: nn.Module, rate: float, weight_decay: float, encoder_rate: float) -> list[dict]:
    """AdamW groups: weight decay only on matrices and kernels, own rate for encoder and segmenter.

    Norms, biases, embeddings, queries and gates of one dimension are not decayed. Empty groups are dropped, and each
    group carries its own factor, so a resumed run cannot mix them up.
    """
    groups: dict[tuple[float, bool], list] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        factor = encoder_rate if name.startswith(("encoder.", "segmenter.")) else 1.0
        decayed = parameter.ndim > 1 and "embedding" not in name and "embed_tokens" not in name
        groups.setdefault((factor, decayed), []).append(parameter)
    return [
        {"params": members, "rate": rate * factor, "weight_decay": weight_decay if decayed else 0.0}
        for (factor, decayed), members in groups.items()
    ]


def trained_groups(model: nn.Module, recipe: StageRecipe) -> list[dict]:
    """The stage's `parameter_groups`; their order numbers the parameters in a checkpoint."""
    return parameter_groups(model, recipe.rate, recipe.weight_decay, recipe.encoder_rate)


def _apart(group: dict) -> list[dict]:
    """The group once with what is shared out over processes and once with what is not: an optimizer takes the members
    of a group together."""
    parts = [[row for row in group["params"] if is_shared(row) is shared] for shared in (False, True)]
    return [{**group, "params": members} for members in parts if members]


def make_optimizer(model: nn.Module, recipe: StageRecipe) -> torch.optim.Optimizer:
    """The stage's optimizer over what is trained."""
    groups = [part for group in trained_groups(model, recipe) for part in _apart(group)]
    if not groups:
        raise RecipeError(f"The {recipe.kind} stage trains nothing: its 'trained_parts' leave out all that it could.")
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.rate, momentum=0.99, nesterov=True)
    return torch.optim.AdamW(groups, lr=recipe.rate)


class AveragedWeights:
    """Exponential moving average of all parameters; the first steps average faster, so it is useful early.

    Parameters that are not trained are the model's own, not copies: a large frozen language model counts once.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.frozen = {name for name, value in model.state_dict(keep_vars=True).items()
                       if isinstance(value, nn.Parameter) and not value.requires_grad}
        self.values = {name: value.detach() if name in self.frozen else value.detach().clone()
                       for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """`step` counts from 0 and only sets how fast the average starts."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            if name in self.frozen:
                continue
            if value.is_floating_point():
                self.values[name].lerp_(value, 1 - decay)
            else:
                self.values[name].copy_(value)
