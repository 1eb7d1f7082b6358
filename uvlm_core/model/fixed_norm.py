"""Norms that do not depend on what part of the body a scan shows.

An instance norm takes mean and variance of the image at hand. A training patch, a whole scan and a scan cropped to the
heart have different ones, so that the same voxel with the same surroundings gets other features in each. HU have the
same meaning everywhere; so, once the features have settled, the statistics can be measured on whole scans and kept,
as a batch norm does (Ioffe and Szegedy 2015) without its noise at a batch size of 1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional


class FixedNorm(nn.Module):
    """(x - mean) / deviation * weight + bias per channel; mean and variance are measured once (`fix_norms`)."""

    def __init__(self, channels: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, Z, Y, X) -> the same shape."""
        return functional.batch_norm(x, self.mean, self.variance, self.weight, self.bias, False, 0.0, self.eps)

    @torch.no_grad()
    def folded(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """Weight and bias of one convolution that does what the convolution (weight, bias) and this norm do."""
        scale = self.weight / (self.variance + self.eps).sqrt()
        before = 0.0 if bias is None else bias
        return weight * scale.view(-1, *[1] * (weight.ndim - 1)), (before - self.mean) * scale + self.bias


def use_fixed_norms(model: nn.Module) -> None:
    """Puts fixed norms (mean 0, variance 1, same weight and bias) in the place of the model's instance norms."""
    for module in list(model.modules()):
        for name, norm in list(module.named_children()):
            if isinstance(norm, nn.InstanceNorm3d):
                fixed = FixedNorm(norm.num_features, norm.eps).to(norm.weight)
                fixed.load_state_dict({"weight": norm.weight, "bias": norm.bias}, strict=False)
                setattr(module, name, fixed)
    model.config = replace(model.config, encoder=replace(model.config.encoder, norm="fixed"))


@torch.no_grad()
def fix_norms(model: nn.Module, images: Iterable[Tensor]) -> None:
    """Replaces the instance norms of encoder and segmenter by fixed ones that, on average, do the same.

    Args:
        model: a `UVLM`; one whose norms are fixed already is left as it is.
        images: (1, 1, Z, Y, X) network values of whole scans, as many as tell the usual statistics (about 20).
    """
    norms = {name: norm for name, norm in model.named_modules() if isinstance(norm, nn.InstanceNorm3d)}
    if not norms:
        return
    seen = defaultdict(list)

    def note(name):
        return lambda _, inputs: seen[name].append((inputs[0].float().mean((0, 2, 3, 4)),
                                                    inputs[0].float().var((0, 2, 3, 4), correction=0)))

    hooks = [norm.register_forward_pre_hook(note(name)) for name, norm in norms.items()]
    for image in images:
        features = model.encode(image)
        if model.segmenter is not None:
            model.segment(features)
    for hook in hooks:
        hook.remove()
    use_fixed_norms(model)
    for name, rows in seen.items():
        fixed = model.get_submodule(name)
        fixed.mean.copy_(torch.stack([mean for mean, _ in rows]).mean(0))
        fixed.variance.copy_(torch.stack([variance for _, variance in rows]).mean(0))
