"""A short command of the core as a child process: `uvlm dataset check`, `uvlm train --estimate`."""

import logging
import os

import qt
from slicer.i18n import tr as _

from UVLMShared.Bootstrap import coreRoot
from UVLMShared.PythonProgram import pythonSlicer
from UVLMShared.SingleShot import later

# PYTHONPATH loses against site-packages in PythonSlicer, so the child puts the core's folder on its path itself. It
# ends with this process, also where that is killed: nobody would hear its answer.
BOOTSTRAP = ("import os, sys; sys.path.insert(0, sys.argv.pop(1)); from uvlm_core.worker.parent import watch; "
             "watch(int(sys.argv.pop(1)), lambda: os._exit(1)); from uvlm_core.cli import main; main()")


class CoreCommand:
    """Runs commands one after the other; no call blocks, callbacks come on the main thread.

    Args:
        commands: lists of arguments of `uvlm`.
        done: called with the output of each command (list of texts) when all have ended well.
        failed: called with the text of the first that did not, or of what `done` raised; then no other is started.
        began: called with the number of a command, from 0, when it starts.
    """

    def __init__(self, commands, done, failed, began=None):
        self._commands, self._done, self._failed, self._began = list(commands), done, failed, began
        self._outputs, self._out, self._errors, self._process = [], b"", b"", None
        self._next()

    @property
    def running(self):
        return self._process is not None

    def cancel(self):
        """Kills the child; nothing is called any more. What the core writes is written beside and renamed."""
        process = self._process
        if process is not None:
            self._release()
            process.kill()
            process.waitForFinished(1000)  # a killed child is gone in milliseconds

    def _next(self):
        if len(self._outputs) == len(self._commands):
            try:
                self._done(self._outputs)
            except Exception as error:  # its owner must not wait for ever
                logging.exception("UVLM: the answer of a command could not be used")
                self._failed(f"{type(error).__name__}: {error}")
            return
        if self._began is not None:
            self._began(len(self._outputs))
        self._out, self._errors = b"", b""
        self._process = process = qt.QProcess()
        environment = qt.QProcessEnvironment.systemEnvironment()
        for name in ("PYTHONUTF8", "PYTHONNOUSERSITE"):
            environment.insert(name, "1")
        process.setProcessEnvironment(environment)
        process.connect("readyReadStandardOutput()", self._read)
        process.connect("readyReadStandardError()", self._read)
        process.connect("finished(int,QProcess::ExitStatus)", self._finished)
        process.connect("errorOccurred(QProcess::ProcessError)", self._errorOccurred)
        process.start(pythonSlicer(), ["-c", BOOTSTRAP, coreRoot(), str(os.getpid()),
                                       *self._commands[len(self._outputs)]])
        process.closeWriteChannel()

    def _read(self):
        if self._process is not None:
            self._out += bytes(self._process.readAllStandardOutput().data())
            self._errors += bytes(self._process.readAllStandardError().data())

    def _errorOccurred(self, error):
        process = self._process
        if error == qt.QProcess.FailedToStart and process is not None:
            later(0, lambda: self._notStarted(process))  # Windows tells it within start(), here in the constructor

    def _notStarted(self, process):
        if self._process is process:
            self._release()
            self._failed(_("Slicer's own Python could not be started: {reason}.").format(reason=process.errorString()))

    def _finished(self, exitCode, exitStatus):
        if self._process is None:
            return
        self._read()
        self._release()
        if exitCode == 0 and exitStatus == qt.QProcess.NormalExit:
            self._outputs.append(self._out.decode("utf-8", "replace"))
            self._next()
            return
        said = self._errors.decode("utf-8", "replace").strip()
        self._failed(plainError(said) or _("The command ended with code {code}.").format(code=exitCode))

    def _release(self):
        process, self._process = self._process, None
        process.disconnect("readyReadStandardOutput()", self._read)
        process.disconnect("readyReadStandardError()", self._read)
        process.disconnect("finished(int,QProcess::ExitStatus)", self._finished)
        process.disconnect("errorOccurred(QProcess::ProcessError)", self._errorOccurred)
        later(0, lambda: process.state())  # keeps it until its own signal, which may run now, returns


def plainError(said):
    """What the core said last: from the line with "Error:" on, with a way on where Slicer lacks a package."""
    place = said.rfind("Error: ")
    text = said[place + len("Error: "):] if place >= 0 else "\n".join(said.split("\n")[-6:])
    if "ModuleNotFoundError" in said:
        text += " " + _("Open the module UVLM Report once: its button Repair installs what is missing.")
    return text.strip()
