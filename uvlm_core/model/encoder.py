"""The residual encoder: nnU-Net's ResEnc with instance norm, leaky ReLU and average-pooled skips (U-VLM, section 3).

Shapes: B batch, C channels, Z Y X the model grid; stage s has the grid divided by the strides up to s.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from uvlm_core.errors import VolumeError
from uvlm_core.model.config import EncoderConfig, Triple

NEGATIVE_SLOPE = 0.01


class ConvolutionNorm(nn.Module):
    """Convolution -> instance norm -> leaky ReLU (left out where the block adds its skip first)."""

    def __init__(self, inputs: int, outputs: int, kernel: Triple, stride: Triple = (1, 1, 1), bias: bool = True,
                 eps: float = 1e-5, activation: bool = True):
        super().__init__()
        padding = tuple((size - 1) // 2 for size in kernel)
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=bias)
        self.norm = nn.InstanceNorm3d(outputs, eps=eps, affine=True)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, z, y, x) -> (B, C_out, z', y', x')."""
        x = self.norm(self.conv(x))
        return functional.leaky_relu(x, NEGATIVE_SLOPE, inplace=True) if self.activation else x


class ResidualBlock(nn.Module):
    """Two convolutions and a skip; the skip pools where the block strides and projects where channels change."""

    def __init__(self, inputs: int, outputs: int, kernel: Triple, stride: Triple, bias: bool, eps: float):
        super().__init__()
        self.conv1 = ConvolutionNorm(inputs, outputs, kernel, stride, bias, eps)
        self.conv2 = ConvolutionNorm(outputs, outputs, kernel, (1, 1, 1), bias, eps, activation=False)
        self.stride = stride
        self.project = None
        if inputs != outputs:
            self.project = ConvolutionNorm(inputs, outputs, (1, 1, 1), bias=False, eps=eps, activation=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, z, y, x) -> (B, C_out, z / stride, ...)."""
        skip = x if self.stride == (1, 1, 1) else functional.avg_pool3d(x, self.stride, self.stride)
        if self.project is not None:
            skip = self.project(skip)
        return functional.leaky_relu(self.conv2(self.conv1(x)) + skip, NEGATIVE_SLOPE, inplace=True)


class ResidualEncoder(nn.Module):
    """Stem and stages; gives the output of every stage."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.config = config
        self.checkpointing = False
        bias, eps = config.conv_bias, config.norm_eps
        self.stem = ConvolutionNorm(config.in_channels, config.features[0], config.kernels[0], bias=bias, eps=eps)
        self.stages = nn.ModuleList()
        inputs = config.features[0]
        for outputs, blocks, stride, kernel in zip(config.features, config.blocks, config.strides, config.kernels,
                                                   strict=True):
            first = ResidualBlock(inputs, outputs, kernel, stride, bias, eps)
            rest = [ResidualBlock(outputs, outputs, kernel, (1, 1, 1), bias, eps) for _ in range(blocks - 1)]
            self.stages.append(nn.Sequential(first, *rest))
            inputs = outputs

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features of all stages, finest first.

        Args:
            image: (B, in_channels, Z, Y, X), network values of the model grid.

        Returns:
            one (B, C_s, Z_s, Y_s, X_s) per stage.

        Raises:
            VolumeError: the size is not a multiple of the total stride, or too small for the deepest stage.
        """
        self.check_size(image)
        x = recomputed(self.stem, image, self.checkpointing)
        features = []
        for stage in self.stages:
            for block in stage:
                x = recomputed(block, x, self.checkpointing)
            features.append(x)
        return features

    def check_size(self, image: Tensor) -> None:
        """Raises VolumeError where a stage could not be built or normalised."""
        channels, total = self.config.in_channels, self.config.total_stride()
        if image.ndim != 5 or image.shape[1] != channels:
            raise VolumeError(f"The encoder expects an image (B, {channels}, Z, Y, X); found {tuple(image.shape)}.")
        size = tuple(image.shape[2:])
        if any(extent % step for extent, step in zip(size, total, strict=True)):
            raise VolumeError(f"The image is {size} voxels (Z, Y, X); each size must be a multiple of {total}. "
                              "Resample it with the model's own grid (volumes.grid.to_grid).")
        cells = [extent // step for extent, step in zip(size, total, strict=True)]
        if cells[0] * cells[1] * cells[2] < 2:
            raise VolumeError(f"The image is {size} voxels (Z, Y, X), only one cell of the deepest stage; "
                              f"at least two of {total} are needed.")


def recomputed(module: nn.Module, x: Tensor, checkpointing: bool) -> Tensor:
    """module(x); with `checkpointing` its activations are not kept for the gradient but computed again."""
    if checkpointing and torch.is_grad_enabled():
        return checkpoint(module, x, use_reentrant=False)
    return module(x)


def initialize_convolutions(module: nn.Module) -> None:
    """He initialisation for leaky ReLU, zero biases, as nnU-Net does; for `Module.apply`."""
    if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
        nn.init.kaiming_normal_(module.weight, a=NEGATIVE_SLOPE)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
