"""One job at a time, in a thread of its own, so that the reading loop keeps answering; and how it is stopped."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from uvlm_core.worker import messages
from uvlm_core.worker.failures import cancelled, refusal_of
from uvlm_core.worker.job_progress import LEAST_SECONDS, JobProgress
from uvlm_core.worker.memory import give_back_memory
from uvlm_core.worker.messages import BUSY, STOPPING, Id, Refusal

PATIENCE_SECONDS = 0.7  # how long a stopped job may take to its next safe point before it is answered for


class Job:
    """One running request: what it tells, whether it is to stop, and its single answer."""

    def __init__(self, identity: Id, method: str, send: Callable[[dict], None], stoppable: bool = True):
        self.id, self.method, self.stoppable = identity, method, stoppable
        self.progress = JobProgress(lambda fields: self._while_open(
            lambda: send(messages.notification("progress", id=identity, **fields))), all_stages=method == "run")
        self._send = send
        self._stop, self._lock = threading.Event(), threading.RLock()
        self.answered = False

    def cancelled(self) -> bool:
        """True once the job is to stop; asked often by the work."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Asks the work to stop."""
        self._stop.set()

    def note(self, text: str, level: str = "warning") -> None:
        """A sentence that the user should know."""
        self._while_open(lambda: self._send(messages.notification("log", level=level, text=text, id=self.id)))

    def answer(self, message: dict) -> None:
        """Sends the reply, once; nothing is sent about the job afterwards."""
        if "result" in message:
            self.progress.flush()
        with self._lock:
            if not self.answered:
                self.answered = True
                self._send(message)

    def to_dict(self) -> dict:
        """How others are told of it."""
        return {"id": self.id, "method": self.method, "stage": self.progress.stage}

    def _while_open(self, act: Callable[[], None]) -> None:
        with self._lock:
            if not self.answered:
                act()


class Jobs:
    """The one place where jobs run."""

    def __init__(self, send: Callable[[dict], None]):
        self._send = send
        self._lock = threading.Lock()
        self._current: Job | None = None
        self._stopping = False
        self._work: queue.Queue = queue.Queue()
        self._idle = threading.Event()
        self._idle.set()
        self._busy = threading.Event()
        for target in (self._run_all, self._tick_all):
            threading.Thread(target=target, daemon=True, name=f"uvlm{target.__name__}").start()

    @property
    def running(self) -> dict | None:
        """The running job, or None."""
        job = self._current
        return None if job is None else job.to_dict()

    def start(self, identity: Id, method: str, work: Callable[[Job], dict], stoppable: bool = True) -> None:
        """Takes a job.

        Args:
            work: gives the result, or raises.
            stoppable: False for work that cannot be undone half-way: `cancel` does not touch it.

        Raises:
            Refusal: another one runs, or the worker is ending.
        """
        with self._lock:
            if self._stopping:
                raise Refusal(STOPPING, "The worker is ending.", "Start a new worker.")
            if self._current is not None:
                running = self._current.to_dict()
                raise Refusal(BUSY, f"The worker is busy with '{running['method']}'.",
                              "Wait for it, or cancel it.", running["stage"], running=running)
            job = self._current = Job(identity, method, self._send, stoppable)
            self._idle.clear()
            self._busy.set()
            self._work.put((job, work))

    def cancel(self, identity: Id) -> bool:
        """Stops the job of that id; False where none of it runs, or one that cannot be stopped."""
        with self._lock:
            job = self._current
            if job is None or job.id != identity or not job.stoppable:
                return False
        job.stop()
        timer = threading.Timer(PATIENCE_SECONDS, self._answer_for, (job,))
        timer.daemon = True
        timer.start()
        return True

    def stop(self, seconds: float) -> bool:
        """Takes no more jobs, stops the running one; True when its thread is at rest within `seconds`."""
        with self._lock:
            self._stopping = True
            job = self._current
        if job is not None and job.stoppable:
            job.stop()
            if not self._idle.wait(PATIENCE_SECONDS):
                self._answer_for(job)
        return self._idle.wait(seconds)

    def _answer_for(self, job: Job) -> None:
        """A job that is inside something that cannot be stopped is over for the client; the next one waits for it."""
        self._release(job)  # first: the client may ask for the next job as soon as it has the answer
        job.answer(messages.error(job.id, cancelled(job.progress.stage)))

    def _release(self, job: Job) -> None:
        with self._lock:
            if self._current is job:
                self._current = None
                self._busy.clear()

    def _run_all(self) -> None:
        while True:
            job, work = self._work.get()
            message = self._outcome(job, work)
            del work
            give_back_memory()  # before the client asks for the next job
            self._release(job)
            job.answer(message)
            del job, message
            with self._lock:
                if self._work.empty():
                    self._idle.set()

    def _outcome(self, job: Job, work: Callable[[Job], dict]) -> dict:
        try:
            if job.cancelled():  # while it waited for its predecessor
                raise cancelled(None)
            return messages.result(job.id, work(job))
        except BaseException as error:  # whatever it is, the worker goes on
            return messages.error(job.id, refusal_of(error, job.progress.stage))

    def _tick_all(self) -> None:
        while True:
            self._busy.wait()
            job = self._current
            if job is not None:
                job.progress.tick()
            time.sleep(LEAST_SECONDS)
