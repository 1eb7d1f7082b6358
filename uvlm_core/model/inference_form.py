"""Encoder and segmenter as they run fastest on a CPU: bf16, channels last, strided skips as one convolution.

Three changes against the trained modules, none of which changes what is computed beyond bf16 rounding: weights and
activations are bf16 with channels innermost (the layout in which oneDNN's bf16 kernels are two to four times as fast);
instance norm is a group norm with one channel per group, which has a kernel for that layout, and a fixed norm is part
of its convolution; average pooling followed
by a 1x1x1 convolution is one strided convolution.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from uvlm_core.model.encoder import NEGATIVE_SLOPE, ConvolutionNorm, ResidualBlock, ResidualEncoder
from uvlm_core.model.fixed_norm import FixedNorm
from uvlm_core.model.segmenter import Segmenter
from uvlm_core.model.uvlm import UVLM

_LAYOUT = torch.channels_last_3d


def inference_form(model: UVLM) -> UVLM:
    """A copy of the model for inference on the CPU in bf16; the other parts stay in fp32 and are shared.

    The returned model is used as the original, without autocast and under `torch.inference_mode` or `no_grad`;
    features and label logits are bf16. It cannot be trained or saved. `model` should be in eval mode.
    """
    fast = copy.copy(model)
    fast._modules = dict(model._modules)
    fast.encoder = FastEncoder(model.encoder)
    if model.segmenter is not None:
        fast.segmenter = FastSegmenter(model.segmenter)
    fast.training = False
    return fast


def _weights(weight: Tensor) -> nn.Parameter:
    return nn.Parameter(weight.detach().to(torch.bfloat16).contiguous(memory_format=_LAYOUT), requires_grad=False)


class FastConvolutionNorm(nn.Module):
    """`ConvolutionNorm` in bf16; `pool` folds an average pool of that stride before it into the convolution."""

    def __init__(self, source: ConvolutionNorm, pool: tuple[int, int, int] = (1, 1, 1)):
        super().__init__()
        weight = source.conv.weight.detach().float()
        self.stride, self.padding = source.conv.stride, source.conv.padding
        if pool != (1, 1, 1):
            weight = weight.expand(-1, -1, *pool) / (pool[0] * pool[1] * pool[2])
            self.stride, self.padding = pool, (0, 0, 0)
        self.bias, self.instance_norm = None, None
        if isinstance(source.norm, FixedNorm):
            weight, bias = source.norm.folded(weight, source.conv.bias)
            self.bias = nn.Parameter(bias.to(torch.bfloat16), requires_grad=False)
        else:  # the convolution's bias has no effect: the norm subtracts each channel's mean
            self.instance_norm = nn.GroupNorm(len(weight), len(weight), source.norm.eps)
            self.instance_norm.load_state_dict({"weight": source.norm.weight, "bias": source.norm.bias})
            self.instance_norm.to(torch.bfloat16).requires_grad_(False)
        self.weight, self.activation = _weights(weight), source.activation

    def forward(self, x: Tensor) -> Tensor:
        x = functional.conv3d(x, self.weight, self.bias, self.stride, self.padding)
        if self.instance_norm is not None:
            x = self.instance_norm(x)
        return functional.leaky_relu_(x, NEGATIVE_SLOPE) if self.activation else x


class FastBlock(nn.Module):
    """`ResidualBlock` in bf16."""

    def __init__(self, source: ResidualBlock):
        super().__init__()
        self.conv1, self.conv2 = FastConvolutionNorm(source.conv1), FastConvolutionNorm(source.conv2)
        self.stride = source.stride
        self.project = None if source.project is None else FastConvolutionNorm(source.project, source.stride)

    def forward(self, x: Tensor) -> Tensor:
        if self.project is not None:
            skip = self.project(x)
        elif self.stride != (1, 1, 1):
            skip = functional.avg_pool3d(x.float(), self.stride).to(x.dtype)  # has no bf16 kernel
        else:
            skip = x
        return functional.leaky_relu_(self.conv2(self.conv1(x)).add_(skip), NEGATIVE_SLOPE)


class FastEncoder(nn.Module):
    """`ResidualEncoder` in bf16; features are bf16, channels last."""

    def __init__(self, source: ResidualEncoder):
        super().__init__()
        self.config = source.config
        self.check_size = source.check_size
        self.stem = FastConvolutionNorm(source.stem)
        self.stages = nn.ModuleList(nn.Sequential(*map(FastBlock, stage)) for stage in source.stages)

    @torch.inference_mode()
    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, in_channels, Z, Y, X) -> features of all stages, finest first."""
        self.check_size(image)
        x = self.stem(image.to(torch.bfloat16).contiguous(memory_format=_LAYOUT))
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class FastSegmenter(nn.Module):
    """`Segmenter` in bf16; logits are bf16, channels last."""

    def __init__(self, source: Segmenter):
        super().__init__()
        self.fusion, self.checkpointing = source.fusion, False
        self.upsample, self.classify = nn.ModuleList(), nn.ModuleList()
        for kept, modules in ((self.upsample, source.upsample), (self.classify, source.classify)):
            for module in modules:
                module = copy.deepcopy(module).to(torch.bfloat16, memory_format=_LAYOUT)
                kept.append(module.requires_grad_(False))
        self.levels = nn.ModuleList(nn.Sequential(*map(FastConvolutionNorm, level)) for level in source.levels)

    @torch.inference_mode()
    def forward(self, features: list[Tensor], deep_supervision: bool = False) -> Tensor | list[Tensor]:
        """Label logits as `Segmenter.forward`."""
        return Segmenter.forward(self, features, deep_supervision)
