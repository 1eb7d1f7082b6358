"""Multi-layer injection: encoder stages become vision tokens that enter the language layers (U-VLM, section 3.3).

In native mode every stage is brought to the grid of the source stage, so that token p is the same place at every
layer. Two steps, so that report training can cache the first: `stage_tokens` pools the features, `project` maps them
to the language width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from uvlm_core.errors import VolumeError
from uvlm_core.model.config import EncoderConfig, InjectionConfig, Triple


@dataclass(frozen=True)
class StageTokens:
    """Pooled features before projection: one (B, N_s, C_s) per injected stage, finest first.

    `grids` (B, 3) int64 are the (z, y, x) sizes of each sample's source grid, raster order z, y, x; where samples
    differ in size, the tokens after the first z * y * x are padding.
    """

    stages: list[Tensor]
    grids: Tensor


@dataclass(frozen=True)
class VisionTokens:
    """What the language decoder receives.

    `main` (B, N, E) stand in the sequence; `injected` (B, N, E) one per group of layers, deepest stage first (empty
    without multi-layer injection); `grids` (B, 3) as in StageTokens; `mask` (B, N) True for real tokens, None if all.
    """

    main: Tensor
    injected: list[Tensor]
    grids: Tensor
    mask: Tensor | None = None

    @property
    def grid(self) -> Triple:
        """(z, y, x) of the first sample's token grid."""
        return tuple(int(size) for size in self.grids[0])

    def __len__(self) -> int:
        return self.main.shape[1]


class Injection(nn.Module):
    """Pools, normalises and projects the injected stages."""

    def __init__(self, encoder: EncoderConfig, config: InjectionConfig, width: int, spacing: tuple[float, ...]):
        super().__init__()
        self.config = config
        self.strides = [encoder.total_stride(stage) for stage in range(encoder.n_stages)]
        self.spacing = tuple(float(step) for step in spacing)
        doubled = 2 if config.pool == "mean_max" else 1
        channels = [encoder.features[stage] * doubled for stage in config.stages]
        self.used = _used_stages(config)
        self.pool_norms = nn.ModuleList(nn.LayerNorm(count) for count in channels)
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Linear(count, 2 * width), nn.GELU(), nn.Linear(2 * width, width)) for count in channels
        )
        self.vision_norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-6) for _ in channels)
        self.patch_embeds = nn.ModuleList()
        if config.pool == "patch_embed":
            for count, kernel in zip(channels, config.patch_kernels, strict=True):
                self.patch_embeds.append(nn.Identity() if kernel is None else nn.Conv3d(count, count, kernel, kernel))
        self.position_gain = nn.Parameter(torch.ones(width)) if config.positions else None

    def stage_tokens(self, features: list[Tensor]) -> StageTokens:
        """Pools the encoder's features (finest first, all stages) to tokens; no learned parameter in native mode."""
        config = self.config
        grid = tuple(features[config.source].shape[2:])
        rows = []
        for stage, index in self.used:
            if config.align == "grid":
                rows.append(align_to_grid(features[stage], grid, config.pool == "mean_max"))
            else:
                rows.append(self._released_pool(index, features[stage]))
        grids = torch.tensor([grid] * len(features[0]), device=rows[0].device)
        return StageTokens(rows, grids)

    def _released_pool(self, index: int, feature: Tensor) -> Tensor:
        config = self.config
        if not config.multi_layer:  # the released code never pools the only stage it uses
            return flatten_grid(feature)
        if config.pool == "patch_embed":
            kept = config.patch_kernels[index] is None
            return flatten_grid(feature if kept else patch_embed(feature, self.patch_embeds[index]))
        size = config.pool_sizes[index]
        return flatten_grid(feature if size is None else functional.adaptive_avg_pool3d(feature, size))

    def project(self, tokens: StageTokens) -> VisionTokens:
        """LayerNorm -> MLP -> LayerNorm of every stage; positions in mm on the main tokens."""
        config = self.config
        projected = [self._project(index, row) for (_, index), row in zip(self.used, tokens.stages, strict=True)]
        numbers = [stage for stage, _ in self.used]
        main = projected[numbers.index(config.source) if config.source in numbers else -1]
        injected = projected[::-1] if config.multi_layer else []
        mask = None
        if config.align == "grid":
            mask = token_mask(tokens.grids, main.shape[1])
        else:
            injected = [_same_length(row, main.shape[1]) for row in injected]
        if self.position_gain is not None:
            main = main + self._positions(tokens.grids, main)
        return VisionTokens(main, injected, tokens.grids, mask)

    def _project(self, index: int, tokens: Tensor) -> Tensor:
        return self.vision_norms[index](self.projections[index](self.pool_norms[index](tokens.float())))

    def _positions(self, grids: Tensor, like: Tensor) -> Tensor:
        step = [cell * size for cell, size in zip(self.strides[self.config.source], self.spacing, strict=True)]
        millimetres = token_positions(grids, like.shape[1], step)
        return sinusoids(millimetres, like.shape[2], shortest=2 * max(step)).to(like.dtype) * self.position_gain

    def forward(self, features: list[Tensor]) -> VisionTokens:
        """Features of all stages, finest first -> vision tokens."""
        return self.project(self.stage_tokens(features))


