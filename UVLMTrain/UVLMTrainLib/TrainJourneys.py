"""What users do, as tests that run in Slicer's self-test harness and under pytest alike."""

import json
import os
import shutil
import subprocess
import tempfile
import time

import qt
import slicer

from UVLMShared import Settings
from UVLMShared.Bootstrap import coreRoot
from UVLMShared.PythonProgram import pythonSlicer
from UVLMTrainLib import CaseScene, RunChild
from UVLMTrainLib import RunFolder as Run
from UVLMTrainLib.CoreCommand import CoreCommand

CHILD_SECONDS = 300  # of one child process on a slow and busy machine
STEPS = 100  # enough to be paused in the middle, on a fast machine too
SHAPE, SPACING = (48, 64, 64), (5.0, 6.0, 6.0)
RECIPE = {
    "name": "tiny", "preset": "demo", "seed": 5, "tokenizer_size": 600,
    "model": {"encoder": {"features": [4, 4, 8, 8, 8], "blocks": [1, 1, 1, 1, 1]},
              "classifier": {"width": 16, "n_heads": 2}, "language": {"width": 32, "ffn": 32, "n_heads": 2},
              "grid": {"spacing": [6.0, 6.0, 6.0]}},
    "data": [{"name": "cases", "kind": "table", "path": "somewhere_else.csv"},
             {"name": "held", "kind": "phantoms", "count": 1, "first_seed": 50, "held_out": True, "shape": SHAPE,
              "spacing": SPACING}],
    "stages": [
        {"kind": "segmentation", "steps": STEPS, "patch": [32, 32, 32], "checkpoint_every": 25, "validate_every": 50,
         "precision": "fp32", "augment": False},
        {"kind": "classification", "steps": 2, "precision": "fp32", "augment": False},
    ],
}
PHANTOMS = f"""
import sys
from uvlm_core.phantom.table import write_cases
write_cases(4, sys.argv[1], 30, shape={SHAPE}, spacing={SPACING})
"""
# The program that makes the model that the run starts from: untrained, without masks, so that it is fast.
START = """
import sys
import torch
from uvlm_core.model.bundle import BundleInfo, save_bundle
from uvlm_core.model.tokenizer import train_tokenizer
from uvlm_core.training.building import build_model
from uvlm_core.training.recipe import load_recipe
model = build_model(load_recipe(sys.argv[1]))
names = list(model.config.findings)
info = BundleInfo(name="start", version="0", licence="Apache-2.0", intended_use="tests", config={},
                  thresholds=dict.fromkeys(names, 0.5), assessed=names, training_data="none")
tokenizer = train_tokenizer(["Lungs: No pulmonary nodule. Heart: Normal."], 400).to_json()
save_bundle(sys.argv[2], model, tokenizer, "", info)
"""


