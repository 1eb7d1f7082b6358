"""The worker as a process: what it says to good, bad and absurd lines, and when it ends."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from worker_client import COMMAND, ROOT, Worker

from uvlm_core.version import VERSION
from uvlm_core.worker.messages import KINDS, LONGEST_LINE
from uvlm_core.worker.packages import NEEDED

MATRIX = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
EMPTY_CHECK = {"report": {"sections": []}, "findings": [], "segments": [], "imaged": []}
POSIX = pytest.mark.skipif(os.name == "nt", reason="signals and process groups of POSIX")


@pytest.fixture(scope="module")
def worker():
    with Worker() as running:
        yield running


def test_hello_says_who_it_is(worker):
    answer = worker.call("hello")
    assert answer["protocol"] == "uvlm-worker/1" and answer["version"] == VERSION
    assert answer["pid"] == worker.process.pid and answer["missing"] == [] and answer["busy"] is None
    assert {"python", "torch", "numpy"} <= set(answer["versions"])
    assert answer["devices"][0]["id"] == "cpu" and answer["devices"][0]["memory_mib"] > 500


@pytest.mark.parametrize("line, code", [
    (b"hello?\n", -32700), (b"\xff\xfe\x00rubbish\n", -32700), (b'{"jsonrpc": "2.0", "id": 1, "method"\n', -32700),
    (b"[" * 100_000 + b"\n", -32700), (b'{"jsonrpc": "2.0", "id": 1, "method": "hello", "params": NaN}\n', -32700),
    (b'[{"jsonrpc": "2.0", "id": 1, "method": "hello"}]\n', -32600), (b"17\n", -32600), (b"null\n", -32600),
    (b'{"id": null, "jsonrpc": "2.0", "method": "hello"}\n', -32600),
    (b'{"id": 1.5, "jsonrpc": "2.0", "method": "hello"}\n', -32600),
    (b'{"id": {"a": 1}, "jsonrpc": "2.0", "method": "hello"}\n', -32600),
])
def test_a_line_that_is_no_request_is_answered_to_nobody(worker, line, code):
    worker.write(line)
    error = worker.answer(None)["error"]
    assert error["code"] == code and error["data"]["kind"] == KINDS[code] and len(error["message"]) < 1000


@pytest.mark.parametrize("row, code", [
    ({"id": "a", "method": "hello"}, -32600), ({"id": "b", "jsonrpc": "1.0", "method": "hello"}, -32600),
    ({"id": "c", "jsonrpc": "2.0"}, -32600), ({"id": "d", "jsonrpc": "2.0", "method": 7}, -32600),
    ({"id": "e", "jsonrpc": "2.0", "method": "dance"}, -32601),
    ({"id": "f", "jsonrpc": "2.0", "method": "hello", "params": [1]}, -32602),
    ({"id": "g", "jsonrpc": "2.0", "method": "hello", "params": {"loud": True}}, -32602),
])
def test_a_wrong_request_is_answered_by_its_id(worker, row, code):
    worker.write(json.dumps(row).encode() + b"\n")
    assert worker.answer(row["id"])["error"]["code"] == code


def test_a_line_that_is_too_long_is_skipped_and_the_next_one_answered(worker):
    block = b"x" * (1 << 20)
    for _ in range((LONGEST_LINE >> 20) + 2):
        worker.write(block)
    worker.write(b'"}\n')
    assert worker.answer(None)["error"]["code"] == -32700
    assert worker.call("hello")["protocol"]


def test_empty_lines_and_windows_line_ends_are_fine(worker):
    worker.write(b'\n\r\n  \n{"jsonrpc":"2.0","id":"\xc3\xbc","method":"hello"}\r\n')
    assert "result" in worker.answer("ü")


@pytest.mark.parametrize("method, params, field", [
    ("run", {}, "out"), ("run", {"out": "study", "scan": "/x"}, "out"), ("run", {"out": "/x"}, "volume"),
    ("run", {"out": "/x", "scan": "/y", "volume": {"array": "/a.npy", "ijk_to_ras": MATRIX}}, "volume"),
    ("run", {"out": "/x", "volume": {"array": "/a.npy"}}, "volume.ijk_to_ras"),
    ("run", {"out": "/x", "volume": {"array": "/a.npy", "ijk_to_ras": MATRIX[:3]}}, "volume.ijk_to_ras"),
    ("run", {"out": "/x", "volume": {"array": "/a.npy", "ijk_to_ras": [[10**400] * 4] * 4}}, "volume.ijk_to_ras"),
    ("run", {"out": "/x", "volume": {"array": "/a.npy", "ijk_to_ras": MATRIX, "nme": "x"}}, "volume.nme"),
    ("run", {"out": "/x", "scan": "/y", "device": "tpu"}, "device"),
    ("run", {"out": "/x", "scan": "/y", "precision": 16}, "precision"),
    ("run", {"out": "/x", "scan": "/y", "seed": True}, "seed"), ("run", {"out": "/x\0y", "scan": "/y"}, "out"),
    ("load_bundle", {"bundle": "demo"}, "bundle"), ("bundle_info", {"bundle": 3}, "bundle"),
    ("measure", {"segments": {}}, "segments"), ("measure", {"segments": [{"id": "a"}]}, "segments[0].label"),
    ("measure", {"segments": [{"id": "a", "label": "toe", "mask": "/m", "image": "/i", "ijk_to_ras": MATRIX}]},
     "segments[0].label"),
    ("measure", {"segments": [], "context": {"labels": "/l"}}, "context.ijk_to_ras"),
    ("check", {**EMPTY_CHECK, "imaged": "lungs"}, "imaged"),
    ("check", {**EMPTY_CHECK, "findings": [{"name": "Warts"}]}, "findings[0].name"),
    ("check", {**EMPTY_CHECK, "findings": [{"name": "Lung nodule", "probability": 0.2, "threshold": 0.5,
                                            "state": "perhaps"}]}, "findings[0].state"),
    ("check", {**EMPTY_CHECK, "report": {"sections": [{"name": "lungs", "sentences": [
        {"id": "s1", "text": "a"}, {"id": "s1", "text": "b"}]}]}}, "report.sections"),
    ("cancel", {}, "id"), ("cancel", {"id": []}, "id"), ("shutdown", {"now": True}, "now"),
])
def test_wrong_params_name_the_field_what_was_expected_and_what_was_found(worker, method, params, field):
    error = worker.refused(method, **params)
    assert error["code"] == -32602
    assert error["data"]["field"] == field and error["data"]["expected"] and error["data"]["found"]
    assert f"'{field}'" in error["message"]


def test_a_request_without_an_id_gets_no_answer_but_a_remark(worker):
    worker.write(b'{"jsonrpc":"2.0","method":"hello"}\n{"jsonrpc":"2.0","method":"cancel","params":{"id":99}}\n')
    worker.wait_for(lambda: any("without an id" in row["text"] for row in worker.notes("log")))
    assert worker.call("cancel", id=99) == {"cancelled": False}


def test_everything_that_came_is_one_object_of_ascii_per_line(worker):
    worker.write('{"jsonrpc":"2.0","id":"größer","method":"tür"}\n'.encode())
    assert "'tür'" in worker.answer("größer")["error"]["message"]
    for line in worker.raw:
        assert line.isascii() and line.endswith(b"\n") and isinstance(json.loads(line), dict)


def test_prints_of_python_and_of_c_do_not_disturb_the_protocol():
    code = ("import os, sys\nfrom uvlm_core.worker import edit_methods\nbefore = edit_methods.check_edited\n"
            "def noisy(values, job):\n    print('from Python')\n    os.write(1, b'from C\\n')\n"
            "    os.system('echo from a child')\n    return before(values, job)\n"
            "edit_methods.check_edited = noisy\nfrom uvlm_core.worker.__main__ import main\nmain([])\n")
    with Worker(command=(sys.executable, "-c", code)) as worker:
        assert worker.call("check", **EMPTY_CHECK)["sections"] == []
        worker.wait_for(lambda: all(text in worker.errors for text in (b"from Python", b"from C", b"from a child")))


@pytest.mark.parametrize("end", ["shutdown", "shutdown unasked", "stdin", pytest.param("SIGTERM", marks=POSIX),
                                 pytest.param("SIGINT", marks=POSIX)])
def test_it_ends_in_every_proper_way(end):
    with Worker() as worker:
        worker.call("check", **EMPTY_CHECK)
        if end == "shutdown":
            assert worker.call("shutdown") == {"stopped": True}
        elif end == "shutdown unasked":
            worker.write(b'{"jsonrpc":"2.0","method":"shutdown"}\n')
        elif end == "stdin":
            worker.process.stdin.close()
        else:
            worker.process.send_signal(getattr(signal, end))
        assert worker.ended() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="a signal to one thread of another process")
def test_a_signal_that_another_thread_gets_while_the_main_one_waits_for_a_line_ends_it():
    with Worker() as worker:
        worker.call("check", **EMPTY_CHECK)
        pid = worker.process.pid
        other = next(int(task) for task in os.listdir(f"/proc/{pid}/task") if int(task) != pid)
        assert ctypes.CDLL(None).tgkill(pid, other, int(signal.SIGINT)) == 0
        assert worker.ended() == 0


@POSIX
def test_it_ends_when_its_parent_is_gone_although_the_pipe_is_kept_open(tmp_path):
    """A sister process inherits the pipe, as programs that Slicer starts can."""
    code = ("import subprocess, sys, time\n"
            f"worker = subprocess.Popen({list(COMMAND)!r}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
            "sister = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], close_fds=False,\n"
            "                          pass_fds=(worker.stdin.fileno(),), stdout=subprocess.DEVNULL)\n"
            "worker.stdin.write(b'{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"bundle_info\"}\\n')\n"
            "worker.stdin.flush()\nworker.stdout.readline()\n"
            "print(worker.pid, sister.pid, flush=True)\ntime.sleep(60)\n")
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    worker, sister = map(int, parent.stdout.readline().split())
    try:
        parent.kill()
        parent.wait()
        end = time.monotonic() + 60
        while alive(worker):
            assert time.monotonic() < end, "the worker is an orphan"
            time.sleep(0.05)
        assert alive(sister)
    finally:
        parent.stdout.close()
        for process in (sister, worker):
            if alive(process):
                os.kill(process, signal.SIGKILL)


@POSIX
def test_it_watches_the_process_that_it_is_told():
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with Worker("--parent", str(other.pid)) as worker:
        worker.call("check", **EMPTY_CHECK)
        assert worker.process.poll() is None
        other.kill()  # it stays a zombie until it is waited for, and counts as gone
        assert worker.ended() == 0
    other.wait()


def alive(pid: int) -> bool:
    """False for zombies too."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        pass
    except OSError:
        return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return sys.platform != "linux"