def _used_stages(config: InjectionConfig) -> list[tuple[int, int]]:
    """(stage, number of its projection) for every stage that becomes tokens."""
    stages = list(config.stages)
    if config.multi_layer:
        return [(stage, index) for index, stage in enumerate(stages)]
    # the released code takes the first projection where the source stage has none of its own
    return [(config.source, stages.index(config.source) if config.source in stages else 0)]


def flatten_grid(feature: Tensor) -> Tensor:
    """(B, C, z, y, x) -> (B, N, C) in raster order z, y, x."""
    return feature.flatten(2).transpose(1, 2)


def align_to_grid(feature: Tensor, grid: Triple, with_maximum: bool) -> Tensor:
    """Brings one stage to the source grid: finer ones by cell means (and maxima), deeper ones by interpolation.

    Returns:
        (B, N, C), or (B, N, 2C) with maxima.

    Raises:
        VolumeError: a finer stage does not divide into the cells of the grid.
    """
    size = tuple(feature.shape[2:])
    if size == tuple(grid):
        mean = maximum = feature
    elif all(have <= want for have, want in zip(size, grid, strict=True)):
        mean = maximum = functional.interpolate(feature.float(), tuple(grid), mode="trilinear", align_corners=False)
    else:
        if any(have % want for have, want in zip(size, grid, strict=True)):
            raise VolumeError(f"A stage of {size} voxels does not divide into the {tuple(grid)} tokens of the "
                              "source stage; the image size must be a multiple of the total stride.")
        mean, maximum = _cell_means_and_maxima(feature, grid, with_maximum)
    if not with_maximum:
        return flatten_grid(mean)
    return flatten_grid(torch.cat((mean, maximum.to(mean.dtype)), 1))


def _cell_means_and_maxima(feature: Tensor, grid: Triple, with_maximum: bool) -> tuple[Tensor, Tensor | None]:
    """(B, C, Z, Y, X) -> (B, C, z, y, x) over the cells of the grid; float32 means."""
    innermost = feature.is_contiguous(memory_format=torch.channels_last_3d) and not feature.is_contiguous()
    x = feature.permute(0, 2, 3, 4, 1) if innermost else feature  # keep the reduction along memory
    first = 1 if innermost else 2
    shape = list(x.shape[:first])
    for have, want in zip(feature.shape[2:], grid, strict=True):
        shape += [want, have // want]
    x = x.reshape(*shape, *x.shape[first + 3 :])
    axes = (first + 1, first + 3, first + 5)
    mean, maximum = x.float().mean(axes), x.amax(axes) if with_maximum else None
    if not innermost:
        return mean, maximum
    return mean.movedim(-1, 1), None if maximum is None else maximum.movedim(-1, 1)


def patch_embed(feature: Tensor, convolution: nn.Conv3d) -> Tensor:
    """Strided convolution after zero padding at the end to a multiple of its kernel (released code)."""
    padding = []
    for size, step in zip(reversed(feature.shape[2:]), reversed(convolution.kernel_size), strict=True):
        padding += [0, -size % step]
    return convolution(functional.pad(feature, padding) if any(padding) else feature)


def _same_length(tokens: Tensor, length: int) -> Tensor:
    """Zeros appended, or the end cut off (released code)."""
    missing = length - tokens.shape[1]
    return functional.pad(tokens, (0, 0, 0, missing)) if missing else tokens


def token_mask(grids: Tensor, length: int) -> Tensor | None:
    """(B, length) True for the tokens of each grid; None if there is no padding."""
    counts = grids.prod(1)
    if bool((counts == length).all()):
        return None
    return torch.arange(length, device=grids.device)[None] < counts[:, None]


def token_positions(grids: Tensor, length: int, step: Sequence[float]) -> Tensor:
    """(B, length, 3) offset of each token's centre from the centre of its grid, (z, y, x) in mm; padding is 0."""
    index = torch.arange(length, device=grids.device)[None]  # (1, N)
    size_z, size_y, size_x = (grids[:, axis, None] for axis in range(3))
    place = torch.stack((index // (size_y * size_x), index // size_x % size_y, index % size_x), -1)
    centred = place - (grids[:, None] - 1) / 2
    inside = (index < size_z * size_y * size_x)[..., None]
    return centred * inside * torch.tensor(step, device=grids.device)


def sinusoids(millimetres: Tensor, width: int, shortest: float, longest: float = 2000.0) -> Tensor:
    """(..., 3) mm -> (..., width): sines and cosines per axis, wavelengths from `shortest` to `longest` mm."""
    waves = width // 6
    if waves == 0:
        return millimetres.new_zeros(*millimetres.shape[:-1], width)
    rising = torch.linspace(0, 1, waves, device=millimetres.device) if waves > 1 else millimetres.new_zeros(1)
    wavelength = shortest * (longest / shortest) ** rising
    angle = millimetres[..., None] * (2 * math.pi / wavelength)  # (..., 3, waves)
    table = torch.cat((angle.sin(), angle.cos()), -1).flatten(-2)
    return functional.pad(table, (0, width - table.shape[-1]))


def collate_stage_tokens(cases: Sequence[StageTokens]) -> StageTokens:
    """One batch from cached cases of different grid sizes; shorter ones are padded with zeros at the end."""
    stages = []
    for index in range(len(cases[0].stages)):
        rows = [case.stages[index] for case in cases]
        length = max(row.shape[1] for row in rows)
        stages.append(torch.cat([functional.pad(row, (0, 0, 0, length - row.shape[1])) for row in rows]))
    return StageTokens(stages, torch.cat([case.grids for case in cases]))
