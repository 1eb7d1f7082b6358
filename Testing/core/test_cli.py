"""The command as a user meets it: fast help, sentences instead of tracebacks, exit codes, cancelling."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from uvlm_core.cli import main
from uvlm_core.errors import Cancelled, UVLMError, VolumeError
from uvlm_core.failures import failure
from uvlm_core.phantom.generator import make_phantom
from uvlm_core.processors import limit_threads, usable_processors
from uvlm_core.version import VERSION
from uvlm_core.volumes.volume import Volume
from uvlm_core.volumes.writing import write_volume

COMMAND = [sys.executable, "-c", "from uvlm_core.cli import main; main()"]


def uvlm(*arguments, folder=None, **environment):
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, cwd=folder, timeout=300,
                          env={**os.environ, **environment})


def test_help_is_fast_and_loads_no_torch():
    """Processor time, so that a busy machine does not matter."""
    code = ("import sys, time; sys.argv = ['uvlm', '--help']\nfrom uvlm_core.cli import main\ntry: main()\n"
            "except SystemExit: pass\nprint('torch' in sys.modules, time.process_time())")
    seconds = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        loaded, used = done.stdout.split()[-2:]
        bare = subprocess.run([sys.executable, "-c", "import time; print(time.process_time())"], capture_output=True,
                              text=True, timeout=60)
        seconds.append(float(used) - float(bare.stdout))
        assert loaded == "False" and "report" in done.stdout
    assert min(seconds) < 0.3


def test_version_and_no_arguments():
    assert uvlm("--version").stdout.strip() == f"uvlm {VERSION}"
    nothing = uvlm()
    assert nothing.returncode == 0 and "phantom" in nothing.stdout


@pytest.mark.parametrize(("arguments", "words"), [
    (("report", "no such.nii.gz", "-o", "x"), "no such.nii.gz"),
    (("report", "no such.nii.gz", "-o", "x", "--device", "gpu"), "gpu"),
    (("frobnicate",), "frobnicate"),
    (("report",), "scan"),
    (("bundle",), "verify"),
    (("train", "no-such-recipe", "-o", "x"), "no-such-recipe"),
    (("bundle", "info", "."), "bundle.json"),
    (("bundle", "verify", "."), "bundle.json"),
    (("evaluate", ".", "-o", "x"), "bundle.json"),
    (("phantom", "0", "-o", "x"), "at least 1"),
    (("phantom", "1", "-o", "x", "--region", "head"), "head"),
    (("phantom", "1", "-o", "x", "--shape", "96"), "96x128x128"),
    (("phantom", "1", "-o", "x", "--shape", "1x2x3"), "at least 16"),
])
def test_errors_are_sentences(arguments, words, tmp_path, model_folder, monkeypatch, capsys):
    if arguments[:1] == ("report",):
        arguments += ("--bundle", str(model_folder))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["uvlm", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    told = capsys.readouterr().err
    assert end.value.code == 2
    assert words in told and "Traceback" not in told
    assert not (tmp_path / "x" / "study.json").exists()


def test_debug_shows_where_an_error_came_from(tmp_path):
    done = uvlm("check", "absent.nii.gz", "--debug", folder=tmp_path)
    assert done.returncode == 1 and "Traceback" in done.stderr and "absent.nii.gz" in done.stderr


def test_a_narrow_terminal_encoding_does_not_end_a_run(tmp_path):
    done = uvlm("check", "größe.nii.gz", folder=tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 2 and "Traceback" not in done.stderr


@pytest.mark.parametrize(("error", "code", "words"), [
    (VolumeError("Two slices are missing."), 2, "Two slices are missing."),
    (Cancelled("Cancelled. Nothing was left behind."), 130, "Nothing was left"),
    (KeyboardInterrupt(), 130, "Cancelled."),
    (MemoryError(), 2, "memory"),
    (OSError(28, "No space left on device", "out.nii.gz"), 2, "No space left on device"),
    (OSError("4096 requested and 0 written"), 2, "0 written. Check that"),  # numpy names no file
    (ZeroDivisionError("division by zero"), 70, "--debug"),
])
def test_every_end_has_an_exit_code_and_a_sentence(error, code, words):
    found, text = failure(error)
    assert found == code and words in text


def test_progress_for_machines_is_ascii_json(tmp_path, model_folder):
    write_volume(tmp_path / "größe.nii.gz", make_phantom(23, (48, 64, 64)).volume)
    done = uvlm("report", "größe.nii.gz", "-o", "study", "--bundle", model_folder, "--json-progress", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.stdout.isascii() and rows[-1] == {"event": "finished", "study": "study"}
    stages = [row["stage"] for row in rows if row["event"] == "progress"]
    assert {"read", "encode", "segment", "save"} <= set(stages) and (tmp_path / "study" / "report.html").exists()
    # what a machine hears when it does not work
    failed = uvlm("report", "absent.nii.gz", "-o", "x", "--bundle", model_folder, "--json-progress", folder=tmp_path)
    last = json.loads(failed.stdout.splitlines()[-1])
    assert failed.returncode == 2 and last["event"] == "failed" and "absent.nii.gz" in last["message"]


def test_a_log_file_gets_one_line_per_stage(tmp_path, model_folder):
    write_volume(tmp_path / "scan.nii.gz", make_phantom(23, (48, 64, 64)).volume)
    done = uvlm("report", "scan.nii.gz", "-o", "study", "--bundle", model_folder, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert all(lines.count(f"{stage} ...") == 1 for stage in ("read", "encode", "write report", "save"))


def test_what_is_not_a_ct_is_refused_with_the_reason(tmp_path):
    picture = Volume(np.random.default_rng(0).integers(0, 255, (20, 64, 64)).astype(np.int16), np.diag([1, 1, 3, 1.0]))
    write_volume(tmp_path / "picture.nii.gz", picture)
    done = uvlm("check", tmp_path / "picture.nii.gz")
    assert done.returncode == 2 and "HU" in done.stderr


def test_phantoms_and_check(tmp_path):
    done = uvlm("phantom", 1, "-o", tmp_path / "cases", "--seed", 3, "--shape", "48x64x72", "--region", "chest")
    assert done.returncode == 0, done.stderr
    done = uvlm("check", tmp_path / "cases" / "images" / "phantom_3.nii.gz")
    assert done.returncode == 0 and "This is a CT" in done.stdout
    assert "72 x 64 x 48" in done.stdout and "L P S" in done.stdout


def test_a_bundle_is_measured_and_its_cases_are_not_mixed_with_another_s(tmp_path, model_folder):
    from uvlm_core.evaluation.bundle_figures import evaluate_bundle
    from uvlm_core.model.bundle import MANIFEST

    figures = evaluate_bundle(model_folder, tmp_path / "out", cases=1, seed=910001)
    assert figures["cases"] == 1 and 0 <= figures["organ_dice"] <= 1
    assert json.loads((tmp_path / "out" / "figures.json").read_text("utf-8"))["first_seed"] == 910001
    other = shutil.copytree(model_folder, tmp_path / "other")
    values = json.loads((other / MANIFEST).read_text("utf-8"))
    (other / MANIFEST).write_text(json.dumps({**values, "name": "another"}), "utf-8")
    with pytest.raises(UVLMError, match="another bundle"):
        evaluate_bundle(other, tmp_path / "out", cases=1, seed=910001)


@pytest.mark.skipif(not os.environ.get("UVLM_REFERENCE"), reason="UVLM_REFERENCE does not name the reference fixtures")
def test_reference_verify_prints_errors_and_fails_beyond_tolerance(tmp_path):
    fixture = Path(os.environ["UVLM_REFERENCE"]) / "fixtures" / "cls_xattn"
    done = uvlm("reference", "verify", fixture)
    assert done.returncode == 0, done.stderr
    assert "cls_logits" in done.stdout
    shutil.copytree(fixture.parent / "tokenizer", tmp_path / "tokenizer")
    shutil.copytree(fixture, tmp_path / "changed", copy_function=shutil.copyfile)
    arrays = dict(np.load(fixture / "outputs.npz"))
    (tmp_path / "changed" / "outputs.npz").unlink()
    arrays["cls_logits_0"] = arrays["cls_logits_0"] + 0.5
    np.savez(tmp_path / "changed" / "outputs.npz", **arrays)
    assert uvlm("reference", "verify", tmp_path / "changed").returncode == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to send to one process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_nothing(tmp_path, model_folder, number):
    write_volume(tmp_path / "scan.nii.gz", make_phantom(22, (48, 64, 64)).volume)
    before = sorted(path.name for path in tmp_path.iterdir())
    command = [*COMMAND, "report", "scan.nii.gz", "-o", "study", "--bundle", str(model_folder), "--json-progress"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    for line in process.stdout:
        if '"encode"' in line:
            break
    process.send_signal(number)
    begin = time.monotonic()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130 and "Nothing was left behind" in errors
    assert time.monotonic() - begin < 30  # within a second on a machine that does nothing else
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to send to one process")
def test_ctrl_c_while_cases_are_prepared_speaks_of_no_checkpoint(tmp_path):
    source = {"name": "many", "kind": "phantoms", "count": 2000, "first_seed": 1, "shape": [24, 32, 32],
              "spacing": [8, 12, 12]}
    (tmp_path / "many.json").write_text(json.dumps({"name": "many", "preset": "demo", "seed": 1, "data": [source],
                                                    "stages": [{"kind": "segmentation", "steps": 1}]}), "utf-8")
    process = subprocess.Popen([*COMMAND, "train", "many.json", "-o", "run"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    while process.poll() is None and not list(tmp_path.glob("run/cases/many_*")):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130 and "Stopped. The same command goes on from there." in errors
    assert "checkpoint" not in errors


@pytest.mark.skipif(os.name == "nt", reason="pipes of Windows tell nobody that they were closed")
def test_a_reader_that_goes_ends_the_run_without_a_word(tmp_path, model_folder):
    write_volume(tmp_path / "scan.nii.gz", make_phantom(22, (48, 64, 64)).volume)
    command = [*COMMAND, "report", "scan.nii.gz", "-o", "new/study", "--bundle", str(model_folder), "--json-progress"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait(120) == 141
    assert [path.name for path in tmp_path.iterdir()] == ["scan.nii.gz"]


def test_threads_are_as_many_as_the_system_grants(tmp_path):
    quota = tmp_path / "cpu.max"
    quota.write_text("100000 100000\n", "ascii")
    assert usable_processors(quota) == 1
    quota.write_text("max 100000\n", "ascii")
    assert usable_processors(quota) == usable_processors(tmp_path / "absent") >= 1
    chosen = {"OMP_NUM_THREADS": "3"}
    limit_threads(chosen)
    assert chosen["OMP_NUM_THREADS"] == "3"
