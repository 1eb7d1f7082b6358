"""The jobs that make and keep studies: `run`, `keep_case`, `export_study`."""

from __future__ import annotations

import time

from uvlm_core.worker import params as check
from uvlm_core.worker.jobs import Job
from uvlm_core.worker.messages import PARAMS, Refusal
from uvlm_core.worker.model_methods import MODEL_FIELDS
from uvlm_core.worker.models import WarmModel, bundle_folder, bundle_sha256
from uvlm_core.worker.params import Field, read_params
from uvlm_core.worker.timings import Timings

VOLUME = check.record(array=Field(check.path), ijk_to_ras=Field(check.matrix), name=Field(check.any_text, "volume"),
                      meta=Field(check.mapping, {}))
RUN = {"volume": Field(check.or_null(VOLUME), None), "scan": Field(check.or_null(check.path), None),
       "series": Field(check.or_null(check.text), None), "out": Field(check.path), "seed": Field(check.integer, 0),
       "segment_map": Field(check.or_null(check.path), None),
       **MODEL_FIELDS}
FILES = {"volume": Field(VOLUME), "labels": Field(check.path), "out": Field(check.path)}
KEEP = {**FILES, "original": Field(check.path), "report": Field(check.mapping), "case": Field(check.mapping)}
UNSTOPPABLE = ("keep_case", "export_study")  # some seconds of packing, which end with a rename
EXPORT = {**FILES, "attribution": Field(check.or_null(check.path), None), "content": Field(check.mapping)}


def read_run(params: object) -> dict:
    """The fields of `run`. Raises Refusal."""
    values = read_params(params, RUN)
    if (values["volume"] is None) == (values["scan"] is None):
        found = "neither" if values["scan"] is None else "both"
        raise Refusal(PARAMS, f"Exactly one of 'volume' and 'scan' is needed; found {found}.", field="volume",
                      expected="one of 'volume' and 'scan'", found=found)
    return values


def run(values: dict, job: Job, model: WarmModel, timings: Timings) -> dict:
    """From a scan to a complete study folder; raises what `pipeline.run_study` raises."""
    from uvlm_core.files import write_npy
    from uvlm_core.inference.machine import forget_peak_memory
    from uvlm_core.inference.pipeline import run_study
    from uvlm_core.inference.progress import Monitor
    from uvlm_core.inference.segment_map import segment_map

    begin = time.perf_counter()
    wanted = (values["bundle"], values["device"], values["precision"])
    key = (bundle_sha256(bundle_folder(values["bundle"])), *wanted[1:])  # a folder without a model is refused at once
    warm = model.holds(*wanted)
    job.progress.expect(timings.stages(*key, None, warm))
    loaded, voxels = [], []
    alone = forget_peak_memory()

    def read(monitor, note):
        volume, sha256 = _read(values, monitor, note)
        voxels.append(volume.array.size)
        job.progress.expect(timings.stages(*key, volume.array.size, warm))
        return volume, sha256

    def load() -> tuple:
        ready, now = model.get(*wanted)
        loaded.append(now)
        return ready

    study = run_study(read, values["out"], load, Monitor(job.progress, job.cancelled), job.note, values["seed"])
    if values["segment_map"] is not None:
        write_npy(values["segment_map"], segment_map(study.labels, study.segments))
    peak = study.run["peak_memory_mib"] if alone else None
    timings.add(*key, voxels[0], study.run["seconds"], peak)
    made = study.content["provenance"]
    return {"study": str(study.folder), "seconds": round(time.perf_counter() - begin, 3),
            "stages": study.run["seconds"], "warnings": study.content["scan"]["warnings"], "reloaded": loaded[0],
            "device": made["device"], "device_title": made["device_name"], "precision": made["precision"],
            "peak_memory_mib": peak}


def _read(values: dict, monitor, note):
    """(volume, sha256) of a scan file or of an array."""
    from uvlm_core.volumes.reading import input_hash, read_volume
    from uvlm_core.worker.volume_files import array_hash

    with monitor.stage("read"):
        if values["scan"] is not None:
            return read_volume(values["scan"], values["series"], note), input_hash(values["scan"])
        volume = _volume(values["volume"])
        return volume, array_hash(volume)


def _volume(fields: dict):
    from uvlm_core.worker.volume_files import open_volume

    return open_volume(fields["array"], fields["ijk_to_ras"], fields["name"], fields["meta"])


def keep_case(values: dict, job: Job) -> dict:
    """A corrected study as a training case (docs/datasets.md); raises CaseError and VolumeError."""
    from uvlm_core.inference.keeping import keep_case as keep
    from uvlm_core.inference.progress import Monitor
    from uvlm_core.worker.volume_files import open_labels

    with Monitor(job.progress).stage("save"):
        folder = keep(values["out"], _volume(values["volume"]), open_labels(values["labels"]), values["original"],
                      values["report"], values["case"])
    return {"case": str(folder)}


def export_study(values: dict, job: Job) -> dict:
    """A corrected study as a study folder; raises StudyError and VolumeError."""
    from uvlm_core.inference.keeping import export_study as export
    from uvlm_core.inference.progress import Monitor
    from uvlm_core.worker.volume_files import open_labels

    volume, labels = _volume(values["volume"]), open_labels(values["labels"])
    with Monitor(job.progress).stage("save"):
        try:
            folder = export(values["out"], volume, labels, values["content"], values["attribution"])
        except (KeyError, TypeError, IndexError) as error:  # the page and the text ask for what a study has
            raise check.wrong("content", "the whole content of a study.json", f"one that does not fit: {error!r}"
                              ) from error
    return {"study": str(folder)}