def byChild(program, *arguments):
    """Runs a program with the core in a Python of its own: Slicer's need not have the core's packages."""
    core = f"import sys\nsys.path.insert(0, {coreRoot()!r})\n"
    result = subprocess.run([pythonSlicer(), "-c", core + program, *arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


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
        slicer.mrmlScene.Clear(0)
        cls.kept = {name: Settings.value(name) for name in ("trainWorkFolder", "trainDataFolder", "trainRunFolder")}
        cls.folder = tempfile.mkdtemp(prefix="UVLM Training ü ", dir=slicer.app.temporaryPath)
        cls.data = os.path.join(cls.folder, "data set")
        byChild(PHANTOMS, cls.data)
        broken = os.path.join(cls.data, "images", "phantom_33.nii.gz")
        with open(broken, "rb") as file:
            half = file.read()[:6000]
        with open(broken, "wb") as file:
            file.write(half)  # as a download that was cut off
        cls.mapping = os.path.join(cls.folder, "names.json")
        with open(cls.mapping, "w", encoding="utf-8") as file:
            json.dump({"labels": {"*": {"heart": "heart"}}}, file)
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
        self.ui.mappingEdit.text = self.ui.storeEdit.text = ""
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
            self.ui.mappingEdit.text = self.mapping
            self.ui.checkCasesButton.click()
            waitFor(lambda: data.rows, CHILD_SECONDS, "the check", lambda: self.ui.casesRemark.text)
        waitFor(lambda: self.ui.checkCasesButton.enabled, CHILD_SECONDS, "the table")
        return data

    def planned(self, name):
        """The tiny recipe and a run folder chosen in the panel."""
        self.checked()
        plan = self.panel.plan
        plan.useRecipeFile(self.recipe)
        plan.setRunFolder(os.path.join(self.folder, name))
        return plan

    def begun(self):
        """The plan of the run that the journeys share, which starts from a bundle."""
        start = os.path.join(self.folder, "start")
        if not os.path.isdir(start):
            byChild(START, self.recipe, start)
        plan = self.planned("run")
        plan.choose(self.ui.startSelector, start)
        return self.panel.run

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
        self.scanIsShown(volume)
        segmentation = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")[0]
        self.assertIn("heart", CaseScene.segmentNames(segmentation))
        self.assertIn(data.rows[number].text, self.ui.caseText.plainText)
        other = next(row for row in data.rows if row.name == "phantom_30")
        data.showCase(other)
        self.assertEqual([node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")],
                         ["phantom_30"])

    def scanIsShown(self, volume):
        shown = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode().GetBackgroundVolumeID()
        self.assertEqual(shown, volume.GetID())

    def test_planIsEstimatedAndWrittenAsScript(self):
        self.delayDisplay("Estimate a plan")
        plan, store = self.planned("estimated run"), os.path.join(self.folder, "store")
        self.assertTrue(self.ui.cpuRemark.isVisibleTo(self.ui.cpuRemark.parentWidget()))
        said = []
        CoreCommand([["dataset", "prepare", self.panel.data.trainingTable, "-o", store, "--model", self.recipe]],
                    said.extend, said.append)
        waitFor(lambda: said, CHILD_SECONDS, "the store")
        self.ui.mappingEdit.text, self.ui.storeEdit.text = self.mapping, store
        plan.estimate()
        waitFor(lambda: plan._command is None, CHILD_SECONDS, "the estimate")
        for word in ("Time:", "Memory:", "Disk:"):
            self.assertIn(word, self.ui.estimateRemark.text, said)
        written = Run.readJson(os.path.join(plan.runFolder, Run.PLAN))["data"][0]
        self.assertEqual([written["mapping"], written["store"]], [self.mapping, store])
        script = os.path.join(self.folder, "job ü.sh")
        plan.writeScript("slurm", script)
        waitFor(lambda: plan._command is None, CHILD_SECONDS, "the script")
        with open(script, encoding="utf-8") as file:
            written = file.read()
        self.assertIn("#SBATCH", written)
        self.assertIn(Run.PLAN, written)

    def test_aRunIsPausedFoundAgainAndFinished(self):
        self.delayDisplay("Train, pause, close the panel, resume")
        run = self.begun()
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
        self.freshPanel()
        self.assertEqual(self.panel.run.run.path, os.path.join(self.folder, "run"))  # found by the setting
        self.assertIn(self.panel.run.state, (Run.RUNNING, Run.TRAINED))
        self.waitForState(Run.TRAINED)
        rows = self.panel.run.rows(1)
        self.assertEqual([row["step"] for row in rows], list(range(1, STEPS + 1)))
        self.assertEqual(self.ui.runProgress.value, self.ui.runProgress.maximum)
        self.assertTrue(self.ui.measureButton.enabled)
        self.assertFalse(RunChild.isHeld(os.path.join(self.folder, "run")))

    def freshPanel(self):
        """The module's panel made anew, as in a reload."""
        widget, old = slicer.modules.UVLMTrainWidget, self.ui.dataSection.parentWidget()
        widget.cleanup()
        widget.setup()
        old.hide()
        old.deleteLater()
        self.ui, self.panel = widget.ui, widget.panel

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

    def test_theResultIsMeasuredShownAndUsed(self):
        self.delayDisplay("Measure, look at the worst case, use the model in UVLM Report")
        run, result = self.begun(), self.panel.result
        if run.state != Run.TRAINED:
            self.ui.startButton.click()
            self.waitForState(Run.TRAINED)
        self.ui.casesSpinBox.value = 1
        self.ui.evenIfWorseCheckBox.checked = True  # a few steps need not make it better
        self.ui.measureButton.click()
        self.waitForState(Run.MEASURED)
        waitFor(lambda: result.shown, CHILD_SECONDS, "the figures", lambda: self.ui.resultRemark.text)
        self.figuresAreShown(run.run, result)
        self.worstCaseIsShown(result)
        self.modelIsUsed(run.run.bundle())

    def figuresAreShown(self, run, result):
        comparison, shown = Run.readJson(run.file("comparison.json")), result.shown
        rows = result.table.texts()
        self.assertEqual(rows[0][0], "Held-out cases: 2")  # the phantom, and one of the table
        named = {row[0]: row for row in reversed(rows)}  # held-out cases stand before the phantoms
        self.assertEqual(named["held: organ dice"][1:3], [f"{comparison[model]['held']['organ_dice']:.3f}"
                                                          for model in ("before", "after")])
        organs = [row for row in rows if row[0].startswith("Organ: ") and row[1] and row[2]]
        self.assertIn("Organ: heart", [row[0] for row in organs])
        findings = [row for row in rows if row[0].startswith("Finding: ") and row[4] + row[5]]
        self.assertTrue(findings)
        for name, before, after, threshold, *_shares in findings:
            key = name.removeprefix("Finding: ")
            self.assertEqual(threshold, f"{shown['info']['thresholds'].get(key, 0.5):.3f}")
            self.assertTrue(before or after or _shares[1], name)

    def worstCaseIsShown(self, result):
        cases = result.worst.cases
        self.assertEqual(len(cases), 2)
        self.assertIn("held_50", [case.name for case in cases])
        self.assertLessEqual(cases[0].score["after"], cases[1].score["after"])
        self.assertIn("Dice: ", cases[0].about)
        index = result.worst.table.model.index(0, 0)
        self.assertFalse(index.data(int(qt.Qt.DecorationRole)).isNull())
        self.ui.worstTable.setCurrentIndex(index)
        self.assertEqual(self.ui.worstRemark.text, cases[0].about)
        self.assertFalse(self.ui.worstPicture.pixmap.isNull())
        result.worst._onClicked(index)
        volume = slicer.util.getNode(cases[0].name)
        truth, predicted = (slicer.util.getNode(f"{cases[0].name} {what}") for what in ("truth", "predicted"))
        self.assertIn("heart", CaseScene.segmentNames(truth))
        self.assertTrue(CaseScene.segmentNames(predicted))
        self.assertEqual([node.GetDisplayNode().GetVisibility2DFill() for node in (truth, predicted)], [1, 0])
        self.scanIsShown(volume)

    def modelIsUsed(self, bundle):
        if hasattr(slicer.modules, "uvlmreport"):
            slicer.util.selectModule("UVLMReport")  # its panel is open, with another model
            slicer.util.selectModule("UVLMTrain")
        self.ui.useButton.click()
        self.assertEqual(Settings.recentModels()[0], bundle)
        if hasattr(slicer.modules, "uvlmreport"):
            model = slicer.modules.UVLMReportWidget.panel.inputs.model
            self.assertEqual(slicer.util.selectedModule(), "UVLMReport")
            self.assertEqual(model.folder, bundle)  # what its selector shows
            waitFor(lambda: model.info, CHILD_SECONDS, "what the worker says of the model")
            self.assertEqual(model.info["name"], RECIPE["name"])
