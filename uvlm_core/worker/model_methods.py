"""`bundle_info` and `load_bundle`: what a model is, what it will take, and making it ready."""

from __future__ import annotations

import sys
import time

from uvlm_core.inference.device import DEVICES, PRECISIONS
from uvlm_core.worker import params as check
from uvlm_core.worker.jobs import Job
from uvlm_core.worker.models import WarmModel, bundle_folder, describe_bundle
from uvlm_core.worker.params import Field
from uvlm_core.worker.timings import COMMON_SCAN, Timings

MODEL_FIELDS = {"bundle": Field(check.or_null(check.path), None), "device": Field(check.one_of(*DEVICES), "auto"),
                "precision": Field(check.one_of(*PRECISIONS), "auto")}


def bundle_info(values: dict, model: WarmModel, timings: Timings) -> dict:
    """What a model is, and what a usual scan will take on this machine; raises BundleError."""
    folder = bundle_folder(values["bundle"])
    row = describe_bundle(folder)
    wanted = (values["device"], values["precision"])
    row["loaded"] = model.holds(values["bundle"], *wanted)
    stages = timings.stages(row["sha256"], *wanted, COMMON_SCAN)
    if stages is not None:
        seconds, source = sum(stages.values()), "runs"
        memory = timings.peak_mib(row["sha256"], *wanted, COMMON_SCAN)
    else:
        seconds, memory = _estimate(folder, row["parameters"], *wanted)
        source = None if seconds is None else "estimate"
    return {**row, "expected_seconds": None if seconds is None else round(seconds, 1),
            "expected_memory_mib": None if memory is None else round(memory), "expected_from": source}


def _estimate(folder, parameters: int | None, device: str, precision: str) -> tuple[float | None, float | None]:
    """(seconds, MiB) without a former run; (None, None) where the model is damaged or would run on a GPU."""
    from uvlm_core.errors import UVLMError
    from uvlm_core.model.bundle import read_info
    from uvlm_core.model.config import ModelConfig
    from uvlm_core.worker.estimate import estimate_memory_mib, estimate_seconds, machine_gflop_per_second

    bf16 = False
    if "torch" in sys.modules:  # otherwise it could not run anyway
        from uvlm_core.inference.device import choose

        try:
            place = choose(device, precision, parameters or 0)
        except UVLMError:
            return None, None
        if place.device != "cpu":
            return None, None
        bf16 = place.precision == "bf16"
    try:
        config = ModelConfig.from_dict(read_info(folder).config)
    except UVLMError:
        return None, None
    return (estimate_seconds(config, machine_gflop_per_second(), bf16),
            estimate_memory_mib(config, parameters or 0))


def load_bundle(values: dict, job: Job, model: WarmModel, timings: Timings) -> dict:
    """Makes a model ready; raises BundleError and UVLMError."""
    from uvlm_core.inference.progress import Monitor

    begin = time.perf_counter()
    wanted = (values["bundle"], values["device"], values["precision"])
    with Monitor(job.progress, job.cancelled).stage("load model"):
        (_, placement), now = model.get(*wanted)
    return {**bundle_info(values, model, timings), "device": placement.device, "device_title": placement.title,
            "precision": placement.precision, "reloaded": now, "seconds": round(time.perf_counter() - begin, 3)}
