"""The client of the worker: warm, restarted, cancelled, never an orphan; with the real worker and with broken ones."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "UVLMReport"))

# a child that answers each message after a while and tells how many jobs it had at once
SLOW = """
import json, sys, threading, time
running, most = 0, 0
def answer(row):
    global running
    time.sleep(0.2)
    running -= row["method"] != "hello"
    result = {"method": row["method"], "most": most}
    print(json.dumps({"jsonrpc": "2.0", "id": row["id"], "result": result}), flush=True)
for line in sys.stdin:
    row = json.loads(line)
    running += row["method"] != "hello"
    most = max(most, running)
    threading.Thread(target=answer, args=(row,)).start()
"""
DEAF = "import sys, time\nfor line in sys.stdin: pass\ntime.sleep(60)"
CRASHING = "import sys\nsys.stdin.readline()\nprint('no message')\nprint('out of luck', file=sys.stderr)\nsys.exit(3)"


@pytest.fixture()
def client(scene):
    from UVLMReportLib.WorkerClient import WorkerClient

    clients = []

    def make(code=None):
        program, arguments = (None, None) if code is None else (sys.executable, ["-c", code])
        clients.append(WorkerClient(program, arguments))
        return clients[-1]

    yield make
    for one in clients:
        one.shutdown()


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie that nobody waited for has not)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


class Answers:
    def __init__(self):
        self.done, self.failed = [], []

    def ask(self, client, method, params=None, **options):
        return client.request(method, params, self.done.append, self.failed.append, **options)

    @property
    def count(self):
        return len(self.done) + len(self.failed)


def test_real_worker_starts_once_and_ends_with_its_client(client, app):
    worker, answers, states = client(), Answers(), []
    worker.stateChanged.connect(states.append)
    answers.ask(worker, "hello")
    answers.ask(worker, "bundle_info", {"bundle": None})
    assert app.processUntil(lambda: answers.count == 2, 120)
    assert not answers.failed
    assert {"protocol", "name"} <= {key for row in answers.done for key in row}
    assert (states[0], worker.state) == ("starting", "ready")
    pid = worker.processId
    answers.ask(worker, "hello")
    assert app.processUntil(lambda: answers.count == 3)
    assert worker.processId == pid  # warm
    answers.ask(worker, "no_such_method")
    assert app.processUntil(lambda: answers.failed)
    assert answers.failed[0].kind == "method" and worker.state == "ready"
    worker.stop()
    assert worker.state == "stopped"
    assert app.processUntil(lambda: gone(pid))


def test_quitting_leaves_no_orphan(client, app):
    worker, answers = client(), Answers()
    answers.ask(worker, "hello")
    app.processUntil(lambda: worker.processId)
    pid = worker.processId
    worker.shutdown()
    assert app.processUntil(lambda: gone(pid))
    assert answers.count == 0  # nobody is told anything after the end


def test_crash_is_told_and_the_next_message_starts_another(client, app):
    worker, answers = client(CRASHING), Answers()
    for number in (1, 2):
        answers.ask(worker, "measure")
        assert app.processUntil(lambda wanted=number: len(answers.failed) == wanted)
        failure = answers.failed[-1]
        assert failure.kind == "crashed" and "exit code 3" in str(failure)
        assert failure.details.endswith("out of luck") and failure.whatToDo
        assert worker.state == "stopped" and worker.lastFailure is failure


def test_program_that_is_not_there(client, app):
    from UVLMReportLib.WorkerClient import WorkerClient

    worker, answers = WorkerClient("/no/such/program", []), Answers()
    answers.ask(worker, "hello")
    assert app.processUntil(lambda: answers.failed)
    assert answers.failed[0].kind == "start" and "could not be started" in str(answers.failed[0])
    worker.shutdown()


def test_a_failure_within_start_is_told_after_the_request(client, app, monkeypatch):
    """As on Windows; with no name of a program, Qt tells it within start() on every system."""
    monkeypatch.setattr("UVLMReportLib.WorkerClient.pythonSlicer", lambda: "")
    worker, answers = client(), Answers()
    answers.ask(worker, "run")
    assert answers.count == 0
    assert app.processUntil(lambda: answers.failed)
    app.processEvents(0.1)
    assert [failure.kind for failure in answers.failed] == ["start"] and worker.state == "stopped"


def test_hung_worker_is_ended_after_its_time(client, app):
    worker, answers = client(DEAF), Answers()
    answers.ask(worker, "measure", timeout=0.5)
    app.processUntil(lambda: worker.processId)
    pid = worker.processId
    assert app.processUntil(lambda: answers.failed)
    assert answers.failed[0].kind == "timeout" and app.processUntil(lambda: gone(pid))


def test_cancel_kills_what_does_not_listen(client, app):
    worker, answers = client(DEAF), Answers()
    first = answers.ask(worker, "run")
    second = answers.ask(worker, "measure")  # waits for the first
    worker.cancel(second)
    assert [failure.kind for failure in answers.failed] == ["cancelled"]
    worker.cancel(first)
    assert app.processUntil(lambda: answers.count == 2)
    assert answers.failed[1].kind == "cancelled" and worker.state == "stopped"


def test_jobs_go_one_by_one_and_what_is_forgotten_is_silent(client, app):
    worker, answers = client(SLOW), Answers()
    for method in ("run", "measure", "check"):
        answers.ask(worker, method)
    worker.forget(answers.ask(worker, "measure"))
    answers.ask(worker, "keep_case")
    assert app.processUntil(lambda: answers.count == 4)
    assert [row["method"] for row in answers.done] == ["run", "measure", "check", "keep_case"]
    assert answers.done[-1]["most"] == 1


def test_an_answered_request_is_let_go(client, app):
    """Its timer and it hold each other until the answer; a session has thousands of them."""
    import weakref

    worker, answers = client(SLOW), Answers()
    number = answers.ask(worker, "measure", timeout=30)
    request = weakref.ref(worker._requests[number])
    assert app.processUntil(lambda: answers.done)
    assert app.processUntil(lambda: request() is None)
