"""What users do, as tests that run in Slicer's self-test harness and under pytest alike."""

import json
import os
import shutil
import tempfile
import time

import slicer

from UVLMTrainLib import CaseScene, RunChild, Settings
from UVLMTrainLib import RunFolder as Run
from UVLMTrainLib.Bootstrap import makeCoreImportable

CHILD_SECONDS = 300  # of one child process on a slow and busy machine
STEPS = 60  # enough to be paused in the middle
SHAPE, SPACING = (48, 64, 64), (5.0, 6.0, 6.0)
RECIPE = {
    "name": "tiny", "preset": "demo", "seed": 5, "tokenizer_size": 600,
    "model": {"encoder": {"features": [4, 4, 8, 8, 8], "blocks": [1, 1, 1, 1, 1]},
              "classifier": {"width": 16, "n_heads": 2}, "language": {"width": 32, "ffn": 32, "n_heads": 2},
              "grid": {"spacing": [6.0, 6.0, 6.0]}},
    "data": [{"name": "cases", "kind": "table", "path": "somewhere_else.csv"}],
    "stages": [
        {"kind": "segmentation", "steps": STEPS, "patch": [32, 32, 32], "checkpoint_every": 20, "validate_every": 20,
         "precision": "fp32", "augment": False},
        {"kind": "classification", "steps": 2, "precision": "fp32", "augment": False},
    ],
}


