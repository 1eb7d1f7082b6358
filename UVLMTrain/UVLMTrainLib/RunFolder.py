"""A run folder seen from outside: whether its process lives, how far it is, what it said; and starting and stopping it.

Everything is read from files, so a run is found again after a reload, and after Slicer was closed.
"""

import json
import os
import re
import subprocess
import time

from slicer.i18n import tr as _

from UVLMShared.Bootstrap import coreRoot
from UVLMShared.PythonProgram import pythonSlicer
from UVLMTrainLib import RunChild

NONE, RUNNING, PAUSING, PAUSED, FAILED, KILLED, PART, TRAINED, MEASURED = (
    "none", "running", "pausing", "paused", "failed", "killed", "part", "trained", "measured")
TAIL_BYTES, STARTING_SECONDS = 6000, 60
WEIGHTS, METRICS = "model.safetensors", "metrics.jsonl"
PLAN = "planned_recipe.json"
CURSOR_MOVES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # of a progress bar below another


class RunFolder:
    """One run folder. No call takes longer than a few milliseconds."""

    def __init__(self, path):
        self.path = path
        self._process = None  # only to collect it when it ends while Slicer lives

    def file(self, *names):
        return os.path.join(self.path, *names)

    # ---- what is

    def state(self):
        """One of the states above."""
        last = readJson(self.file(RunChild.STATE)) or {}
        if self._process is not None and self._process.poll() is not None:
            self._process = None
            last = readJson(self.file(RunChild.STATE)) or {}
            if "starting" in last:  # it ended before it could say anything
                RunChild.writeJson(self.file(RunChild.STATE), {**last, "starting": 0})
        starting = time.time() - last.get("starting", 0) < STARTING_SECONDS
        if self._process is not None or starting or RunChild.isHeld(self.path):
            return PAUSING if os.path.exists(self.file(RunChild.REQUEST)) else RUNNING
        if self.bundle() is not None:
            return MEASURED
        stages = self.stages()
        if stages and stages[-1]["finished"] and self.command() == "train":
            return TRAINED
        if not last:
            return TRAINED if stages and stages[-1]["finished"] else PAUSED if stages else NONE
        if "code" not in last:
            return KILLED
        if last["code"] == 0:
            return TRAINED if stages and stages[-1]["finished"] else PART
        return PAUSED if last["code"] == RunChild.CANCELLED else FAILED

    def isForeign(self):
        """Whether a process works here that no panel has started: a script's, which hears no request."""
        last = readJson(self.file(RunChild.STATE)) or {"code": 0}
        return self._process is None and "code" in last and RunChild.isHeld(self.path)

    def command(self):
        """"train" or "export": what the last process did or does; "" where there was none."""
        command = (readJson(self.file(RunChild.STATE)) or {}).get("command")
        return command[0] if isinstance(command, list) and command else ""

    def arguments(self):
        """Of the last training process, to go on with; None where there was none."""
        return readJson(self.file("train_arguments.json"), list)

    def goOnArguments(self):
        """Of `uvlm train` to go on with what was begun, with the run's own recipe; None where nothing was begun."""
        own = self.file("recipe.json")
        if not os.path.exists(own) or not any(stage["begun"] for stage in self.stages()):
            return None
        more = (self.arguments() or [own, "-o", self.path])[3:]  # after the recipe and the folder, which may have moved
        return [own, "-o", self.path, *more]

    def recipe(self):
        """The recipe of the run, or the planned one; None where there is none."""
        return readJson(self.file("recipe.json")) or readJson(self.file(PLAN))

    def stages(self):
        """Rows {number, kind, steps, folder, finished, begun} of the recipe's stages."""
        recipe = self.recipe() or {}
        rows = []
        for number, stage in enumerate(recipe.get("stages", ()), 1):
            folder = self.file(f"stage{number}-{stage.get('kind')}")
            rows.append({"number": number, "kind": stage.get("kind", ""), "steps": stage.get("steps", 0),
                         "folder": folder, "finished": os.path.exists(os.path.join(folder, WEIGHTS)),
                         "begun": os.path.exists(os.path.join(folder, METRICS))})
        return rows

    def bundle(self):
        """Folder of the finished model, None before."""
        folder = self.file("bundle")
        return folder if os.path.isfile(os.path.join(folder, "bundle.json")) else None

    def measuringFailed(self):
        """Whether the last measurement was stopped or failed, so that figures that are there are of the one before."""
        last = readJson(self.file(RunChild.STATE)) or {}
        return self.command() == "export" and last.get("code", 0) != 0

    def logTail(self):
        """The last lines of the process's output; a progress bar gives its last state only."""
        try:
            with open(self.file(RunChild.LOG), "rb") as file:
                file.seek(max(0, os.path.getsize(file.name) - TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ""
        lines = [line.rsplit("\r", 1)[-1] if not line.endswith("\r") else line.rstrip("\r").rsplit("\r", 1)[-1]
                 for line in text.split("\n")]
        return CURSOR_MOVES.sub("", "\n".join(lines[-40:])).strip()

    # ---- what is to be

    def train(self, arguments):
        """Starts or resumes the training with these arguments of `uvlm train`."""
        self.refuseAtWork()
        os.makedirs(self.path, exist_ok=True)
        RunChild.writeJson(self.file("train_arguments.json"), list(arguments))
        self._start(["train", *arguments])

    def measure(self, cases, evenIfWorse):
        """Starts `uvlm export`: thresholds, figures and the bundle."""
        more = ["--even-if-worse"] if evenIfWorse else []
        trained = self.arguments() or []
        more += trained[trained.index("--data"):][:2] if "--data" in trained else []  # held-out cases lie there
        self._start(["export", self.path, "-o", self.file("bundle"), "--cases", str(cases), *more])

    def ask(self, request):
        """PAUSE: ends after this step or case; STOP: at once, the last checkpoint stays. Both can be resumed."""
        with open(self.file(RunChild.REQUEST), "w", encoding="utf-8") as file:
            file.write(request)

    def refuseAtWork(self):
        """Raises RuntimeError where a process is at work here: nothing of its run may be changed."""
        if self.state() in (RUNNING, PAUSING):
            raise RuntimeError(_("A process is at work in '{folder}' already.").format(folder=self.path))

    def _start(self, command):
        """Raises OSError where the process cannot be started; RuntimeError where one is at work."""
        self.refuseAtWork()
        if os.path.exists(self.file(RunChild.REQUEST)):
            os.remove(self.file(RunChild.REQUEST))
        environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONNOUSERSITE": "1", "PYTHONUNBUFFERED": "1"}
        own = {"creationflags": 0x00000008 | 0x00000200} if os.name == "nt" else {"start_new_session": True}
        program = [pythonSlicer(), os.path.abspath(RunChild.__file__), coreRoot(), self.path, *command]
        starting = {"command": command, "starting": time.time()}  # until the process holds the lock and says so
        RunChild.writeJson(self.file(RunChild.STATE), starting)
        try:
            with open(self.file(RunChild.LOG), "ab") as log:
                self._process = subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                 cwd=self.path, env=environment, **own)
        except OSError:
            RunChild.writeJson(self.file(RunChild.STATE), {**starting, "starting": 0, "code": RunChild.UNEXPECTED})
            raise


def readJson(path, kind=dict):
    """Content of a JSON file; None where it is not there, cannot be read, or is of another kind."""
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError):
        return None
    return content if isinstance(content, kind) else None
