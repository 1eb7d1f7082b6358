"""From a CT file to a complete study: the whole way, step by step."""

from __future__ import annotations

import platform
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from uvlm_core.errors import VolumeError
from uvlm_core.inference.assembling import Masks, Scan, assemble, measured
from uvlm_core.inference.cleanup import clean_scores
from uvlm_core.inference.composing import Draft, compose
from uvlm_core.inference.device import Placement, check_choice, choose
from uvlm_core.inference.field_of_view import field_of_view
from uvlm_core.inference.findings_table import cues_of, finding_rows
from uvlm_core.inference.machine import peak_memory_mib, versions
from uvlm_core.inference.progress import Monitor, Progress
from uvlm_core.inference.study import Study, write_json, write_study
from uvlm_core.inference.study_folder import writing
from uvlm_core.inference.sureness import unsure_segments
from uvlm_core.labels import label_named
from uvlm_core.report.cues import write_cues
from uvlm_core.resources import resource
from uvlm_core.volumes.body import near_body
from uvlm_core.volumes.ct_check import check_ct
from uvlm_core.volumes.grid import GridSample, scores_to_scan, to_grid
from uvlm_core.volumes.reading import input_hash, read_volume
from uvlm_core.volumes.volume import Volume

Read = Callable[[Monitor, Callable[[str], None]], tuple[Volume, str]]


def run_report(scan: str | Path, out: str | Path, bundle: str | Path | None = None, device: str = "auto",
               precision: str = "auto", progress: Callable[[Progress], None] | None = None,
               cancel: Callable[[], bool] | None = None, series: str | None = None,
               notify: Callable[[str], None] | None = None, seed: int = 0) -> Study:
    """Reads a scan, runs the model and writes a study folder, which appears only when it is complete.

    Args:
        scan: a file or DICOM folder; only ever read.
        out: the study folder; a study that is there is replaced at the end.
        bundle: folder of the model; None takes the demo model.
        device: "auto", "cpu", "cuda" or "mps".
        precision: "auto", "fp32" or "bf16".
        progress: called at the begin and end of every stage and with every piece of new text.
        cancel: asked often; True stops the run within a second.
        series: of a DICOM folder with several, see `read_volume`.
        notify: called with sentences that the user should know.
        seed: kept in the provenance; decoding is greedy, so it changes nothing.

    Raises:
        UVLMError: of all kinds, with what to do; nothing is left behind then.
        Cancelled: the user stopped the run; nothing is left behind.
    """
    check_choice(device, precision)
    folder = Path(bundle) if bundle else resource("Models", "demo")

    def read(monitor: Monitor, note: Callable[[str], None]) -> tuple[Volume, str]:
        with monitor.stage("read"):
            return read_volume(scan, series, note), input_hash(scan)

    return run_study(read, out, lambda: load_model(folder, device, precision), Monitor(progress, cancel), notify, seed)


def run_study(read: Read, out: str | Path, load: Callable[[], tuple], monitor: Monitor,
              notify: Callable[[str], None] | None = None, seed: int = 0) -> Study:
    """`run_report` with any source of the scan and of the model.

    Args:
        read: (monitor, note) -> volume and sha256; `note` takes sentences that the user should know.
        load: gives (bundle, placement) as `load_model` does; called in a thread beside, while the scan is read.
    """
    begin = datetime.now(UTC)
    with writing(out) as folder:
        beside = ThreadPoolExecutor(1)
        loading = beside.submit(load)
        beside.shutdown(wait=False)  # a run that is stopped does not wait for it
        volume, scan_hash, warnings = _read_and_check(read, monitor, notify)
        study = _analyse(volume, scan_hash, warnings, loading, monitor, seed)
        with monitor.stage("save"):
            write_study(folder, study, volume)
        run = {"started": begin.isoformat(timespec="seconds"), "seconds": dict(monitor.seconds),
               "total_seconds": round((datetime.now(UTC) - begin).total_seconds(), 3),
               "peak_memory_mib": peak_memory_mib(), "machine": platform.platform()}
        write_json(folder / "run.json", run)
        monitor.check()
    return replace(study, run=run, folder=Path(out).expanduser().absolute())


def load_model(folder: Path, device: str, precision: str) -> tuple:
    """(bundle, placement): the verified bundle, on the device where it runs.

    Raises:
        BundleError: the folder is no complete and unaltered bundle.
        UVLMError: the device or precision cannot be used.
    """
    from uvlm_core.model.bundle import load_bundle

    bundle = load_bundle(folder)
    placement = choose(device, precision, sum(weight.numel() for weight in bundle.model.parameters()))
    bundle.model.to(placement.device)
    if placement.device == "cuda":
        import torch

        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    return bundle, placement