def test_it_needs_no_package_to_say_which_are_missing(tmp_path):
    """Half-installed PyTorch, no tokenizers, and none of the command line's packages."""
    code = ("import sys\n"
            "class Absent:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            "        if name.split('.')[0] in ('typer', 'tqdm', 'click', 'numpy', 'tokenizers', 'nibabel'):\n"
            "            raise ModuleNotFoundError(name, name=name)\n"
            "sys.meta_path.insert(0, Absent())\n"
            f"sys.path.insert(0, {str(tmp_path)!r})\n"
            "from uvlm_core.worker.__main__ import main\nmain([])\n")
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise OSError('libc10.so: cannot open shared object file')\n")
    with Worker(command=(sys.executable, "-c", code)) as worker:
        answer = worker.call("hello")
        problems = {row["package"]: row["problem"] for row in answer["missing"]}
        assert set(problems) == {"torch", "numpy", "tokenizers", "nibabel"}
        assert "libc10.so" in problems["torch"]
        assert [row["id"] for row in answer["devices"]] == ["cpu"]
        error = worker.refused("load_bundle")
        assert error["code"] == -32015 and error["data"]["package"] and error["data"]["what_to_do"]


def test_what_it_needs_is_what_the_project_asks_for(root):
    import tomllib

    wanted = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    ours = {requirement for *_, requirement in NEEDED}
    assert ours == {name for name in wanted if not name.startswith(("typer", "tqdm"))}


def test_the_command_starts_the_same_worker():
    with Worker(command=(sys.executable, "-m", "uvlm_core.cli", "worker")) as worker:
        assert worker.call("hello")["protocol"] == "uvlm-worker/1"
        assert worker.call("shutdown") and worker.ended() == 0


def test_every_code_and_method_is_documented(root, worker):
    text = (root / "docs" / "worker-protocol.md").read_text("utf-8")
    for code, kind in KINDS.items():
        assert f"| {code} | `{kind}` |" in text
    methods = worker.refused("dance")["data"]["methods"]
    assert len(methods) == 10
    for method in methods:
        assert f"### `{method}`" in text
