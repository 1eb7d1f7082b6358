"""Step Plan: recipe, stages, start weights, device, run folder; what it will cost, before anything starts."""

import os
import shutil

from slicer.i18n import tr as _

from UVLMShared import Settings
from UVLMTrainLib import Recipes
from UVLMTrainLib.CoreCommand import CoreCommand
from UVLMTrainLib.FileChoice import askFile, askFolder, askNewFile
from UVLMTrainLib.RunFolder import PLAN, readJson
from UVLMTrainLib.Wording import duration, modelTitle, size, stageTitle

CHECKPOINT_COPIES = 5  # weights, their average, two moments of Adam, and the finished stage; 4 bytes each


class PlanPanel:
    """Fills the section Plan.

    Args:
        data: the DataPanel. changed: called when another run folder is chosen.
    """

    def __init__(self, ui, data, changed):
        self.ui, self.data, self.changed = ui, data, changed
        self.recipe, self._command, self._estimating = None, None, False
        for name in Recipes.names():
            ui.recipeSelector.addItem(name, name)
        for title, value in ((_("As the recipe says"), ""), (_("Demo model"), "demo"),
                             (_("None: random weights"), Recipes.NO_START)):
            ui.startSelector.addItem(title, value)
        for path in Settings.recentModels():
            self._offer(ui.startSelector, path)
        for title, value in ((_("CPU"), "cpu"), (_("NVIDIA graphics card (CUDA)"), "cuda"), (_("Apple (MPS)"), "mps")):
            ui.deviceSelector.addItem(title, value)
        ui.recipeSelector.connect("currentIndexChanged(int)", lambda index: self.refresh())
        ui.deviceSelector.connect("currentIndexChanged(int)", lambda index: self.refresh())
        for selector in (ui.startSelector, ui.stageSelector):
            selector.connect("currentIndexChanged(int)", lambda index: self._forgetEstimate())
        for edit in (ui.mappingEdit, ui.storeEdit):
            edit.connect("textChanged(QString)", lambda text: self._forgetEstimate())
        ui.skipCheckBox.connect("toggled(bool)", lambda checked: self._forgetEstimate())
        ui.recipeFileButton.connect("clicked()", self._askRecipe)
        ui.startFileButton.connect("clicked()", self._askStart)
        ui.runFolderButton.connect("clicked()", self._askRunFolder)
        ui.runFolderEdit.connect("textChanged(QString)", lambda text: self._forgetEstimate())
        ui.runFolderEdit.connect("editingFinished()", lambda: self.changed())
        ui.estimateButton.connect("clicked()", self.estimate)
        ui.shellButton.connect("clicked()", lambda: self._askScript("shell"))
        ui.slurmButton.connect("clicked()", lambda: self._askScript("slurm"))
        first = os.path.join(data.workFolder, "run")
        ui.runFolderEdit.text = Settings.value("trainRunFolder") or first
        self.refresh()

    @property
    def runFolder(self):
        return os.path.abspath(os.path.expanduser(self.ui.runFolderEdit.text.strip() or "."))

    def cleanup(self):
        if self._command is not None:
            self._command.cancel()
            self._command, self._estimating = None, False
            self._showBusy()

    def _showBusy(self):
        self.ui.estimateButton.text = _("Stop estimating") if self._estimating else _("Estimate")
        self.ui.estimateButton.enabled = self._estimating or self._command is None
        self.ui.shellButton.enabled = self.ui.slurmButton.enabled = self._command is None

    # ---- choices

    def choose(self, selector, value):
        """Chooses the item with this value; adds it where it is not there."""
        if selector.findData(value) < 0:
            self._offer(selector, value)
        selector.setCurrentIndex(selector.findData(value))

    def _offer(self, selector, path):
        """Adds a file or model by its name; with its path where another one has the name."""
        title = modelTitle(path)
        selector.addItem(title if selector.findText(title) < 0 else f"{title} ({path})", path)

    def useRecipeFile(self, path):
        """Takes a recipe of a file."""
        self.choose(self.ui.recipeSelector, path)
        self.refresh()

    def setRunFolder(self, path):
        """Takes a run folder, as if it was chosen."""
        self.ui.runFolderEdit.text = path
        self.changed()

    def _askRecipe(self):
        path = askFile(_("Recipe"), "trainRecipes", _("Recipes (*.json)"))
        if path:
            self.useRecipeFile(path)

    def _askStart(self):
        path = askFile(_("Model (bundle.json) or weights (.safetensors)"), "modelsFolder",
                       _("Models and weights (bundle.json *.safetensors)"))
        if path:
            self.choose(self.ui.startSelector, os.path.dirname(path) if path.endswith("bundle.json") else path)

    def _askRunFolder(self):
        path = askFolder(_("Folder of the run"), "trainRunsFolder", os.path.dirname(self.runFolder))
        if path:
            self.setRunFolder(path)

    def refresh(self):
        """Reads the chosen recipe anew and says what it is."""
        self._forgetEstimate()
        self.ui.cpuRemark.setVisible(self._device() == "cpu")
        stages = self.ui.stageSelector
        before = stages.currentIndex
        stages.clear()
        try:
            self.recipe = Recipes.read(self._chosenRecipe())
        except Recipes.RecipeTrouble as trouble:
            self.recipe = None
            self.ui.recipeRemark.text = str(trouble)
            return
        stages.addItem(_("All stages"), 0)
        for number, stage in enumerate(self.recipe["stages"], 1):
            stages.addItem(_("Only {number}: {title}, {steps} steps").format(
                number=number, title=stageTitle(stage["kind"]), steps=stage.get("steps", 0)), number)
        stages.setCurrentIndex(before if 0 <= before < stages.count else 0)
        self.ui.recipeRemark.text = "\n".join([self.recipe.get("description", ""), self._aboutData()]).strip()

    def _aboutData(self):
        kinds = [source["kind"] for source in self.recipe["data"]]
        if "table" not in kinds:
            return _("It trains on its own data, not on the cases of step 1.")
        if self.data.tablePath:
            return _("It trains on the cases of step 1 in the place of its own tables.")
        return _("It needs a case table: choose a data set in step 1 first.")

    def _chosenRecipe(self):
        return self.ui.recipeSelector.itemData(self.ui.recipeSelector.currentIndex) or ""

    def _device(self):
        return self.ui.deviceSelector.itemData(self.ui.deviceSelector.currentIndex) or "cpu"

    def arguments(self):
        """Writes the run's own recipe; gives the arguments of `uvlm train`. Raises RecipeTrouble."""
        return self._written(os.path.join(self.runFolder, PLAN))[0]

    def _written(self, path):
        """Writes the plan as a recipe; the table that it names is a copy in the run folder, which nothing rewrites.

        Returns:
            (arguments of `uvlm train`, path of the table or "").

        Raises:
            RecipeTrouble: there is no such recipe, no case to train on, or no place to write it.
        """
        self.recipe = Recipes.read(self._chosenRecipe())  # it may have been put right in an editor
        hasTable = any(source["kind"] == "table" for source in self.recipe["data"])
        table = self.data.copiedTable(self.runFolder) if hasTable else ""
        start = self.ui.startSelector.itemData(self.ui.startSelector.currentIndex) or ""
        weights = start if start.endswith(".safetensors") else ""
        recipe, hasTable = Recipes.planned(self.recipe, table, "" if weights else start, self.data.mapping,
                                            self.data.store)
        Recipes.write(recipe, path)
        stage = self.ui.stageSelector.itemData(self.ui.stageSelector.currentIndex) or 0
        more = [*(["--stage", str(stage)] if stage else []), *(["--start", weights] if weights else [])]
        folder = ["--data", self.data.workFolder] if hasTable and not os.environ.get("UVLM_DATA") else []
        return [path, "-o", self.runFolder, "--device", self._device(), *more, *folder], table

    def _writtenPlan(self, path):
        """`_written`; (None, "") on trouble, which is said."""
        try:
            return self._written(path)
        except Recipes.RecipeTrouble as trouble:
            self.ui.estimateRemark.text = str(trouble)
            return None, ""

    # ---- estimate

    def _forgetEstimate(self):
        """To be called when the plan is another one: an estimate is of what was planned when it began."""
        changed = _("The plan was changed; estimate it again.")
        if self._estimating:
            self.cleanup()
            self.ui.estimateRemark.text = changed
        elif self._command is None and self.ui.estimateRemark.text != changed:
            self.ui.estimateRemark.text = ""

    def estimate(self):
        """Has the core measure a few steps; a second click stops that."""
        if self._command is not None:
            self.cleanup()
            self.ui.estimateRemark.text = _("Stopped.")
            return
        arguments, table = self._writtenPlan(os.path.join(self.runFolder, PLAN))
        if arguments is None:
            return
        folder = self.runFolder
        kept = [value for number, value in enumerate(arguments)
                if "--stage" not in (value, arguments[number - 1]) and "--start" not in (value, arguments[number - 1])]
        commands = [["train", *kept, "--estimate"]]
        if table and not self.data.store:
            commands.append(["dataset", "prepare", table, "-o", os.path.join(folder, "store"),
                             "--model", arguments[0], "--estimate"])
        self.ui.estimateRemark.text = _("Measuring a few steps of each stage…")
        self._command = CoreCommand(commands, lambda outputs: self._ended(self._words(folder, outputs)), self._ended)
        self._estimating = True
        self._showBusy()

    def _ended(self, text):
        self._command, self._estimating = None, False
        self._showBusy()
        self.ui.estimateRemark.text = text

    def _words(self, folder, outputs):
        """Time, memory and disk as lines."""
        stages = (readJson(os.path.join(folder, "estimate.json")) or {}).get("stages", [])
        chosen = self.ui.stageSelector.itemData(self.ui.stageSelector.currentIndex) or 0
        stages = [row for row in stages if chosen in (0, row["number"])]
        lines = [_("{number} {title}: {steps} steps of {each:.2f} s, {whole}").format(
            number=row["number"], title=stageTitle(row["kind"]), steps=row["steps"], each=row["seconds_per_step"],
            whole=duration(row["seconds"])) for row in stages]
        lines.append(_("Time: {whole}, validation not counted.").format(
            whole=duration(sum(row["seconds"] for row in stages))))
        known = [row for row in stages if row["memory_mib"] is not None]
        if known:
            most = max(known, key=lambda row: row["memory_mib"])
            lines.append(_("Memory: {needed} of {there}.").format(
                needed=size(most["memory_mib"] * 2**20), there=size((most["available_mib"] or 0) * 2**20)))
        lines += [advice for row in stages for advice in row["advice"]]
        files = sum(row["parameters"] * 4 * CHECKPOINT_COPIES for row in stages)
        try:
            free = shutil.disk_usage(folder).free
            lines.append(_("Disk: {files} for weights; {free} free.").format(files=size(files), free=size(free)))
        except OSError:  # the folder is gone
            lines.append(_("Disk: {files} for weights.").format(files=size(files)))
        return "\n".join([*lines, *(output.strip() for output in outputs[1:])])

    # ---- scripts

    def _askScript(self, kind):
        title = _("Script for a shell") if kind == "shell" else _("Script for SLURM")
        path = askNewFile(title, "trainScripts", f"train_{kind}.sh", _("Scripts (*.sh)"))
        if path:
            self.writeScript(kind, path)

    def writeScript(self, kind, path):
        """Writes the same run as a script, and beside it a recipe of its own, which no later plan changes.

        Args:
            kind: "shell" or "slurm".
        """
        if self._command is not None:
            return
        arguments, _table = self._writtenPlan(f"{os.path.splitext(os.path.abspath(path))[0]}_{PLAN}")
        if arguments is None:
            return
        onCpu = kind == "shell" and self._device() == "cpu"
        counts = ["--gpus", "0" if onCpu else str(self.ui.gpusSpinBox.value)]
        counts += ["--nodes", str(self.ui.nodesSpinBox.value)] if kind == "slurm" else []
        self._command = CoreCommand([["train", *arguments, f"--export-{kind}", path, *counts]],
                                    lambda outputs: self._ended(outputs[0].strip()), self._ended)
        self._showBusy()
