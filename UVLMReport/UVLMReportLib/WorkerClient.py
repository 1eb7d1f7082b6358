"""The child process that runs the model: started once, kept warm, restarted after a crash (docs/worker-protocol.md)."""


class WorkerFailure(Exception):
    """What a request ended with.

    `kind`: "cancelled", "busy", "crashed", "timeout", "start", or the worker's own kind (a class name of uvlm_core.errors,
    "memory", ...). `stage`: the stage it happened in, or "". `whatToDo`: a sentence, or "". `details`: the last lines that the
    child wrote to stderr. str() is the sentence for the user.
    """

    def __init__(self, message, kind="", stage="", whatToDo="", details="", code=0):
        super().__init__(message)
        self.kind, self.stage, self.whatToDo, self.details, self.code = kind, stage, whatToDo, details, code


class WorkerClient:
    """One child process over a QProcess. All callbacks come on the main thread; no call blocks.

    `stateChanged(state)`: "stopped", "starting", "ready", "busy". `logged(level, text)`: remarks of the child.
    `state`, `hello` (the answer to the first message: versions, devices; None before), `lastFailure` (WorkerFailure or None).

        request(method, params, done, failed, progress=None, timeout=None) -> request id
            Starts the child if needed. done(result), failed(WorkerFailure), progress(dict with stage, done, total, text,
            seconds_left). One of done and failed is called exactly once, unless `forget(id)` was called.
        cancel(id): the worker stops within a second and failed(kind "cancelled") follows; if it does not, it is killed.
        forget(id): no callback of this request is called any more (it still runs).
        stop(): shutdown, and a kill after a second; nothing is left behind. stopNow(): kill at once (quitting, cleanup).
    """
