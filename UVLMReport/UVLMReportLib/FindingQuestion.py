"""Asks which finding a new mask shows."""

import qt
import slicer
from slicer.i18n import tr as _

from UVLMShared.Bootstrap import makeCoreImportable


def drawableFindings():
    """[(title of the region, [names])] of the findings that a mask can show."""
    makeCoreImportable()
    from uvlm_core.labels import findings, label_named, regions

    drawable = [one for one in findings() if one.label is not None and label_named(one.label).kind == "lesion"]
    rows = [(title, [one.name for one in drawable if one.region == region]) for region, title in regions().items()]
    return [(title, names) for title, names in rows if names]


def fillFindingMenu(menu, chosen):
    """Fills a menu with the findings by region; chosen(name)."""
    for title, names in drawableFindings():
        part = menu.addMenu(title)
        for name in names:
            action = part.addAction(name)
            action.connect("triggered()", lambda name=name: chosen(name))


class FindingQuestion:
    """A dialog that does not stop the program; `answered` is called with the finding, or None for "none of these"."""

    def __init__(self, maskTitle, answered):
        self._answered = answered
        self.window = qt.QDialog(slicer.util.mainWindow())
        self.window.setWindowTitle(_("New mask"))
        layout = qt.QVBoxLayout(self.window)
        question = _("Which finding does the new mask '{title}' show? A sentence is offered once it is drawn.")
        label = qt.QLabel(question.format(title=maskTitle))
        label.setWordWrap(True)
        layout.addWidget(label)
        self.selector = qt.QComboBox()
        self.selector.setToolTip(_("The finding that the mask shows."))
        for title, names in drawableFindings():
            for name in names:
                self.selector.addItem(f"{name}  ({title})", name)
        layout.addWidget(self.selector)
        buttons = qt.QHBoxLayout()
        layout.addLayout(buttons)
        buttons.addStretch(1)
        self.button, self.noneButton = qt.QPushButton(_("OK")), qt.QPushButton(_("None of these"))
        for button in (self.button, self.noneButton):
            buttons.addWidget(button)
        self.button.connect("clicked()", self.accept)
        self.noneButton.connect("clicked()", self.reject)
        self.window.connect("rejected()", self.reject)  # Escape, or the window's own cross
        self.window.open()

    def accept(self):
        """Takes the chosen finding."""
        self._answer(self.selector.itemData(self.selector.currentIndex))

    def reject(self):
        """The mask shows none of the findings."""
        self._answer(None)

    def close(self):
        """Closes the question without an answer."""
        self._answered = None
        self.window.close()

    def _answer(self, finding):
        answered, self._answered = self._answered, None
        self.window.close()
        if answered is not None:
            answered(finding)
