"""The worker at work, as a real process with the demo model: runs, stops, errors that it survives, warm model."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from worker_client import Worker

from uvlm_core.inference.pipeline import run_report
from uvlm_core.inference.progress import STAGES
from uvlm_core.phantom.generator import make_phantom
from uvlm_core.volumes.volume import Volume
from uvlm_core.volumes.writing import write_volume
from uvlm_core.worker.volume_files import array_hash

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of another process, as Linux can")
PATIENCE = 10.0  # seconds that a stop may take here: the promise of one is for a machine that does nothing else


@pytest.fixture(scope="module")
def case():
    return make_phantom(33, (40, 48, 48), (4.0, 5.0, 5.0), region="chest", share=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder whose name is not ASCII and has a space."""
    path = tmp_path_factory.mktemp("worker") / "Prüfung 1"
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def volume(case, folder) -> dict:
    """The `volume` of a request."""
    np.save(folder / "volume.npy", case.volume.array)
    return {"array": str(folder / "volume.npy"), "ijk_to_ras": case.volume.ijk_to_ras.tolist(), "name": "CT Brust ß",
            "meta": {"modality": "CT"}}


@pytest.fixture(scope="module")
def timings(folder) -> Path:
    return folder / "timings.json"


@pytest.fixture(scope="module")
def worker(timings):
    with Worker("--timings", str(timings)) as running:
        yield running


@pytest.fixture(scope="module")
def first(worker, volume, folder, model_folder) -> dict:
    """The first run: what came back, and what was told meanwhile."""
    before = (folder / "volume.npy").read_bytes()
    identity = worker.send("run", volume=volume, bundle=str(model_folder), out=str(folder / "study"))
    busy = worker.refused("measure", segments=[])
    quick = [worker.call("hello")["busy"], worker.call("bundle_info")["loaded"]]
    still_running = not any(message.get("id") == identity for _, message in worker.messages)
    message = worker.answer(identity)
    assert "result" in message, message
    assert (folder / "volume.npy").read_bytes() == before
    return {"id": identity, "result": message["result"], "busy": busy, "quick": quick, "still_running": still_running}


