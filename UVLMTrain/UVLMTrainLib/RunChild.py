"""The program of a run's process: holds the run's lock while it lives, listens to requests, writes how it ended.

Started as `PythonSlicer RunChild.py CORE RUN uvlm-arguments...`, in a session of its own, so that it outlives the panel
and Slicer. Panel and process only meet in the run folder: no process id is ever signalled, so one that the system gave
to another process does no harm.
"""

import json
import os
import signal
import sys
import threading
import time

LOCK, STATE, REQUEST, LOG = "run.lock", "run.json", "run.request", "run.log"
PAUSE, STOP = "pause", "stop"
POLL_SECONDS, LAST_SECONDS = 0.2, 10.0
HOLDING = []
CANCELLED, UNEXPECTED, HELD = 130, 70, 75  # the first two as in uvlm_core.failures


def takeLock(path):
    """The open lock file, held until this process ends however it ends; None where another process holds it."""
    file = open(path, "a+b")  # noqa: SIM115
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def isHeld(folder):
    """Whether a process works in this run folder now."""
    path = os.path.join(folder, LOCK)
    if not os.path.exists(path):
        return False
    try:
        file = takeLock(path)
    except OSError:  # not ours to write
        return _isHeldByOthers(path)
    if file is None:
        return True
    file.close()
    return False


def _isHeldByOthers(path):
    """Whether somebody holds a lock that this user may only read."""
    if os.name == "nt":
        return True
    import fcntl

    try:
        with open(path, "rb") as file:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


def writeJson(path, values):
    """Written beside and renamed, so that a reader never sees half of it."""
    beside = f"{path}.{os.getpid()}.writing"
    with open(beside, "w", encoding="utf-8") as file:
        json.dump(values, file)
    os.replace(beside, path)


def isListening():
    """Whether an interrupt is heard. Before a training has its own handler an import may swallow it; then it waits."""
    return sys.argv[1:2] != ["train"] or signal.getsignal(signal.SIGINT) is not signal.default_int_handler


def listen(folder):
    """Thread: a request in the run folder becomes an interrupt of the main thread, a second one ends it."""
    path, asked = os.path.join(folder, REQUEST), []
    while True:
        time.sleep(POLL_SECONDS)
        try:
            with open(path, encoding="utf-8") as file:
                request = file.read().strip()
        except OSError:
            continue
        if request and request not in asked and (request == STOP or isListening()):
            asked.append(request)
            signal.raise_signal(signal.SIGINT)  # the core saves a checkpoint and ends
            if request == STOP:
                time.sleep(POLL_SECONDS)
                if len(asked) == 1:
                    signal.raise_signal(signal.SIGINT)  # the second one is at once
                time.sleep(LAST_SECONDS)
                writeJson(os.path.join(folder, STATE), {"command": sys.argv[1:], "pid": os.getpid(), "code": CANCELLED})
                os._exit(CANCELLED)


def main():
    """Runs the command of the core; returns its exit code."""
    core, folder = sys.argv.pop(1), sys.argv.pop(1)
    lock, tries = None, 20
    while lock is None and tries:  # who looks whether it is held holds it for a moment
        lock, tries = takeLock(os.path.join(folder, LOCK)), tries - 1
        if lock is None:
            time.sleep(0.1)
    if lock is None:
        return HELD
    HOLDING.append(lock)  # until the interpreter is gone, which takes a while after this function
    os.environ["UVLM_RUN_LOCKED"] = os.path.abspath(folder)  # the core need not lock it (uvlm_core.training.run_lock)
    state = {"command": sys.argv[1:], "pid": os.getpid(), "started": time.time()}
    writeJson(os.path.join(folder, STATE), state)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where Slicer was started in the background
    threading.Thread(target=listen, args=(folder,), daemon=True).start()
    sys.path[0] = core  # in place of this file's own folder
    code = UNEXPECTED
    try:
        from uvlm_core.cli import main as uvlm

        uvlm()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else UNEXPECTED
    except KeyboardInterrupt:  # before the core listens itself
        code = CANCELLED
    except ImportError as error:
        print(f"Error: {error}", file=sys.stderr)
    if code == UNEXPECTED and os.path.exists(os.path.join(folder, REQUEST)):  # interrupted where nobody expects it
        code = CANCELLED
    writeJson(os.path.join(folder, STATE), {**state, "code": code, "ended": time.time()})
    return code


if __name__ == "__main__":
    sys.exit(main())
