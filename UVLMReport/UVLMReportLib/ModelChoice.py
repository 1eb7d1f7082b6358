"""Which model reads the scan: the demo model, a recent one, or a folder; with what a user has to know of it first."""

import os

import qt
import slicer
from slicer.i18n import tr as _

from UVLMReportLib.Listeners import Listeners
from UVLMReportLib.Wording import duration, memory
from UVLMShared import Settings


class ModelChoice:
    """The combo box of models and the lines below it.

    `changed`: Listeners (folder), "" is the demo model. `named`: Listeners (), when the worker has told its name.
    `info`: the worker's bundle_info of it, None until known.
    """

    def __init__(self, ui, logic):
        self.ui, self.logic = ui, logic
        self.changed, self.named = Listeners(), Listeners()
        self.info = None
        self._names = {"": _("Demo model")}
        self._filling = False
        self._fill("")
        ui.modelSelector.connect("currentIndexChanged(int)", self._onChosen)
        ui.modelFolderButton.connect("clicked()", self.chooseFolder)

    @property
    def name(self):
        """Of the chosen model, as far as it is known."""
        return self.ui.modelSelector.currentText

    @property
    def folder(self):
        """Of the chosen model, "" for the demo model."""
        return self.ui.modelSelector.itemData(self.ui.modelSelector.currentIndex) or ""

    def setFolder(self, folder):
        """Chooses a model without telling `changed`."""
        if folder != self.folder:
            self._fill(folder)

    def chooseFolder(self):
        """Asks for a folder with bundle.json."""
        start = os.path.dirname(self.folder) if self.folder else Settings.value("modelsFolder", "")
        folder = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Folder of the model"), start)
        if folder:
            self.useFolder(folder)

    def useFolder(self, folder):
        """Takes a folder as model, if there is one in it, and remembers it."""
        if not os.path.isfile(os.path.join(folder, "bundle.json")):
            slicer.util.warningDisplay(
                _("There is no model in '{folder}': a model is a folder with the file bundle.json. Choose that folder "
                  "itself.").format(folder=folder))
            return
        Settings.addRecentModel(folder)
        Settings.setValue("modelsFolder", os.path.dirname(folder))
        self._fill(folder)
        self.changed(folder)

    def refresh(self):
        """Asks the worker again what is known of the chosen model."""
        self.info = None
        asked = self.folder
        self.ui.modelRemark.setText(asked)
        self.ui.modelRemark.setVisible(bool(asked))
        device, precision = [selector.itemData(selector.currentIndex) or "auto"
                             for selector in (self.ui.deviceSelector, self.ui.precisionSelector)]
        self.logic.bundleInfo(asked, lambda info: self._onInfo(asked, info),
                              lambda failure: self._onFailed(asked, failure), device, precision)

    def _fill(self, folder):
        """The demo model, then the recent ones; `folder` becomes the chosen one."""
        selector, self._filling = self.ui.modelSelector, True
        selector.clear()
        known = ["", *Settings.recentModels()]
        for path in known if folder in known else [*known, folder]:
            selector.addItem(self._names.get(path) or os.path.basename(path), path)
        selector.setCurrentIndex(max(0, selector.findData(folder)))
        selector.setToolTip(folder or _("The model that is part of the extension."))
        self._filling = False

    def _onChosen(self, index):
        if not self._filling:
            self.changed(self.folder)

    def _onInfo(self, asked, info):
        if asked != self.folder:
            return  # another one was chosen meanwhile
        self.info = info
        self._names[asked] = f"{info['name']} {info['version']}"
        self.ui.modelSelector.setItemText(self.ui.modelSelector.currentIndex, self._names[asked])
        self.ui.modelRemark.setText(describe(info))
        self.ui.modelRemark.setVisible(True)
        self.named()

    def _onFailed(self, asked, failure):
        if asked == self.folder and failure.kind != "cancelled":
            self.ui.modelRemark.setText(f"{failure} {failure.whatToDo}".strip())
            self.ui.modelRemark.setVisible(True)


def describe(info):
    """Licence, intended use, and what a run costs on this machine, as lines for the panel."""
    lines = [info["intended_use"], _("Licence: {licence}").format(licence=info["licence"])]
    if info.get("expected_seconds") is not None:
        cost = _("About {time} for a large chest CT").format(time=duration(info["expected_seconds"]))
        if info.get("expected_memory_mib"):
            cost += _(", {memory} of memory").format(memory=memory(info["expected_memory_mib"]))
        lines.append(cost + ("." if info.get("expected_from") == "runs" else _(" (estimate).")))
    return "\n".join(line for line in lines if line)
