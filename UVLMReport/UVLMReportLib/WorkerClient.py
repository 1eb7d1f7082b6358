"""The child process that runs the model: started once, kept warm, restarted after a crash (docs/worker-protocol.md)."""

import json
import logging
import os
import signal
import subprocess
import sys

import qt
import slicer
from slicer.i18n import tr as _

from UVLMReportLib.Listeners import Listeners
from UVLMShared.Bootstrap import coreRoot
from UVLMShared.PythonProgram import pythonSlicer
from UVLMShared.SingleShot import later

# PYTHONPATH loses against site-packages in PythonSlicer, so the child puts the core's folder on its path itself
BOOTSTRAP = ("import sys; sys.path.insert(0, sys.argv.pop(1)); import runpy; "
             "runpy.run_module('uvlm_core.worker', run_name='__main__', alter_sys=True)")
JOBS = ("load_bundle", "run", "measure", "check", "keep_case", "export_study")
CANCEL_SECONDS = 3.0  # the worker promises one; then it is killed
STDERR_LINES = 30
STOPPED, STARTING, READY, BUSY = "stopped", "starting", "ready", "busy"


class WorkerFailure(Exception):
    """What a request ended with; str() is the sentence for the user.

    `kind`: "cancelled", "crashed", "timeout", "start", or the worker's own kind (docs/worker-protocol.md, Errors).
    `stage`: where it happened, or "". `whatToDo`: a sentence, or "". `details`: the last lines that the child wrote to
    stderr, or the worker's own details. `data`: all that the worker said.
    """

    def __init__(self, message, kind="", stage="", whatToDo="", details="", data=None):
        super().__init__(message)
        self.kind, self.stage, self.whatToDo, self.details = kind, stage, whatToDo, details
        self.data = data or {}


def failureOf(error):
    """Any error as one that can be told: a WorkerFailure or VolumeRefusal is one already."""
    if hasattr(error, "kind"):
        return error
    if isinstance(error, OSError):
        text = _("A file for the model cannot be written or read: {reason} ({path}).").format(
            reason=error.strerror or error, path=error.filename or slicer.app.temporaryPath)
        what = _("Make room there, or choose another temporary folder in Slicer's settings.")
        return WorkerFailure(text, "input", whatToDo=what)
    return WorkerFailure(f"{type(error).__name__}: {error}", "internal")


class Request:
    """One message that waits for its answer."""

    def __init__(self, number, method, params, done, failed, progress):
        self.number, self.method, self.params = number, method, params
        self.done, self.failed, self.progress = done, failed, progress
        self.stage, self.sent, self.cancelled, self.timeout, self.timer = "", False, False, None, None

    def forget(self):
        self.done = self.failed = self.progress = None


