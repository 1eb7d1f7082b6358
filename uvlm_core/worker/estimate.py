"""What a run will probably take before there was one: the model's arithmetic against this machine's measured speed.

The shares below were measured with the demo model on a phantom of 512 x 512 x 300 voxels, on two cores, in processor
seconds; Testing/benchmarks/worker_runs.py measures again what an estimate is worth.
"""

from __future__ import annotations

import time
from functools import cache
from math import ceil, prod

from uvlm_core.model.config import ModelConfig

BODY_MM = (375.0, 330.0, 384.0)  # z, y, x of the body in a scan of 512 x 512 x 300 voxels
MATRIX = 1024
CONVOLUTION_SHARE = 0.9  # of the speed of that product
FEATURE_GFLOP = 9.5e-6  # norms and activations, per voxel and channel of the finest stage, as if they were arithmetic
BF16_GAIN = 3.5  # of the network on a CPU with bf16 units
SCAN_GFLOP = 700.0  # grid, clean-up, way back, measuring and saving
TOKENS = 220  # of a usual report
TOKEN_GFLOP = 0.8  # a token, whatever the decoder's size,
TOKEN_SECONDS_PER_GB = 0.09  # and reading all its weights once
BASE_MIB = 420  # Python, PyTorch, the libraries and the scan's label map
ACTIVATION_COPIES = 7  # of the finest stage that are alive at once


def estimate_seconds(config: ModelConfig, gflop_per_second: float, bf16: bool = False) -> float:
    """Seconds of a run on the CPU with a loaded model, for a scan of 512 x 512 x 300 voxels, to within about half.

    Args:
        gflop_per_second: of `machine_gflop_per_second`.
        bf16: the network runs in bf16.
    """
    shape = common_grid(config)
    network = network_gflop(config, shape) / CONVOLUTION_SHARE
    network += FEATURE_GFLOP * prod(shape) * config.encoder.features[0]
    seconds = (network / (BF16_GAIN if bf16 else 1) + SCAN_GFLOP) / gflop_per_second
    if config.language is not None:
        width, inner = config.language.width, config.language.ffn
        gigabytes = 4e-9 * config.language.layers * (4 * width**2 + 2 * width * inner)
        seconds += TOKENS * (TOKEN_GFLOP / gflop_per_second + TOKEN_SECONDS_PER_GB * gigabytes)
    return seconds


def estimate_memory_mib(config: ModelConfig, parameters: int) -> float:
    """Peak memory of such a run on the CPU in fp32."""
    voxels = prod(common_grid(config))
    activations = ACTIVATION_COPIES * config.encoder.features[0] * 4
    labels = (0 if config.segmenter is None else len(config.labels)) * (4 + 2)
    return BASE_MIB + (parameters * 4 + voxels * (activations + labels)) / 2**20


def common_grid(config: ModelConfig) -> tuple[int, int, int]:
    """(z, y, x) of the model's grid around the body of a usual scan."""
    spec = config.grid
    sizes = [ceil(extent / step / spec.multiple) * spec.multiple
             for extent, step in zip(BODY_MM, spec.spacing, strict=True)]
    return tuple(min(pair) for pair in zip(sizes, spec.max_shape or sizes, strict=True))


def network_gflop(config: ModelConfig, shape: tuple[int, int, int]) -> float:
    """Multiplications and additions of encoder and segmenter on one grid, in 1e9."""
    encoder = config.encoder
    voxels = [prod(shape) / prod(encoder.total_stride(stage)) for stage in range(encoder.n_stages)]
    kernels = [prod(kernel) for kernel in encoder.kernels]
    total = voxels[0] * kernels[0] * encoder.in_channels * encoder.features[0]
    before = encoder.features[0]
    for stage, width in enumerate(encoder.features):
        first = kernels[stage] * before * width + (before * width if before != width else 0)
        others = (2 * encoder.blocks[stage] - 1) * kernels[stage] * width * width
        total += voxels[stage] * (first + others)
        before = width
    if config.segmenter is not None:
        for level, convs in enumerate(config.segmenter.convs):
            deep = encoder.n_stages - 1 - level
            width = encoder.features[deep - 1]
            joined = 2 * width if config.segmenter.fusion == "concat" else width
            inner = kernels[deep - 1] * width * (joined + (convs - 1) * width)
            total += voxels[deep - 1] * (encoder.features[deep] * width + inner)
        total += voxels[0] * encoder.features[0] * len(config.labels)
    return 2 * total / 1e9


@cache
def machine_gflop_per_second() -> float:
    """Speed of a product of two fp32 matrices here and now, the best of five; takes a twentieth of a second."""
    import numpy as np

    left = np.full((MATRIX, MATRIX), 0.5, np.float32)
    best = float("inf")
    for _ in range(6):
        begin = time.perf_counter()
        left @ left
        best = min(best, time.perf_counter() - begin)
    return 2 * MATRIX**3 / best / 1e9
