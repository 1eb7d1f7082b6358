"""The worker itself: reads requests, answers the quick ones, hands the others to the job thread, and knows its end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from uvlm_core.worker import edit_methods, messages, model_methods, study_methods
from uvlm_core.worker import params as check
from uvlm_core.worker.channel import Channel
from uvlm_core.worker.failures import refusal_of
from uvlm_core.worker.hello import hello
from uvlm_core.worker.jobs import Jobs
from uvlm_core.worker.messages import METHOD, BadLine, Refusal, Request
from uvlm_core.worker.models import WarmModel
from uvlm_core.worker.packages import Packages
from uvlm_core.worker.params import Field, read_params
from uvlm_core.worker.parent import watch
from uvlm_core.worker.signals import on_signals
from uvlm_core.worker.timings import Timings

END_SECONDS = 10.0  # how long a job that cannot be stopped may delay the end


class Server:
    """One client, one model, one job at a time."""

    def __init__(self, channel: Channel, timings: Timings):
        self._channel = channel
        self._ending = threading.Lock()
        self._packages, self._model, self._timings = Packages(), WarmModel(), timings
        self._jobs = Jobs(self._send)
        self._beside = ThreadPoolExecutor(4, "uvlm_beside")  # for what is quick, but not quick enough for the reader
        model, timings = self._model, self._timings
        # method -> what reads its params, what does the work in the job thread
        self._job_methods: dict[str, tuple[Callable, Callable]] = {
            "load_bundle": (_reader(model_methods.MODEL_FIELDS),
                            lambda values, job: model_methods.load_bundle(values, job, model, timings)),
            "run": (study_methods.read_run, lambda values, job: study_methods.run(values, job, model, timings)),
            "measure": (_reader(edit_methods.MEASURE), edit_methods.measure),
            "check": (edit_methods.read_check, edit_methods.check_edited),
            "keep_case": (_reader(study_methods.KEEP), study_methods.keep_case),
            "export_study": (_reader(study_methods.EXPORT), study_methods.export_study),
        }
        # method -> what reads its params, what answers beside
        self._quick_methods: dict[str, tuple[Callable, Callable]] = {
            "hello": (_reader({}), lambda values: hello(self._packages, self._jobs.running)),
            "bundle_info": (_reader(model_methods.MODEL_FIELDS),
                            lambda values: model_methods.bundle_info(values, model, timings)),
        }

    def serve(self) -> None:
        """Answers until stdin closes, a signal comes, or `shutdown` is asked for; then the process ends."""
        on_signals((signal.SIGINT, signal.SIGTERM), self.end)
        for line in self._channel.lines():
            if not self._take(line):
                break
        self.end()

    def end(self) -> None:
        """Stops the running job and ends the process, whatever the other threads do; the first call wins."""
        if not self._ending.acquire(blocking=False):
            threading.Event().wait()
        self._jobs.stop(END_SECONDS)
        try:
            sys.stderr.flush()
        finally:
            os._exit(0)  # an interpreter that waits for its threads could wait for long

    def _take(self, line: bytes | BadLine) -> bool:
        """Handles one line; False where it asked for the end."""
        try:
            if isinstance(line, BadLine):
                raise line
            request = messages.parse_request(line)
        except BadLine as bad:
            self._send(messages.error(bad.id, bad.refusal))
            return True
        try:
            return self._handle(request)
        except Exception as error:
            refusal = refusal_of(error, None)
            if request.wants_reply:
                self._send(messages.error(request.id, refusal))
            else:
                self._log(f"'{request.method}': {refusal}")
            return True

    def _handle(self, request: Request) -> bool:
        if request.method == "cancel":
            values = read_params(request.params, {"id": Field(check.identity)})
            self._reply(request, {"cancelled": self._jobs.cancel(values["id"])})
        elif request.method == "shutdown":
            read_params(request.params, {})
            self._reply(request, {"stopped": True})
            return False
        elif not request.wants_reply:
            self._log(f"'{request.method}' without an id was ignored: its answer would be lost.")
        elif request.method in self._quick_methods:
            read, answer = self._quick_methods[request.method]
            self._beside.submit(self._answer_beside, request, answer, read(request.params))
        elif request.method in self._job_methods:
            read, work = self._job_methods[request.method]
            values = read(request.params)
            self._refuse_used(request.id)
            self._jobs.start(request.id, request.method, lambda job: work(values, job),
                             stoppable=request.method not in study_methods.UNSTOPPABLE)
        else:
            known = sorted([*self._quick_methods, *self._job_methods, "cancel", "shutdown"])
            raise Refusal(METHOD, f"There is no method '{request.method[:80]}'; there are {', '.join(known)}.",
                          methods=known)
        return True

    def _refuse_used(self, identity) -> None:
        running = self._jobs.running
        if running is not None and running["id"] == identity:
            raise Refusal(messages.REQUEST, f"The id {messages.described(identity)} is that of the running job.")

    def _answer_beside(self, request: Request, answer: Callable[[dict], dict], values: dict) -> None:
        try:
            self._send(messages.result(request.id, answer(values)))
        except Exception as error:
            self._send(messages.error(request.id, refusal_of(error, None)))

    def _reply(self, request: Request, values: dict) -> None:
        if request.wants_reply:
            self._send(messages.result(request.id, values))

    def _log(self, text: str) -> None:
        self._send(messages.notification("log", level="warning", text=text, id=None))

    def _send(self, message: dict) -> None:
        """To the client; without one there is nothing left to do."""
        try:
            self._channel.send(message)
        except ValueError as error:  # a number that JSON does not have: a mistake of ours, but no reason to be silent
            if "id" in message:
                self._channel.send(messages.error(message["id"], refusal_of(error, None)))
        except OSError:
            self._end_beside()

    def _end_beside(self) -> None:
        """`end` for a thread that may hold a lock that the end needs."""
        threading.Thread(target=self.end, daemon=True, name="uvlm_end").start()


def _reader(fields: dict[str, Field]) -> Callable[[object], dict]:
    return lambda params: read_params(params, fields)


def serve_process(parent: int | None = None, timings: str | None = None) -> None:
    """Makes this process a worker; returns never.

    Args:
        parent: process whose end ends the worker; None for the one that started it.
        timings: file for the times of former runs, see `Timings`.
    """
    import faulthandler

    channel = Channel.of_process()
    with contextlib.suppress(RuntimeError, ValueError, OSError):  # started without stderr
        faulthandler.enable()  # the stack of a fatal signal goes there
    server = Server(channel, Timings(timings))
    watch(os.getppid() if parent is None else parent, server.end)
    server.serve()
