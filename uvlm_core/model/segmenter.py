"""The U-Net decoder that turns encoder features into label logits (nnU-Net, residual encoder variant)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from uvlm_core.model.config import EncoderConfig, SegmenterConfig
from uvlm_core.model.encoder import ConvolutionNorm, recomputed


class Segmenter(nn.Module):
    """One level per encoder stage but the deepest: upsample, join with the skip, convolve, classify voxels."""

    def __init__(self, encoder: EncoderConfig, config: SegmenterConfig, n_labels: int):
        super().__init__()
        self.fusion = config.fusion
        self.checkpointing = False
        self.upsample = nn.ModuleList()
        self.levels = nn.ModuleList()
        self.classify = nn.ModuleList()
        for level, convs in enumerate(config.convs):
            deep = encoder.n_stages - 1 - level
            inputs, outputs = encoder.features[deep], encoder.features[deep - 1]
            stride, kernel = encoder.strides[deep], encoder.kernels[deep - 1]
            self.upsample.append(nn.ConvTranspose3d(inputs, outputs, stride, stride, bias=encoder.conv_bias))
            joined = 2 * outputs if config.fusion == "concat" else outputs
            widths = [joined] + [outputs] * convs
            self.levels.append(nn.Sequential(*(
                ConvolutionNorm(before, after, kernel, bias=encoder.conv_bias, eps=encoder.norm_eps)
                for before, after in pairwise(widths)
            )))
            self.classify.append(nn.Conv3d(outputs, n_labels, 1))

    def forward(self, features: list[Tensor], deep_supervision: bool = False) -> Tensor | list[Tensor]:
        """Label logits.

        Args:
            features: all encoder stages, finest first.
            deep_supervision: also give the logits of every coarser level.

        Returns:
            (B, labels, Z, Y, X), or with deep supervision the list of all levels, full resolution first.
        """
        x = features[-1]
        outputs = []
        for index, (upsample, level) in enumerate(zip(self.upsample, self.levels, strict=True)):
            up, skip = upsample(x), features[-2 - index]
            joined = torch.cat((up, skip), 1) if self.fusion == "concat" else up + skip
            x = recomputed(level, joined, self.checkpointing)
            if deep_supervision or index == len(self.levels) - 1:
                outputs.append(self.classify[index](x))
        return outputs[::-1] if deep_supervision else outputs[0]
