"""Measures a bundle on phantoms, one small file per case, so that an interrupted run goes on and two can share it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path

import torch
from tqdm import tqdm

from uvlm_core.evaluation.cases import case_row
from uvlm_core.inference.device import choose
from uvlm_core.inference.pipeline import analyse_volume
from uvlm_core.model.bundle import load_bundle
from uvlm_core.phantom.case import PhantomCase
from uvlm_core.phantom.generator import make_phantom


def ready_bundle(folder: Path, device: str = "cpu") -> Future:
    """What `analyse_volume` waits for: the loaded bundle and where it runs, a CPU with bf16 as users' own mostly do."""
    ready: Future = Future()
    ready.set_result((load_bundle(folder), choose(device, "bf16" if device == "cpu" else "auto")))
    return ready


def study_row(case: PhantomCase, ready: Future) -> dict:
    """One phantom through the whole pipeline that users run: the plain numbers of `case_row`."""
    with torch.inference_mode():
        study = analyse_volume(case.volume, ready)
    text = "\n".join(f"{section['title']}: {' '.join(row['text'] for row in section['sentences'])}"
                     for section in study.content["report"]["sections"])
    probabilities = {row["name"]: row["probability"] for row in study.content["findings"]}
    return case_row(study.labels, case.labels, case.volume.spacing, probabilities, text, case.present,
                    [asdict(planted) for planted in case.findings], case.report())


def figures_row(seed: int, ready: Future) -> dict:
    """`study_row` of the phantom with that seed."""
    return study_row(make_phantom(seed), ready)


def measure(bundle_folder: Path, seeds: range, out: Path, row: Callable[[int, Future], dict] = figures_row,
            reverse: bool = False, device: str = "cpu") -> list[dict]:
    """One row of JSON values per phantom; rows that are in `out` already are kept.

    `reverse` works from the last seed on, so that two processes can share the work.
    """
    out.mkdir(parents=True, exist_ok=True)
    ready = ready_bundle(bundle_folder, device)
    for seed in tqdm(seeds[::-1] if reverse else seeds, desc="measuring", unit="case"):
        path = out / f"{seed}.json"
        if path.exists():
            continue
        beside = path.with_suffix(f".{os.getpid()}")
        beside.write_text(json.dumps(row(seed, ready)), "utf-8")
        os.replace(beside, path)
    return [json.loads((out / f"{seed}.json").read_text("utf-8")) for seed in seeds]