def waitFor(condition, seconds, what, say=lambda: ""):
    """Lets the application live until `condition()` is true; AssertionError where it is not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not come within {seconds} s: {say()}"
        slicer.app.processEvents()
        time.sleep(0.005)


class TrainJourneys:
    """Mixed into the module's ScriptedLoadableModuleTest. One data set serves all journeys."""

    folder = None

    @classmethod
    def setUpClass(cls):
        makeCoreImportable()
        from uvlm_core.phantom.table import write_cases

        slicer.mrmlScene.Clear(0)
        cls.kept = {name: Settings.value(name) for name in ("trainWorkFolder", "trainDataFolder", "trainRunFolder")}
        cls.folder = tempfile.mkdtemp(prefix="UVLM Training ü ", dir=slicer.app.temporaryPath)
        cls.data = os.path.join(cls.folder, "data set")
        write_cases(4, cls.data, 30, shape=SHAPE, spacing=SPACING)
        broken = os.path.join(cls.data, "images", "phantom_33.nii.gz")
        with open(broken, "rb") as file:
            half = file.read()[:6000]
        with open(broken, "wb") as file:
            file.write(half)  # as a download that was cut off
        cls.recipe = os.path.join(cls.folder, "tiny.json")
        with open(cls.recipe, "w", encoding="utf-8") as file:
            json.dump(RECIPE, file)

    @classmethod
    def tearDownClass(cls):
        slicer.mrmlScene.Clear(0)
        for name, value in cls.kept.items():
            Settings.setValue(name, value)
        shutil.rmtree(cls.folder, ignore_errors=True)

    def setUp(self):
        slicer.mrmlScene.Clear(0)
        slicer.util.selectModule("UVLMTrain")
        self.panel = slicer.modules.UVLMTrainWidget.panel
        self.ui = slicer.modules.UVLMTrainWidget.ui

    def tearDown(self):
        panel = slicer.modules.UVLMTrainWidget.panel
        run = panel.run.run
        if run is not None and run.path.startswith(self.folder) and run.state() in (Run.RUNNING, Run.PAUSING):
            run.ask(RunChild.STOP)
            waitFor(lambda: run.state() not in (Run.RUNNING, Run.PAUSING), CHILD_SECONDS, "the end of the run")
        panel.data.cancel()
        panel.plan.cleanup()
        slicer.mrmlScene.Clear(0)

    # ---- ground

    def work(self):
        return os.path.join(self.folder, "work")

    def checked(self):
        """The data set imported and checked in the panel, once."""
        data = self.panel.data
        if os.path.isfile(os.path.join(self.work(), "checked", "problems.csv")):
            data.setFolders(self.data, self.work())
            waitFor(lambda: data.rows, CHILD_SECONDS, "the cases", lambda: self.ui.casesRemark.text)
        else:
            data.setFolders(self.data, self.work())
            waitFor(lambda: self.ui.importerSelector.count, CHILD_SECONDS, "the guess",
                    lambda: self.ui.importerRemark.text)
            self.ui.checkCasesButton.click()
            waitFor(lambda: data.rows, CHILD_SECONDS, "the check", lambda: self.ui.casesRemark.text)
        waitFor(lambda: self.ui.checkCasesButton.enabled and data.filled, CHILD_SECONDS, "the table")
        return data

    def planned(self, name):
        """The tiny recipe and a run folder chosen in the panel."""
        self.checked()
        plan = self.panel.plan
        plan.useRecipeFile(self.recipe)
        plan.setRunFolder(os.path.join(self.folder, name))
        return plan

    def waitForState(self, state):
        run = self.panel.run
        waitFor(lambda: run.state in (state, Run.FAILED), CHILD_SECONDS, state,
                lambda: f"{run.state}; {self.ui.runRemark.text}; {self.ui.logText.plainText}")
        self.assertEqual(run.state, state, self.ui.logText.plainText)

    # ---- journeys

    def test_dataIsCheckedAndABrokenCaseNamed(self):
        self.delayDisplay("Import and check a data set")
        data = self.checked()
        self.assertEqual(self.ui.importerSelector.itemText(0), "phantoms")
        self.assertTrue(self.ui.importerRemark.text)
        rows = {row.name: row for row in data.rows}
        self.assertEqual(sorted(rows), ["phantom_30", "phantom_31", "phantom_32", "phantom_33"])
        self.assertEqual(data.rows[0].name, "phantom_33")  # the gravest first
        self.assertEqual(rows["phantom_33"].severity, "error")
        self.assertEqual(data.table.texts()[0][0], "phantom_33")
        self.assertIn("1 with errors", self.ui.casesRemark.text)
        data.showText(rows["phantom_33"])
        self.assertIn("images/phantom_33.nii.gz", rows["phantom_33"].problems[0]["file"])
        self.assertIn(rows["phantom_33"].problems[0]["message"].rstrip("."), self.ui.caseText.plainText)

    def test_aClickShowsACase(self):
        self.delayDisplay("Show a case")
        data = self.checked()
        number = [row.name for row in data.rows].index("phantom_31")
        data._onClicked(data.table.model.index(number, 0))
        volume = slicer.util.getNode("phantom_31")
        self.assertEqual(volume.GetImageData().GetDimensions(), SHAPE[::-1])
        segmentation = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")[0]
        self.assertIn("heart", CaseScene.segmentNames(segmentation))
        self.assertIn(data.rows[number].text, self.ui.caseText.plainText)
        other = next(row for row in data.rows if row.name == "phantom_30")
        data.showCase(other)
        self.assertEqual([node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")],
                         ["phantom_30"])

    def test_planIsEstimatedAndWrittenAsScript(self):
        self.delayDisplay("Estimate a plan")
        plan = self.planned("estimated run")
        self.assertTrue(self.ui.cpuRemark.isVisibleTo(self.ui.cpuRemark.parentWidget()))
        plan.estimate()
        waitFor(lambda: plan._command is None, CHILD_SECONDS, "the estimate")
        for word in ("Time:", "Memory:", "Disk:"):
            self.assertIn(word, self.ui.estimateRemark.text)
        script = os.path.join(self.folder, "job ü.sh")
        plan.writeScript("slurm", script)
        waitFor(lambda: plan._command is None, CHILD_SECONDS, "the script")
        with open(script, encoding="utf-8") as file:
            written = file.read()
        self.assertIn("#SBATCH", written)
        self.assertIn(Run.PLAN, written)

    def test_aRunIsPausedFoundAgainAndFinished(self):
        self.delayDisplay("Train, pause, close the panel, resume")
        self.planned("run")
        run = self.panel.run
        self.ui.startButton.click()
        waitFor(lambda: run.rows(1) or run.state == Run.FAILED, CHILD_SECONDS, "the first metrics")
        self.assertEqual(run.state, Run.RUNNING, self.ui.logText.plainText)
        self.ui.pauseButton.click()
        self.waitForState(Run.PAUSED)
        reached = run.rows(1)[-1]["step"]
        self.assertLess(reached, STEPS)
        self.assertIsNotNone(run.plot.chart())
        self.assertEqual(run.plot.table().GetNumberOfRows(), reached)
        self.assertEqual(self.ui.startButton.text, "Resume")
        run.showCurves()
        selection = slicer.app.applicationLogic().GetSelectionNode()
        self.assertEqual(selection.GetActivePlotChartID(), run.plot.chart().GetID())
        self.ui.startButton.click()
        self.waitForState(Run.RUNNING)
        slicer.modules.UVLMTrainWidget.cleanup()  # the panel goes, as in a reload or when Slicer closes
        slicer.modules.UVLMTrainWidget.panel = self.panel = self.freshPanel()
        self.assertEqual(self.panel.run.run.path, os.path.join(self.folder, "run"))  # found by the setting
        self.assertIn(self.panel.run.state, (Run.RUNNING, Run.TRAINED))
        self.waitForState(Run.TRAINED)
        rows = self.panel.run.rows(1)
        self.assertEqual([row["step"] for row in rows], list(range(1, STEPS + 1)))
        self.assertEqual(self.ui.runProgress.value, self.ui.runProgress.maximum)
        self.assertTrue(self.ui.measureButton.enabled)
        self.assertFalse(RunChild.isHeld(os.path.join(self.folder, "run")))

    def freshPanel(self):
        """Another panel over the same widgets, as after a reload."""
        from UVLMTrainLib.TrainPanel import TrainPanel

        for selector in (self.ui.recipeSelector, self.ui.startSelector, self.ui.deviceSelector, self.ui.curveSelector,
                         self.ui.curveStageSelector):
            selector.clear()
        return TrainPanel(self.ui)

    def test_aKilledRunIsNamedAndAnErrorShown(self):
        self.delayDisplay("A run that was killed, and one that cannot be")
        self.planned("killed run")
        folder = self.panel.run.run.path
        os.makedirs(folder, exist_ok=True)
        RunChild.writeJson(os.path.join(folder, RunChild.STATE), {"command": ["train"], "pid": os.getpid()})
        self.panel.run.refresh()  # the process of that id lives, but it is this one and holds no lock
        self.assertEqual(self.panel.run.state, Run.KILLED)
        self.panel.run.run.train([os.path.join(self.folder, "no such recipe.json"), "-o", folder])
        self.panel.run.refresh()
        self.waitForState(Run.FAILED)
        self.assertIn("no such recipe.json", self.ui.logText.plainText)

    def test_theResultIsShownAndUsed(self):
        self.delayDisplay("Figures, and the model in UVLM Report")
        from uvlm_core.resources import resource

        folder = os.path.join(self.folder, "measured run")
        shutil.copytree(resource("Models", "demo"), os.path.join(folder, "bundle"))  # a measured model of UVLM's own
        RunChild.writeJson(os.path.join(folder, "recipe.json"), RECIPE)
        self.panel.plan.setRunFolder(folder)
        self.assertEqual(self.panel.run.state, Run.MEASURED)
        waitFor(lambda: self.panel.result.shown, 30, "the figures")
        shown = self.panel.result.shown
        rows = {row[0]: row for row in self.panel.result.table.texts()}
        name, value = next(iter(shown["figures"]["finding_f1_per_name"].items()))
        self.assertEqual(rows[f"Finding: {name}"][2:4], [f"{value:.3f}", f"{shown['info']['thresholds'][name]:.3f}"])
        self.assertTrue([row for row in rows if row.startswith("Organ: ")])
        self.ui.useButton.click()
        self.assertEqual(Settings.recentModels()[0], os.path.join(folder, "bundle"))
