"""`run_report` from a file to a study folder: complete, reproducible, stoppable, and silent on the network."""

from __future__ import annotations

import hashlib
import json
import socket
from pathlib import Path

import nibabel
import numpy as np
import pytest

from uvlm_core.errors import Cancelled, StudyError, UVLMError, VolumeError
from uvlm_core.inference.pipeline import run_report
from uvlm_core.inference.progress import STAGES
from uvlm_core.inference.study import read_study
from uvlm_core.resources import resource
from uvlm_core.volumes.volume import Volume
from uvlm_core.volumes.writing import write_volume

FILES = {"study.json", "run.json", "segmentation.nii.gz", "attribution.npz", "report.html", "report.txt"}
MATRIX = np.array([[-4.0, 0.3, 0, 120], [0.3, 4.0, 0, -90], [0, 0, -5.0, 300], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module", autouse=True)
def short_text():
    """Untrained weights never end a text; a tenth of the length shows as much."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("uvlm_core.inference.writing_text.MOST_TOKENS", 64)
        yield


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    from untrained_bundle import write_bundle

    return write_bundle(tmp_path_factory.mktemp("bundle") / "untrained", background=1.5)


@pytest.fixture(scope="module")
def scan(tmp_path_factory) -> Path:
    """A body of water with two lungs, stored from head to feet and slightly oblique."""
    z, y, x = np.indices((44, 56, 60))
    hu = np.full(z.shape, -1000, np.int16)
    hu[((y - 28) / 20) ** 2 + ((x - 30) / 26) ** 2 < 1] = 40
    hu[(((y - 28) / 12) ** 2 + ((abs(x - 30) - 13) / 8) ** 2 < 1) & (z < 25)] = -850
    hu += np.random.default_rng(0).normal(0, 10, hu.shape).astype(np.int16)
    return write_volume(tmp_path_factory.mktemp("scan") / "body.nii.gz", Volume(hu, MATRIX))


@pytest.fixture(scope="module")
def told() -> list:
    return []


@pytest.fixture(scope="module")
def study(scan, bundle, told, tmp_path_factory):
    return run_report(scan, tmp_path_factory.mktemp("out") / "study", bundle, "cpu", "fp32", progress=told.append)


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_study_is_complete_and_valid(study):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    assert {path.name for path in study.folder.iterdir()} == FILES
    content = json.loads((study.folder / "study.json").read_text())
    schema = json.loads(resource("Schemas", "study.schema.json").read_text())
    jsonschema.validate(content, schema)
    assert content == json.loads(json.dumps(study.content))


def test_the_label_map_lies_on_the_scan(study, scan):
    image, source = nibabel.load(study.folder / "segmentation.nii.gz"), nibabel.load(scan)
    assert image.shape == source.shape and image.get_data_dtype() == np.uint8
    np.testing.assert_allclose(image.affine, source.affine, atol=1e-4)
    assert (np.asarray(image.dataobj).transpose() == study.labels).all()


def test_ids_refer_to_what_exists(study):
    content = study.content
    segments = {row["id"] for row in content["segments"]}
    measurements = {row["id"] for row in content["measurements"]}
    assert segments, "this test needs at least one mask"
    assert {name for row in content["findings"] for name in row["segments"]} <= segments
    assert {name for row in study.sentences for name in row["segments"]} <= segments
    assert {name for row in content["segments"] for name in row["measurements"]} <= measurements
    present = set(np.unique(study.labels).tolist()) - {0}
    assert {row["label"] for row in content["segments"]} <= present
    for row in content["segments"]:
        low, high = np.array(row["bbox_ras_mm"])
        assert (low < high).all()


def test_the_model_has_written_and_its_look_is_kept(study):
    assert study.attribution is not None and len(study.attribution.sentence_ids) == len(study.attribution.maps)
    written = [row for row in study.sentences if row["id"].startswith("s")]
    assert written and all(row["token_log_probability"] <= 0 for row in written)
    again = read_study(study.folder)
    assert again.content == study.content and (again.labels == study.labels).all()
    np.testing.assert_array_equal(again.attribution.maps, study.attribution.maps)


def test_what_the_model_was_not_trained_for_is_not_called_absent(study):
    from untrained_bundle import NOT_ASSESSED

    rows = {row["name"]: row for row in study.findings}
    assert rows[NOT_ASSESSED]["state"] == "not assessed" and rows[NOT_ASSESSED]["present"] is None
    for row in study.findings:
        if row["state"] == "not imaged":
            assert row["present"] is None


def test_two_runs_give_the_same_bytes(study, scan, bundle, tmp_path):
    again = run_report(scan, tmp_path / "again", bundle, "cpu", "fp32")
    first, second = hashes(study.folder), hashes(again.folder)
    assert first.pop("run.json") and second.pop("run.json")
    assert first == second


def test_progress_tells_the_stages_in_order_and_the_text(study, told):
    stages = list(dict.fromkeys(row.stage for row in told))
    assert stages == list(STAGES)
    text = "".join(row.text for row in told)
    for row in study.sentences:
        if row["id"].startswith("s"):
            assert row["text"] in text
    assert set(study.run["seconds"]) == set(STAGES)


@pytest.mark.parametrize("stage", ["read", "load model", "segment", "write report", "save"])
def test_cancelling_at_any_stage_leaves_nothing(stage, scan, bundle, tmp_path):
    seen = []
    with pytest.raises(Cancelled):
        run_report(scan, tmp_path / "study", bundle, "cpu", "fp32", progress=lambda row: seen.append(row.stage),
                   cancel=lambda: stage in seen)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing(scan, bundle, tmp_path):
    def interrupt(row):
        if row.stage == "save":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_report(scan, tmp_path / "study", bundle, "cpu", "fp32", progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_computed_for_a_place_that_cannot_be_written(scan, bundle, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    told = []
    with pytest.raises(StudyError, match=r"thesis\.tex"):
        run_report(scan, tmp_path, bundle, progress=told.append)
    assert told == []


def test_the_scan_is_never_touched_even_as_output(scan, bundle):
    before = scan.read_bytes()
    with pytest.raises(StudyError, match="is a file"):
        run_report(scan, scan, bundle)
    assert scan.read_bytes() == before


def test_what_is_no_ct_and_wrong_choices_are_refused_with_a_sentence(scan, bundle, tmp_path):
    flat = write_volume(tmp_path / "flat.nii.gz", Volume(np.full((20, 20, 20), 7, np.int16), np.diag([4.0, 4, 4, 1])))
    with pytest.raises(VolumeError, match="CT"):
        run_report(flat, tmp_path / "out", bundle)
    with pytest.raises(UVLMError, match="no device 'tpu'"):
        run_report(scan, tmp_path / "out", bundle, device="tpu")
    with pytest.raises(UVLMError, match="no precision 'int4'"):
        run_report(scan, tmp_path / "out", bundle, precision="int4")
    with pytest.raises(UVLMError, match=r"bundle\.json"):
        run_report(scan, tmp_path / "out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["flat.nii.gz"]


def test_a_missing_gpu_is_explained(scan, bundle, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(UVLMError, match="Use the device 'cpu'"):
        run_report(scan, tmp_path / "out", bundle, device="cuda")


def test_out_of_memory_is_explained_with_a_way_on():
    from uvlm_core.inference.device import memory_explained

    for error, device in ((RuntimeError("CUDA out of memory. Tried"), "cuda"), (MemoryError(), "cpu"),
                          (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "cpu")):
        message = "ran out of memory at the stage 'encode'"
        with pytest.raises(UVLMError, match=message), memory_explained(device, "encode"):
            raise error
    with pytest.raises(RuntimeError, match="another"), memory_explained("cpu", "encode"):
        raise RuntimeError("another fault")


def test_it_works_with_sockets_blocked(scan, bundle, tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a network connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert run_report(scan, tmp_path / "study", bundle, "cpu").folder.is_dir()


def test_bf16_runs_and_says_so(scan, bundle, tmp_path):
    study = run_report(scan, tmp_path / "study", bundle, "cpu", "bf16")
    assert study.content["provenance"]["precision"] == "bf16"
