"""The section Inputs: what is read, by which model, where; the run and its progress; what is missing."""

import qt
import slicer
from slicer.i18n import tr as _

from UVLMReportLib import Repair
from UVLMReportLib.Listeners import Listeners
from UVLMReportLib.ModelChoice import ModelChoice
from UVLMReportLib.VolumeInput import VolumeRefusal, needsHardening
from UVLMReportLib.Wording import duration, memory, stageTitle
from UVLMReportLib.WorkerClient import WorkerFailure
from UVLMShared.SingleShot import singleShot

WARNING = "color: #b3261e;"  # readable on Slicer's light and dark style
VOXELS_MS = 300  # after the last change of the voxels: a sequence may be playing
PRECISIONS = ("auto", "fp32", "bf16")


class InputsPanel:
    """Fills the section Inputs and starts and stops runs.

    `volumeChosen`: Listeners (volume node or None), after the user or the scene chose another volume.
    """

    def __init__(self, ui, logic):
        self.ui, self.logic = ui, logic
        self.volumeChosen = Listeners()
        self.model = ModelChoice(ui, logic)
        self.missing = []
        self._parameterNode = None
        self._asked = False  # whether the worker was asked about the model; another model is asked about again
        self._watched, self._watchTag = None, None
        self._voxelTimer = singleShot(VOXELS_MS, self.update)
        self._noVolume = singleShot(0, lambda: self.volumeChosen(self.volumeNode))
        self._ofMeasuring = ""
        self._remark, self._failed = "", False  # the line below the button, and whether it is an error
        self._fillDevices([])
        for precision, title in zip(PRECISIONS, (_("Precision: automatic"), "fp32", "bf16"), strict=True):
            ui.precisionSelector.addItem(title, precision)
        for widget in (ui.progressBar, ui.progressLabel, ui.repairButton, ui.hardenButton, ui.volumeRemark,
                       ui.modelRemark):
            widget.setVisible(False)
        ui.noticeLabel.setStyleSheet("color: gray;")
        ui.volumeSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._onVolume)
        ui.deviceSelector.connect("currentIndexChanged(int)", self._onDevice)
        ui.precisionSelector.connect("currentIndexChanged(int)", self._onDevice)
        ui.generateButton.connect("clicked()", self.onGenerate)
        ui.hardenButton.connect("clicked()", self.onHarden)
        ui.repairButton.connect("clicked()", self.onRepair)
        self.model.changed.connect(self._onModel)
        self.model.named.connect(self._showStatus)
        logic.stateChanged.connect(self.update)
        logic.progressed.connect(self._onProgress)
        logic.runFailed.connect(self._onRunFailed)
        logic.studyMade.connect(lambda study: self.say(""))
        logic.remarked.connect(lambda level, text: self.say(text, level == "error"))
        logic.failed.connect(self._onFailed)
        logic.measuring.connect(self._onMeasuring)
        self.update()

    @property
    def volumeNode(self):
        return self.ui.volumeSelector.currentNode()

    def setParameterNode(self, parameterNode):
        """Shows what is in a parameter node, and writes into it from now on; None: into none."""
        self._parameterNode = None
        if parameterNode is not None:
            another = parameterNode.bundle != self.model.folder
            self.model.setFolder(parameterNode.bundle)
            if another and self._asked:
                self.model.refresh()
            for selector, chosen in ((self.ui.deviceSelector, parameterNode.device),
                                     (self.ui.precisionSelector, parameterNode.precision)):
                if selector.findData(chosen) < 0:
                    selector.addItem(chosen, chosen)  # of another machine, or one that is not known yet
                selector.setCurrentIndex(selector.findData(chosen))
        self._parameterNode = parameterNode
        self.update()

    def askWorker(self):
        """Asks for versions, devices and the model; starts the worker where there is none yet."""
        self._asked = True
        self.logic.hello(self._onHello, self._onHelloFailed)
        self.model.refresh()

    def cleanup(self):
        """Follows the selector no more, which after a reload still follows the scene."""
        self.ui.volumeSelector.disconnect("currentNodeChanged(vtkMRMLNode*)", self._onVolume)
        self._noVolume.stop()
        self._watch(None)

    # ---- doing

    def onGenerate(self):
        """Starts a run, or cancels the one that goes on."""
        if self.logic.isRunning():
            self.logic.cancel()
            return
        node = self.volumeNode
        study = self.logic.studyOf(node)
        if study is not None and study.touched and not slicer.util.confirmOkCancelDisplay(
                _("There is already a report of '{name}' with your changes. A new one is made beside it; the old one "
                  "stays in the scene but is no longer shown here.").format(name=node.GetName()), _("Generate report")):
            return
        self.say("")
        with slicer.util.tryWithErrorDisplay(_("The run could not be started.")):
            try:
                self.logic.generate(node, self.model.folder, self._data(self.ui.deviceSelector),
                                    self._data(self.ui.precisionSelector))
            except (VolumeRefusal, WorkerFailure) as refusal:
                self.say(f"{refusal} {refusal.whatToDo}".strip(), True)
        self.update()

    def onHarden(self):
        """Makes a copy of the volume with its transform applied, and chooses it."""
        with slicer.util.tryWithErrorDisplay(_("The copy could not be made."), waitCursor=True):
            self.ui.volumeSelector.setCurrentNode(self.logic.hardenedCopy(self.volumeNode))

    def onRepair(self):
        """Installs what is missing; asks first, and where from."""
        how = Repair.askHow(self.missing)
        folder = None
        if how == Repair.FOLDER:
            folder = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Folder of wheels"))
        if how is None or folder == "":
            return
        self.logic.worker.stop()  # it may hold files that are about to be replaced
        try:
            Repair.install(self.missing, folder)
            self.say(_("Installed. Restart Slicer when it suits you: PyTorch may have been loaded into it as a trial."))
        except Repair.RepairFailure as failure:
            slicer.util.errorDisplay(str(failure))
        self.askWorker()

    # ---- showing

    def update(self):
        """Shows the state of volume, worker and run."""
        node, running = self.volumeNode, self.logic.isRunning()
        refusal = self.logic.refusalOf(node) if node is not None else _("Choose a CT volume.")
        self._showVolume(node, refusal)
        button = self.ui.generateButton
        button.setText(_("Cancel") if running else _("Generate report"))
        button.setEnabled(running or (node is not None and not refusal and not self.missing))
        button.setToolTip(_("Stops the run; the scene stays as it is.") if running else refusal or
                          _("Reads the volume and writes a draft of the report."))
        for widget in (self.ui.progressBar, self.ui.progressLabel):
            widget.setVisible(running)
        for widget in (self.ui.modelSelector, self.ui.modelFolderButton, self.ui.deviceSelector,
                       self.ui.precisionSelector):
            widget.setEnabled(not running)
        self._showStatus()

    def _showVolume(self, node, refusal):
        label = self.ui.volumeRemark
        remarks = [refusal] if refusal and node is not None else self.logic.remarksOf(node) if node is not None else []
        study = self.logic.studyOf(node)
        if study is not None and study.otherFrame:
            remarks.append(study.otherFrame)
        label.setText("\n".join(remarks))
        label.setStyleSheet(WARNING if refusal else "color: gray;")
        label.setVisible(bool(remarks))
        self.ui.hardenButton.setVisible(node is not None and needsHardening(node))

    def _showStatus(self):
        label = self.ui.statusLabel
        worker, hello = self.logic.worker, self.logic.worker.hello
        self.ui.repairButton.setVisible(bool(self.missing))
        if self.missing:
            text = Repair.missingText(self.missing)
        elif self._remark:
            text = self._remark
        elif hello is not None:
            text = _("PyTorch {torch} · {device} · {model} · {state}").format(
                torch=hello["versions"].get("torch") or "?", device=self._deviceTitle(hello["devices"]),
                model=self.model.name,
                state={"ready": _("ready"), "busy": _("working")}.get(worker.state, worker.state))
        elif worker.lastFailure is not None and worker.lastFailure.kind != "cancelled":
            text = f"{worker.lastFailure} {worker.lastFailure.whatToDo}".strip()
        else:
            text = _("Starting…") if worker.state == "starting" else _("The model starts with the first run.")
        label.setText(text)
        label.setToolTip(getattr(worker.lastFailure, "details", "") or "")
        label.setStyleSheet(WARNING if self.missing or (self._remark and self._failed) else "")

    def say(self, text, failed=False):
        """Shows a sentence in the status line; "" for the usual state."""
        self._remark, self._failed = text, failed
        self._showStatus()

    def _onProgress(self, progress):
        bar = self.ui.progressBar
        fraction = progress.get("fraction")
        bar.setRange(0, 0 if fraction is None else 1000)
        if fraction is not None:
            bar.setValue(max(bar.value, round(1000 * fraction)) if fraction > 0.02 else round(1000 * fraction))
        text = stageTitle(progress["stage"])
        if progress.get("seconds_left") is not None:
            text += _(" · about {time} left").format(time=duration(progress["seconds_left"]))
        self.ui.progressLabel.setText(text)

    def _onRunFailed(self, failure):
        cancelled = failure.kind == "cancelled"
        self.say(_("Cancelled.") if cancelled else f"{failure} {failure.whatToDo}".strip(), not cancelled)
        if failure.kind == "missing_package":
            self.askWorker()
        self.update()

    def _onFailed(self, failure):
        """Measuring in the background did not work."""
        if failure.kind != "cancelled":
            self._ofMeasuring = f"{failure} {failure.whatToDo}".strip()
            self.say(self._ofMeasuring, True)

    def _onMeasuring(self, study):
        """What measuring had to say is over once everything is measured."""
        if self._remark and self._remark == self._ofMeasuring and not self.logic.unmeasured(study):
            self.say("")

    # ---- events

    def _watch(self, node):
        """Looks at a volume again when its voxels change, as when a sequence shows another frame."""
        self._voxelTimer.stop()
        if self._watched is not None:
            self._watched.RemoveObserver(self._watchTag)
        self._watched = node
        if node is not None:
            event = slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent
            self._watchTag = node.AddObserver(event, lambda caller, event: self._voxelTimer.start())

    def _onVolume(self, node):
        self._watch(node)
        self.say("")
        self.update()
        if node is not None:
            self.volumeChosen(node)
        else:  # a selector lets go of a node before it leaves the scene: only later is it known that it was deleted
            self._noVolume.start()

    def _onModel(self, folder):
        if self._parameterNode is not None:
            self._parameterNode.bundle = folder
        self.model.refresh()
        self._showStatus()

    def _onDevice(self, index):
        if self._parameterNode is not None:
            self._parameterNode.device = self._data(self.ui.deviceSelector)
            self._parameterNode.precision = self._data(self.ui.precisionSelector)
        self._showStatus()

    def _onHello(self, hello):
        self.missing = hello.get("missing") or []
        self._fillDevices(hello["devices"])
        self.update()

    def _onHelloFailed(self, failure):
        if failure.kind != "cancelled":
            self.say(f"{failure} {failure.whatToDo}".strip(), True)

    def _fillDevices(self, devices):
        """Automatic first, then those of this machine; the choice stays."""
        selector, parameterNode = self.ui.deviceSelector, self._parameterNode
        chosen = self._data(selector) or "auto"
        self._parameterNode = None  # filling is no choice of the user
        selector.clear()
        selector.addItem(_("Automatic"), "auto")
        for device in devices:
            size = f" ({memory(device['memory_mib'])})" if device.get("memory_mib") else ""
            selector.addItem(device["title"] + size, device["id"])
        if selector.findData(chosen) < 0:
            selector.addItem(chosen, chosen)
        selector.setCurrentIndex(selector.findData(chosen))
        self._parameterNode = parameterNode

    def _deviceTitle(self, devices):
        chosen = self._data(self.ui.deviceSelector)
        titles = {device["id"]: device["title"] for device in devices}
        if chosen in titles:
            return titles[chosen]
        best = next((device["title"] for device in devices if device["id"] != "cpu"), titles.get("cpu", ""))
        return _("automatic: {device}").format(device=best)

    @staticmethod
    def _data(selector):
        return selector.itemData(selector.currentIndex)