@pytest.fixture(scope="module")
def content(first, folder) -> dict:
    return json.loads((folder / "study" / "study.json").read_text("utf-8"))


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def alike(one, other) -> bool:
    """Equal JSON values, numbers within the last of two digits."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) or isinstance(other, float):
        return one == pytest.approx(other, abs=0.011)
    return one == other


def test_a_run_of_an_array_is_a_run_of_the_same_scan_file(first, content, case, model_folder, tmp_path):
    scan = write_volume(tmp_path / "scan.nii.gz", case.volume)
    other = run_report(scan, tmp_path / "study", model_folder, "cpu").content
    content = copy.deepcopy(content)
    assert content["scan"].pop("name") == "CT Brust ß" and other["scan"].pop("name")
    assert content["scan"]["sha256"] == array_hash(case.volume) != other["scan"].pop("sha256")
    content["scan"].pop("sha256")
    np.testing.assert_allclose(content["scan"].pop("ijk_to_ras"), other["scan"].pop("ijk_to_ras"), atol=1e-4)
    # the file keeps its matrix in single precision, so places in millimetres may round to another last digit
    assert alike(content, other)
    assert content["findings"] and content["segments"] and content["report"]["sections"]


def test_the_result_tells_where_and_how(first, folder):
    result = first["result"]
    assert result["study"] == str(folder / "study") and result["reloaded"] is True
    assert result["device"] == "cpu" and result["precision"] == "fp32" and result["warnings"] == []
    assert set(result["stages"]) == set(STAGES) and result["seconds"] >= sum(result["stages"].values()) - 1
    assert sys.platform != "linux" or 200 < result["peak_memory_mib"] < 5000


def test_progress_tells_every_stage_the_text_and_not_too_often(first, worker, content):
    rows = worker.notes("progress", first["id"])
    stages = list(dict.fromkeys(row["stage"] for row in rows))
    assert stages == [name for name in STAGES if name in stages] and {"encode", "write report"} <= set(stages)
    assert all(0 <= row["done"] <= row["total"] and 0 <= row["fraction"] <= 1 for row in rows)
    assert all(one["fraction"] <= two["fraction"] for one, two in pairwise(rows))
    assert rows[-1]["fraction"] > 0.99 and {row["seconds_left"] for row in rows} == {None}
    text = "".join(row["text"] for row in rows)
    assert all(row["text"] in text or row["grounded"] for section in content["report"]["sections"]
               for row in section["sentences"] if row["id"].startswith("s"))
    times = [at for at, message in worker.messages if message.get("method") == "progress"]
    assert all(sum(begin <= at < begin + 1 for at in times) <= 13 for begin in times)


def test_a_second_job_is_refused_by_name_and_quick_questions_are_answered(first):
    assert first["still_running"]
    assert first["busy"]["code"] == -32001 and first["busy"]["data"]["running"]["id"] == first["id"]
    assert first["busy"]["data"]["running"]["method"] == "run" and "'run'" in first["busy"]["message"]
    assert first["quick"][0]["method"] == "run" and first["quick"][1] is False


def test_a_second_run_loads_nothing_gives_the_same_bytes_and_knows_its_time(first, worker, volume, folder,
                                                                            model_folder, timings):
    identity = worker.send("run", volume=volume, bundle=str(model_folder), out=str(folder / "again"))
    result = worker.answer(identity)["result"]
    assert result["reloaded"] is False
    assert result["stages"]["load model"] < first["result"]["stages"]["load model"]
    one, two = hashes(folder / "study"), hashes(folder / "again")
    assert one.pop("run.json") and two.pop("run.json")
    assert one == two
    rows = worker.notes("progress", identity)
    assert all(row["seconds_left"] is not None for row in rows) and rows[-1]["seconds_left"] == 0
    assert len(next(iter(json.loads(timings.read_text())["runs"].values()))) == 2
    assert sorted(path.name for path in folder.iterdir()) == ["again", "study", "timings.json", "volume.npy"]
    assert worker.call("bundle_info", bundle=str(model_folder))["loaded"] is True


def test_an_array_of_another_axis_order_and_handedness_gives_the_same_places(first, content, worker, case, folder):
    turned = np.ascontiguousarray(case.volume.array.transpose(2, 0, 1)[:, ::-1])
    # i runs along the old y, j against the old z, k along the old x
    axes = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, -1, 0, case.volume.shape[0] - 1], [0, 0, 0, 1.0]])
    np.save(folder / "turned.npy", np.asfortranarray(turned.astype(">f8")))
    result = worker.call("run", volume={"array": str(folder / "turned.npy"),
                                        "ijk_to_ras": (case.volume.ijk_to_ras @ axes).tolist()},
                         out=str(folder / "turned"))
    other = json.loads(Path(result["study"], "study.json").read_text("utf-8"))
    assert other["scan"]["shape"] == list(turned.shape)
    here = {row["id"]: row["centroid_ras_mm"] for row in content["segments"] if row["kind"] == "organ"}
    there = {row["id"]: row["centroid_ras_mm"] for row in other["segments"] if row["kind"] == "organ"}
    assert set(here) == set(there) and here
    for name, place in here.items():
        np.testing.assert_allclose(there[name], place, atol=1.0, err_msg=name)
    shutil.rmtree(folder / "turned")
    (folder / "turned.npy").unlink()


@pytest.mark.parametrize("stage", ["encode", "write report"])
def test_a_run_is_stopped_at_once_and_leaves_nothing(stage, first, worker, volume, tmp_path):
    identity = worker.send("run", volume=volume, out=str(tmp_path / "study"))
    worker.wait_for(lambda: any(row["stage"] == stage for row in worker.notes("progress", identity)))
    begin = time.monotonic()
    cancelled = worker.send("cancel", id=identity)
    error = worker.answer(identity).get("error")
    assert time.monotonic() - begin < PATIENCE
    assert worker.answer(cancelled)["result"] == {"cancelled": True}
    assert error["code"] == -32800 and error["data"]["kind"] == "cancelled"
    assert STAGES.index(error["data"]["stage"]) >= STAGES.index(stage)  # later where this process was late
    told = len(worker.notes("progress", identity))
    assert worker.call("check", report={"sections": []}, findings=[], segments=[], imaged=[])  # waits for its end
    assert list(tmp_path.iterdir()) == [] and len(worker.notes("progress", identity)) == told


def bad_volumes(path: Path, good: np.ndarray) -> dict[str, tuple]:
    """name -> (array or bytes, what the message has to say)."""
    holes = good.astype(np.float32)
    holes[3, 4, 5] = np.nan
    rng = np.random.default_rng(0)
    np.save(path / "good.npy", good)
    return {"mr": (rng.integers(0, 900, good.shape).astype(np.int16), "not a CT"),
            "holes": (holes, "not numbers"), "flat": (good[0], "three dimensions"), "few": (good[:4], "4 slices"),
            "colour": (np.zeros((9, 9, 9, 3), np.uint8), "three dimensions"), "empty": (good[:0], ""),
            "complex": (good.astype(complex), "complex128"), "mask": (good > 0, "bool"),
            "words": (np.array([["a", {}]], object), ".npy"),
            "cut off": ((path / "good.npy").read_bytes()[:5000], ".npy"), "no npy": (b"hello", ".npy"),
            "nothing": (b"", ".npy")}


def test_bad_volumes_are_refused_with_a_sentence_and_the_worker_goes_on(first, worker, case, tmp_path):
    matrix = case.volume.ijk_to_ras.tolist()

    def refused(**fields) -> dict:
        volume = {"array": str(tmp_path / "good.npy"), "ijk_to_ras": matrix, **fields}
        error = worker.refused("run", volume=volume, out=str(tmp_path / "study"))
        assert error["code"] == -32010 and error["data"]["kind"] == "volume", error
        assert error["data"]["stage"] in ("read", "check") and "Traceback" not in error["message"]
        assert not (tmp_path / "study").exists()
        return error

    for name, (array, words) in bad_volumes(tmp_path, case.volume.array).items():
        file = tmp_path / f"{name}.npy"
        file.write_bytes(array) if isinstance(array, bytes) else np.save(file, array, allow_pickle=True)
        assert words in refused(array=str(file))["message"], name
    np.savez(tmp_path / "archive.npz", case.volume.array)
    assert "archive" in refused(array=str(tmp_path / "archive.npz"))["message"]
    assert "no file" in refused(array=str(tmp_path / "absent.npy"))["message"]
    assert "modality is MR" in refused(meta={"modality": "MR"})["message"]
    singular = [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert "no inverse" in refused(ijk_to_ras=singular)["message"]
    assert "no file" in worker.refused("run", scan=str(tmp_path / "no.nii"), out=str(tmp_path / "s"))["message"]
    assert worker.call("hello")["busy"] is None


def test_what_else_can_be_wrong_has_its_own_kind(first, worker, volume, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    error = worker.refused("run", volume=volume, out=str(tmp_path))
    assert error["code"] == -32012 and "thesis.tex" in error["message"]
    run = {"volume": volume, "out": str(tmp_path / "o")}
    for method, more in (("run", run), ("bundle_info", {}), ("load_bundle", {})):
        error = worker.refused(method, bundle=str(tmp_path), **more)
        assert error["code"] == -32011 and "bundle.json" in error["message"], method
    import torch

    if not torch.cuda.is_available():
        error = worker.refused("load_bundle", device="cuda")
        assert error["code"] == -32013 and "Use the device 'cpu'" in error["message"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thesis.tex"]


def test_a_bundle_is_loaded_again_only_when_its_folder_has_changed(worker, model_folder, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(model_folder, bundle)
    assert worker.call("load_bundle", bundle=str(bundle))["reloaded"] is True
    again = worker.call("load_bundle", bundle=str(bundle))
    assert again["reloaded"] is False and again["loaded"] is True and again["parameters"] > 1_000_000
    manifest = bundle / "bundle.json"
    values = json.loads(manifest.read_text("utf-8"))
    manifest.write_text(json.dumps({**values, "version": "next"}), "utf-8")
    info = worker.call("bundle_info", bundle=str(bundle))
    assert info["version"] == "next" and info["loaded"] is False and info["sha256"] != again["sha256"]
    assert worker.call("load_bundle", bundle=str(bundle))["reloaded"] is True
    weights = bundle / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "cut off" in worker.refused("load_bundle", bundle=str(bundle))["message"]
    assert worker.call("load_bundle", bundle=str(model_folder))["version"] == values["version"]


def test_what_a_run_will_take_is_estimated_before_the_first(worker):
    info = worker.call("bundle_info")
    assert info["expected_from"] == "estimate" and 1 < info["expected_seconds"] < 300
    assert 500 < info["expected_memory_mib"] < 6000
    assert info["licence"] and "research" in info["intended_use"].lower() and info["findings"]


@LINUX
def test_it_survives_a_lack_of_memory(first, worker, case, model_folder, folder, volume):
    import resource

    worker.call("load_bundle", bundle=str(model_folder))
    pages = int(Path(f"/proc/{worker.process.pid}/statm").read_text().split()[0])
    large = np.repeat(np.repeat(case.volume.array, 4, 1), 4, 2)
    np.save(folder / "large.npy", large)
    matrix = case.volume.ijk_to_ras @ np.diag([0.25, 0.25, 1, 1])
    before = resource.prlimit(worker.process.pid, resource.RLIMIT_AS)
    request = {"volume": {"array": str(folder / "large.npy"), "ijk_to_ras": matrix.tolist()},
               "out": str(folder / "large")}
    resource.prlimit(worker.process.pid, resource.RLIMIT_AS, (pages * resource.getpagesize() + (24 << 20), before[1]))
    try:
        error = worker.refused("run", **request)
    finally:
        resource.prlimit(worker.process.pid, resource.RLIMIT_AS, before)
    assert error["code"] == -32014 and error["data"]["stage"] in STAGES and error["data"]["what_to_do"]
    assert "memory" in error["message"] and not (folder / "large").exists()
    result = worker.call("run", volume=volume, bundle=str(model_folder), out=str(folder / "again"))
    assert result["reloaded"] is False
    (folder / "large.npy").unlink()


def test_a_mistake_of_ours_names_the_stage_and_ends_nothing(case, volume, tmp_path):
    code = ("import uvlm_core.inference.pipeline as pipeline\n"
            "def broken(*arguments): raise TypeError('cannot add apples')\n"
            "pipeline.to_grid = broken\nfrom uvlm_core.worker.__main__ import main\nmain([])\n")
    with Worker(command=(sys.executable, "-c", code)) as worker:
        for _ in range(2):
            error = worker.refused("run", volume=volume, out=str(tmp_path / "study"))
            assert error["code"] == -32603 and error["data"]["kind"] == "unexpected"
            assert "cannot add apples" in error["message"] and "stage 'grid'" in error["message"]
            assert "Traceback" in error["data"]["details"] and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("end", ["shutdown", "stdin"])
def test_the_end_stops_a_run_and_leaves_nothing(end, volume, model_folder, tmp_path):
    with Worker() as worker:
        identity = worker.send("run", volume=volume, bundle=str(model_folder), out=str(tmp_path / "study"))
        worker.wait_for(lambda: worker.notes("progress", identity))
        if end == "shutdown":
            assert worker.call("shutdown")
            assert worker.answer(identity)["error"]["code"] == -32800
        else:
            worker.process.stdin.close()
        assert worker.ended() == 0
        assert list(tmp_path.iterdir()) == []


def test_an_untouched_report_has_the_links_and_flags_of_its_study(first, content, worker):
    imaged = [row["name"] for row in content["regions"] if row["coverage"] != "not imaged"]
    request = {name: content[name] for name in ("report", "findings", "segments", "measurements")}
    answer = worker.call("check", imaged=imaged, **request)
    assert answer["sections"] == content["report"]["sections"]
    assert answer["flags"] == content["report"]["flags"] and answer["findings"] == content["findings"]


def test_a_contradiction_and_a_lost_mask_are_flagged(worker):
    finding = {"name": "Pleural effusion", "probability": 0.9, "threshold": 0.5, "state": "present"}
    segment = {"id": "pleural_effusion_1", "name": "pleural_effusion", "side": "left", "place": None}
    report = {"sections": [
        {"name": "pleura", "title": "Pleura", "sentences": [{"id": "s1", "text": "Right pleural effusion.", "own": 1}]},
        {"name": "addendum", "sentences": [{"id": "s2", "text": "Compared with the previous CT, no change."}]}]}
    answer = worker.call("check", report=report, findings=[finding], segments=[segment], imaged=["pleura"])
    first, second = (section["sentences"][0] for section in answer["sections"])
    assert first["own"] == 1 and first["segments"] == ["pleural_effusion_1"]
    assert [flag["kind"] for flag in first["flags"]] == ["side"]
    assert first["flags"][0]["suggestion"] == "Left pleural effusion."
    assert [flag["kind"] for flag in second["flags"]] == ["prior"]
    assert answer["findings"][0]["segments"] == ["pleural_effusion_1"] and answer["findings"][0]["side"] == "left"
    absent = {**finding, "state": "absent"}
    answer = worker.call("check", report=report, findings=[absent], segments=[], imaged=["pleura"], has_prior=True)
    assert [flag["kind"] for flag in answer["sections"][0]["sentences"][0]["flags"]] == ["presence"]
    assert answer["sections"][1]["sentences"][0]["flags"] == []


def test_a_mask_is_measured_as_the_run_measured_it(first, content, worker, case, folder, tmp_path):
    import nibabel

    labels = np.asarray(nibabel.load(folder / "study" / "segmentation.nii.gz").dataobj).transpose()
    np.save(tmp_path / "labels.npy", labels)
    matrix = case.volume.ijk_to_ras
    wanted = [row for row in content["segments"] if row["kind"] == "organ"]
    segments = []
    for row in wanted:
        box = tuple(slice(hit[0], hit[-1] + 1) for axis in range(3)
                    if len(hit := np.flatnonzero((labels == row["label"]).any(tuple({0, 1, 2} - {axis})))))
        own = matrix.copy()
        own[:3, 3] = matrix[:3, :3] @ [side.start for side in box[::-1]] + matrix[:3, 3]
        np.save(tmp_path / f"{row['id']}.npy", labels[box] == row["label"])
        np.save(tmp_path / f"{row['id']}_image.npy", case.volume.array[box])
        segments.append({"id": row["id"], "label": row["name"], "mask": str(tmp_path / f"{row['id']}.npy"),
                         "image": str(tmp_path / f"{row['id']}_image.npy"), "ijk_to_ras": own.tolist()})
    np.save(tmp_path / "none.npy", np.zeros((3, 3, 3), np.uint8))
    segments.append({**segments[0], "id": "lung_nodule_9", "label": "lung_nodule", "mask": str(tmp_path / "none.npy")})
    context = {"labels": str(tmp_path / "labels.npy"), "ijk_to_ras": matrix.tolist()}
    answer = worker.call("measure", segments=segments, context=context)
    assert answer["segments"] == wanted and answer["empty"] == ["lung_nodule_9"]
    own = {row["id"] for row in wanted}
    assert sorted(answer["measurements"], key=lambda row: row["id"]) == sorted(
        (row for row in content["measurements"] if row["segment"] in own), key=lambda row: row["id"])
    wrong = [{**segments[0], "image": segments[1]["image"]}]
    assert worker.refused("measure", segments=wrong)["code"] == -32010


def test_a_case_is_kept_once_and_a_study_exported(first, content, worker, volume, folder, tmp_path):
    import nibabel

    labels = np.asarray(nibabel.load(folder / "study" / "segmentation.nii.gz").dataobj).transpose()
    np.save(tmp_path / "labels.npy", labels)
    common = {"volume": volume, "labels": str(tmp_path / "labels.npy")}
    kept = {**common, "original": str(folder / "study" / "segmentation.nii.gz"), "out": str(tmp_path / "cases" / "one"),
            "report": {"text": "x"}, "case": {"schema": "uvlm-kept-case/1"}}
    assert worker.call("keep_case", **kept) == {"case": str(tmp_path / "cases" / "one")}
    assert {path.name for path in (tmp_path / "cases" / "one").iterdir()} >= {"image.nii.gz", "report.json"}
    assert "never overwritten" in worker.refused("keep_case", **kept)["message"]
    worker.call("export_study", **common, content=content, out=str(tmp_path / "study"),
                attribution=str(folder / "study" / "attribution.npz"))
    one, two = hashes(folder / "study"), hashes(tmp_path / "study")
    assert one.pop("run.json") and one == two
    error = worker.refused("export_study", **common, content={}, out=str(tmp_path / "other"))
    assert error["code"] == -32602 and error["data"]["field"] == "content"


def test_hashes_of_arrays_follow_values_and_geometry_alone(case):
    plain = case.volume
    same = Volume(np.asfortranarray(plain.array), plain.ijk_to_ras, "another name", {"modality": "CT"})
    moved, other = plain.ijk_to_ras.copy(), plain.array.copy()
    moved[0, 3] += 0.5
    other[1, 2, 3] += 1
    assert array_hash(same) == array_hash(plain)
    assert len({array_hash(plain), array_hash(Volume(plain.array, moved)), array_hash(Volume(other, plain.ijk_to_ras)),
                array_hash(Volume(plain.array[:, ::-1], plain.ijk_to_ras))}) == 4
