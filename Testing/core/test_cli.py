"""The command as a user meets it: fast help, sentences instead of tracebacks, exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from uvlm_core.volumes.volume import Volume
from uvlm_core.volumes.writing import write_volume

ROOT = Path(__file__).resolve().parents[2]


def uvlm(*arguments, **options):
    command = [sys.executable, "-c", "from uvlm_core.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, **options)


def test_help_is_there_without_torch():
    code = ("import sys; sys.argv = ['uvlm', '--help']\nfrom uvlm_core.cli import main\ntry: main()\n"
            "except SystemExit: pass\nprint('torch' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert "report" in done.stdout and done.stdout.strip().endswith("False")


@pytest.mark.parametrize(("arguments", "words"), [
    (("report", "no such.nii.gz", "-o", "x"), "no such.nii.gz"),
    (("frobnicate",), "frobnicate"),
    (("report",), "scan"),
    (("train", "no-such-recipe", "-o", "x"), "no-such-recipe"),
    (("bundle", "info", "."), "bundle.json"),
    (("phantom", "0", "-o", "x"), "at least 1"),
    (("phantom", "1", "-o", "x", "--region", "head"), "head"),
])
def test_errors_are_sentences(arguments, words, tmp_path):
    done = subprocess.run([sys.executable, "-c", "from uvlm_core.cli import main; main()", *arguments],
                          capture_output=True, text=True, cwd=tmp_path, timeout=120,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 2
    assert words in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "x" / "study.json").exists()


def test_what_is_not_a_ct_is_refused_with_the_reason(tmp_path):
    picture = Volume(np.random.default_rng(0).integers(0, 255, (20, 64, 64)).astype(np.int16), np.diag([1, 1, 3, 1.0]))
    write_volume(tmp_path / "picture.nii.gz", picture)
    done = uvlm("check", tmp_path / "picture.nii.gz")
    assert done.returncode == 2 and "HU" in done.stderr


def test_phantoms_and_check(tmp_path):
    done = uvlm("phantom", 1, "-o", tmp_path / "cases", "--seed", 3)
    assert done.returncode == 0, done.stderr
    done = uvlm("check", tmp_path / "cases" / "images" / "phantom_3.nii.gz")
    assert done.returncode == 0 and "This is a CT" in done.stdout


@pytest.mark.skipif(not os.environ.get("UVLM_REFERENCE"), reason="UVLM_REFERENCE does not name the reference fixtures")
def test_reference_verify_prints_errors_and_fails_beyond_tolerance(tmp_path):
    import shutil

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


def test_ctrl_c_leaves_nothing(tmp_path):
    import signal

    from uvlm_core.phantom.generator import make_phantom
    from uvlm_core.resources import resource

    try:
        resource("Models", "demo", "bundle.json")
    except FileNotFoundError:
        pytest.skip("the demo model is not in this checkout")
    write_volume(tmp_path / "scan.nii.gz", make_phantom(22, (96, 128, 128)).volume)
    before = sorted(path.name for path in tmp_path.iterdir())
    process = subprocess.Popen([sys.executable, "-c", "from uvlm_core.cli import main; main()", "report",
                                str(tmp_path / "scan.nii.gz"), "-o", str(tmp_path / "study"), "--json-progress"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    for line in process.stdout:
        if '"encode"' in line:
            break
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "Cancelled" in errors
    assert time.monotonic() - begin < 30
    assert sorted(path.name for path in tmp_path.iterdir()) == before