def _read_and_check(read: Read, monitor: Monitor, notify) -> tuple[Volume, str, list[str]]:
    warnings: list[str] = []

    def note(text: str) -> None:
        warnings.append(text)
        if notify is not None:
            notify(text)

    volume, scan_hash = read(monitor, note)
    with monitor.stage("check"):
        check = check_ct(volume)
        if not check.is_ct:
            raise VolumeError(check.message)
        for text in check.warnings:
            note(text)
    return volume, scan_hash, warnings


def analyse_volume(volume: Volume, loading: Future, write_report: bool = True) -> Study:
    """Masks, findings and report of a volume in memory, as a study that is not written anywhere.

    Args:
        loading: gives (bundle, placement) of `load_bundle` and `choose`.
        write_report: False leaves the text out.
    """
    return _analyse(volume, "", [], loading, Monitor(), 0, write_report)


def _analyse(volume: Volume, scan_hash: str, warnings: list[str], loading: Future, monitor: Monitor, seed: int,
             write_report: bool = True) -> Study:
    """Everything between the scan in memory and the study in memory."""
    from uvlm_core.inference.heads import run_heads

    with monitor.stage("load model"):
        while not loading.done():
            wait([loading], timeout=0.2)
            monitor.check()
        bundle, placement = loading.result()
    config, info = bundle.model.config, bundle.info
    with monitor.stage("grid"):
        sample = to_grid(volume, config.grid)
    heads = run_heads(bundle.model, sample, placement, monitor)
    with monitor.stage("measure"):
        masks = _measure(heads.scores, bundle, sample, volume, monitor)
    rows = finding_rows(heads.probabilities, info.thresholds, info.assessed, masks.view, masks.segments)
    draft = Draft()
    if heads.vision is not None and write_report:
        with monitor.stage("write report"):
            draft = _write(bundle, heads.vision, rows, masks, sample, placement, monitor, seed)
    return assemble(Scan(volume, scan_hash, warnings), masks, rows, draft, _provenance(bundle, placement, sample, seed))


def _measure(scores: np.ndarray | None, bundle, sample: GridSample, volume: Volume, monitor: Monitor) -> Masks:
    """Clean masks on the scan's own grid, and what they measure."""
    names = bundle.model.config.labels
    if scores is None:
        scores, names = np.zeros((1, *sample.hu.shape), np.float16), names[:1]
    on_grid = clean_scores(scores, names, sample.spec.spacing, bundle.info.part_limits, near_body(sample.hu))
    monitor.check()
    table = np.array([0, *(label_named(name).id for name in names[1:])], np.uint8)
    voxel_ml = float(np.prod(sample.spec.spacing)) / 1000
    view = field_of_view(table[on_grid], voxel_ml, sample.inside)
    labels = table[scores_to_scan(scores, sample, volume)]
    monitor.check()
    masks = measured(labels, volume, view)
    return replace(masks, unsure=unsure_segments(on_grid, scores, names, sample.ijk_to_ras, masks.segments,
                                                 bundle.info.size_limit))


def _write(bundle, vision, rows: list[dict], masks: Masks, sample: GridSample, placement: Placement,
           monitor: Monitor, seed: int) -> Draft:
    from uvlm_core.inference.writing_text import write_text

    config = bundle.model.config
    prompt = write_cues(cues_of(rows, masks.segments), masks.view.shown, config.language.cues)
    written = write_text(bundle, vision, prompt, placement, monitor, seed)
    stages = list(config.injection.stages[::-1] if config.injection.multi_layer else [config.injection.source])
    return compose(written, masks.view, sample.ijk_to_ras, stages)


def _provenance(bundle, placement: Placement, sample: GridSample, seed: int) -> dict:
    """What made the study; without times, which are in run.json, so that equal runs give equal bytes."""
    info = bundle.info
    return {"model": info.name, "model_version": info.version, "bundle_sha256": bundle.sha256,
            "thresholds": {name: round(float(value), 5) for name, value in info.thresholds.items()},
            "decoding": "greedy", "seed": seed, "device": placement.device, "device_name": placement.title,
            "precision": placement.precision, "grid_shape": list(sample.hu.shape),
            "grid_spacing_mm": list(sample.spec.spacing), "versions": versions(), "times": "run.json"}