class WorkerClient:
    """One child process over a QProcess. All callbacks come on the main thread; no call blocks.

    `stateChanged(state)`: "stopped", "starting", "ready", "busy". `logged(level, text)`: remarks of the child.
    `hello`: the child's versions and devices, None before it answered. `lastFailure`: of the last crash, or None.
    Jobs (run, measure, ...) are sent one after the other, in the order in which they were asked for.
    """

    def __init__(self, program=None, arguments=None):
        """Starts nothing yet.

        Args:
            program, arguments: another child than the worker of this extension.
        """
        self.stateChanged, self.logged = Listeners(), Listeners()
        self.hello, self.lastFailure = None, None
        self._program, self._arguments = program, arguments
        self._process, self._innerId, self._state = None, None, STOPPED
        self._requests, self._next = {}, 1
        self._received, self._stderr = b"", []
        self._quitting = False
        slicer.app.connect("aboutToQuit()", self.stopNow)

    @property
    def state(self):
        return self._state

    @property
    def processId(self):
        """Of the running child; None without one."""
        return self._process.processId() if self._process is not None else None

    # ---- requests

    def request(self, method, params=None, done=None, failed=None, progress=None, timeout=None):
        """Sends a message, or keeps a job until the one before it has ended; starts the child if needed.

        Args:
            done: called with the result; failed: with a WorkerFailure. One of them is called, once, unless `forget`
                was called before.
            progress: called with the params of the protocol's progress messages.
            timeout: seconds after which the child, once it has the message, counts as hung and is killed.

        Returns:
            the number of the request, for `cancel` and `forget`.
        """
        request = Request(self._next, method, params or {}, done, failed, progress)
        self._next += 1
        self._requests[request.number] = request
        request.timeout = timeout
        if self._process is None:
            self._start()
        self._sendNext()
        return request.number

    def cancel(self, number):
        """Stops a job; `failed` is called with the kind "cancelled". A child that does not stop in time is killed."""
        request = self._requests.get(number)
        if request is None or request.cancelled:
            return
        request.cancelled = True
        if not request.sent:
            self._end(request, failure=WorkerFailure(_("Cancelled."), "cancelled"))
            return
        self._write({"jsonrpc": "2.0", "id": self._number(), "method": "cancel", "params": {"id": number}})
        later(int(CANCEL_SECONDS * 1000), lambda: self._killIfRunning(request))

    def forget(self, number):
        """No callback of this request is called any more."""
        if number in self._requests:
            self._requests[number].forget()

    def _number(self):
        self._next += 1
        return self._next - 1

    def _sendNext(self):
        """Writes what may be written: everything but jobs at once, jobs one at a time."""
        waiting = [request for request in self._requests.values() if not request.sent]
        for request in waiting:
            busy = any(other.sent and other.method in JOBS for other in self._requests.values())
            if self._process is None or (request.method in JOBS and busy):
                continue
            request.sent = True
            if request.timeout is not None:
                request.timer = qt.QTimer()
                request.timer.setSingleShot(True)
                request.timer.connect("timeout()", lambda number=request.number: self._timedOut(number))
                request.timer.start(int(request.timeout * 1000))
            self._write({"jsonrpc": "2.0", "id": request.number, "method": request.method, "params": request.params})
        self._updateState()

    def _write(self, message):
        if self._process is not None:
            self._process.write((json.dumps(message, ensure_ascii=True) + "\n").encode("ascii"))

    def _end(self, request, result=None, failure=None):
        """Takes a request off the list and tells its owner."""
        self._requests.pop(request.number, None)
        if request.timer is not None:
            request.timer.stop()
        function, value = (request.failed, failure) if failure is not None else (request.done, result)
        request.forget()
        self._updateState()
        if function is not None:
            try:
                function(value)
            except Exception:
                logging.exception("UVLM: handling the answer to '%s' failed", request.method)

    def _timedOut(self, number):
        request = self._requests.get(number)
        if request is not None:
            later(0, lambda: request.timer.stop())  # keeps the timer until its own signal, which runs now, returns
            self._abandon(WorkerFailure(_("The worker did not answer to '{method}' in time and was ended. Try again.")
                                        .format(method=request.method), "timeout", request.stage))

    def _killIfRunning(self, request):
        if request.number in self._requests:
            self._abandon(WorkerFailure(_("The worker did not stop when it was told to, and was ended. It is started "
                                          "again when it is needed."), "crashed", request.stage))

    # ---- the child

    def _start(self):
        self._received, self._stderr, self.hello = b"", [], None
        process = qt.QProcess()
        environment = qt.QProcessEnvironment.systemEnvironment()
        environment.insert("PYTHONUTF8", "1")
        environment.insert("PYTHONNOUSERSITE", "1")
        process.setProcessEnvironment(environment)
        process.connect("readyReadStandardOutput()", self._readOutput)
        process.connect("readyReadStandardError()", self._readErrors)
        process.connect("finished(int,QProcess::ExitStatus)", self._finished)
        process.connect("errorOccurred(QProcess::ProcessError)", self._errorOccurred)
        self._process = process
        program = self._program or pythonSlicer()
        arguments = self._arguments
        if arguments is None:
            arguments = ["-c", BOOTSTRAP, coreRoot(), "--parent", str(os.getpid()), "--timings", _timingsFile()]
        self._setState(STARTING)
        process.start(program, arguments)
        self.request("hello", done=self._greeted, failed=lambda failure: None)

    def _greeted(self, hello):
        self.hello, self.lastFailure = hello, None
        inner = hello.get("pid")
        self._innerId = inner if inner != self._process.processId() else None
        self._updateState()
        self.stateChanged(self._state)

    def _readOutput(self):
        if self._process is None:
            return
        self._received += self._process.readAllStandardOutput().data()
        *lines, self._received = self._received.split(b"\n")
        for line in lines:
            if line.strip():
                self._take(line)

    def _take(self, line):
        try:
            message = json.loads(line)
        except ValueError:
            logging.warning("UVLM: the worker wrote something that is no message: %r", line[:200])
            return
        if "method" in message:
            self._notified(message["method"], message.get("params") or {})
            return
        request = self._requests.get(message.get("id"))
        if request is None:
            return
        if "error" in message:
            self._end(request, failure=_failure(message["error"]))
        else:
            self._end(request, result=message.get("result"))
        self._sendNext()

    def _notified(self, method, params):
        if method == "log":
            self.logged(params.get("level", "info"), params.get("text", ""))
        request = self._requests.get(params.get("id"))
        if method == "progress" and request is not None:
            request.stage = params.get("stage", "")
            if request.progress is not None and not request.cancelled:
                request.progress(params)

    def _readErrors(self):
        if self._process is None:
            return
        text = self._process.readAllStandardError().data().decode("utf-8", "replace")
        self._stderr = (self._stderr + text.splitlines())[-STDERR_LINES:]

    def _errorOccurred(self, error):
        process = self._process
        if error == qt.QProcess.FailedToStart and process is not None:
            later(0, lambda: self._notStarted(process))  # Windows tells it within start(), and so within request()

    def _notStarted(self, process):
        if self._process is not process:
            return
        self._abandon(WorkerFailure(
            _("The worker could not be started: {reason}.").format(reason=process.errorString()), "start",
            whatToDo=_("Check that Slicer's own Python (PythonSlicer) is in its folder, or install Slicer again."),
            details=f"{process.program()} {' '.join(process.arguments()[2:])}"))

    def _finished(self, exitCode, exitStatus):
        if self._process is None:
            return
        self._readOutput()
        self._readErrors()
        if self._process is None:  # what was read made somebody stop it
            return
        stage = next((request.stage for request in self._requests.values() if request.sent and request.stage), "")
        killed = exitStatus == qt.QProcess.CrashExit
        reason = _("by the signal or error {code}") if killed else _("with exit code {code}")
        where = _(" while it was at '{stage}'").format(stage=stage) if stage else ""
        self._abandon(WorkerFailure(
            _("The worker ended{where} ({reason}). It is started again when it is needed.").format(
                where=where, reason=reason.format(code=exitCode)), "crashed", stage,
            whatToDo=_("If it happens again at the same place, choose the device CPU, close other programs, or look at "
                       "the details."), details="\n".join(self._stderr[-12:])))

    def _abandon(self, failure):
        """Ends the child and every request with it."""
        self.lastFailure = failure
        failure.details = failure.details or "\n".join(self._stderr[-12:])
        self._discard()
        requests = sorted(self._requests.values(), key=lambda request: request.number)
        for request in requests:
            own = WorkerFailure(_("Cancelled."), "cancelled", request.stage) if request.cancelled else failure
            self._end(request, failure=own)
        self._updateState()

    def stop(self):
        """Ends the child politely; it is killed if it has not gone after a second. Every request ends as cancelled."""
        process, innerId = self._process, self._innerId
        if process is None:
            return
        self._write({"jsonrpc": "2.0", "id": self._number(), "method": "shutdown", "params": {}})
        process.closeWriteChannel()
        self._release(process)
        later(1000, lambda: _kill(process, innerId) if process.state() != qt.QProcess.NotRunning else None)
        self._endAll()

    def stopNow(self):
        """Kills the child at once: for quitting and for reloading the module."""
        self._discard()
        self._endAll()

    def shutdown(self):
        """stopNow, and no signal of the application is listened to any more."""
        self._quitting = True
        slicer.app.disconnect("aboutToQuit()", self.stopNow)
        self.stateChanged.clear()
        self.logged.clear()
        for request in self._requests.values():
            request.forget()
        self.stopNow()

    def _endAll(self):
        for request in sorted(self._requests.values(), key=lambda request: request.number):
            self._end(request, failure=WorkerFailure(_("Cancelled."), "cancelled", request.stage))
        self._updateState()

    def _discard(self):
        process, innerId = self._process, self._innerId
        if process is not None:
            self._release(process)
            process.closeWriteChannel()
            _kill(process, innerId)
            process.waitForFinished(1000)  # a killed child is gone in milliseconds

    def _release(self, process):
        """Nobody listens to this process any more."""
        process.disconnect("readyReadStandardOutput()", self._readOutput)
        process.disconnect("readyReadStandardError()", self._readErrors)
        process.disconnect("finished(int,QProcess::ExitStatus)", self._finished)
        process.disconnect("errorOccurred(QProcess::ProcessError)", self._errorOccurred)
        self._process, self._innerId, self.hello = None, None, None
        later(0, lambda: process.state())  # keeps it until its own signal, which may run now, returns

    # ---- state

    def _updateState(self):
        if self._process is None:
            self._setState(STOPPED)
        elif any(request.sent and request.method in JOBS for request in self._requests.values()):
            self._setState(BUSY)
        else:
            self._setState(STARTING if self.hello is None else READY)

    def _setState(self, state):
        if state != self._state:
            self._state = state
            self.stateChanged(state)


def _failure(error):
    data = error.get("data") or {}
    return WorkerFailure(error.get("message", ""), data.get("kind", ""), data.get("stage") or "",
                         data.get("what_to_do") or "", data.get("details", ""), data)


def _timingsFile():
    """Where the worker remembers how long runs take on this machine: beside Slicer's own settings."""
    return os.path.join(os.path.dirname(slicer.app.slicerUserSettingsFilePath), "UVLM-timings.json")


def _kill(process, innerId):
    """Ends a child, and the Python behind Slicer's launcher, which would outlive it.

    Args:
        innerId: process id of that Python; None where the child is itself the Python, or has not said hello yet.
    """
    if innerId is not None:
        try:
            if sys.platform == "win32":
                subprocess.run(["taskkill", "/T", "/F", "/PID", str(innerId)], capture_output=True, check=False)
            else:
                os.kill(innerId, signal.SIGKILL)
        except OSError:
            pass  # gone already
    if process.state() != qt.QProcess.NotRunning:
        process.kill()
