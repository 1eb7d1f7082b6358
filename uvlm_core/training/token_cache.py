"""What a frozen encoder says about every case, computed once: tokens for the two later heads, and mask evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

from uvlm_core.errors import Cancelled
from uvlm_core.files import replace_tensors
from uvlm_core.inference.device import Placement
from uvlm_core.inference.heads import fast_form
from uvlm_core.model.injection import StageTokens
from uvlm_core.model.uvlm import UVLM
from uvlm_core.training import processes
from uvlm_core.training.loop import use_bf16
from uvlm_core.training.prepare import GridCase
from uvlm_core.training.segmentation import whole_image

KEPT_BYTES = 4 << 30


@dataclass(frozen=True)
class CachedCase:
    """Encoder output of one case: tokens of the language decoder and of the classifier, evidence (1, F, K)."""

    vision: StageTokens
    findings: StageTokens
    evidence: Tensor | None


def weights_key(model: UVLM) -> str:
    """Short hash of encoder and segmenter: a cache made with other weights, or with less evidence, is never read."""
    digest = hashlib.sha256(b"part evidence" if model.config.classifier.part_evidence else b"")
    for name, value in model.state_dict().items():
        if name.startswith(("encoder.", "segmenter.")):
            digest.update(name.encode())
            digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def cache_tokens(model: UVLM, cases: list[GridCase], out: Path, precision: str = "auto",
                 cancel: Callable[[], bool] = lambda: False) -> CachedCases:
    """The cached case of every case, made where it is not there yet (processes share that); one safetensors file
    each.

    `precision` is the stage's: in bf16 a mask's edge, and with it the evidence, depends on how many threads compute it.
    `cancel` is asked before every case; True of any process raises Cancelled, and what is made is kept.
    """
    device = next(model.parameters()).device.type
    rounded = use_bf16(precision, torch.device(device))
    folder = out / (weights_key(model) + ("" if rounded == use_bf16("auto", torch.device(device)) else f"-{precision}"))
    folder.mkdir(parents=True, exist_ok=True)
    fast, autocast = fast_form(model.eval(), Placement(device, "bf16" if rounded else "fp32", ""))
    paths = [folder / f"{case.name}.safetensors" for case in cases]
    missing = [number for number in processes.mine(range(len(cases))) if not paths[number].exists()]
    stop = False
    for number in tqdm(missing, desc="encoding", unit="case", disable=not (missing and processes.is_main())):
        if stop := cancel():
            break
        replace_tensors(paths[number], _encode(fast, autocast, cases[number]))
    if processes.some_process(stop):
        raise Cancelled
    return CachedCases(paths)


class CachedCases(Sequence):
    """Cached cases in order; read once and kept where all of them together are small, else read on each use."""

    def __init__(self, paths: list[Path]):
        self.paths = paths
        self.kept: dict[int, CachedCase] = {}
        self.keeps = sum(path.stat().st_size for path in paths) <= KEPT_BYTES

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> CachedCase:
        if number in self.kept:
            return self.kept[number]
        case = _load(self.paths[number])
        if self.keeps:
            self.kept[number] = case
        return case


@torch.inference_mode()
def _encode(model: UVLM, autocast, case: GridCase) -> dict[str, Tensor]:
    with autocast():
        features = model.encode(whole_image(model, case))
        masks = model.segment(features)
        vision = model.vision_tokens_to_cache(features)
        finding = model.classifier.pool(features)
    tensors = {f"vision/{index}": row.half() for index, row in enumerate(vision.stages)}
    tensors |= {f"findings/{index}": row.half() for index, row in enumerate(finding.stages)}
    tensors |= {"vision_grids": vision.grids, "findings_grids": finding.grids}
    if model.classifier.config.mask_evidence:
        tensors["evidence"] = model.classifier.evidence(masks)
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def _load(path: Path) -> CachedCase:
    tensors = load_file(path)

    def tokens(kind: str) -> StageTokens:
        count = sum(name.startswith(f"{kind}/") for name in tensors)
        return StageTokens([tensors[f"{kind}/{index}"] for index in range(count)], tensors[f"{kind}_grids"])

    return CachedCase(tokens("vision"), tokens("findings"), tensors.get("evidence"))


def to_float(tokens: StageTokens, device: torch.device) -> StageTokens:
    """The same tokens in float32 on `device`."""
    return StageTokens([row.float().to(device) for row in tokens.stages], tokens.grids.to(device))
