"""Asks which finding, or which organ, a new mask shows."""

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


def drawableOrgans():
    """Labels of the organs, which a reader draws where the model missed one."""
    makeCoreImportable()
    from uvlm_core.labels import labels

    return [label for label in labels() if label.kind == "organ"]


def fillMaskMenu(menu, findingChosen, organChosen):
    """Fills a menu with the findings by region and the organs; findingChosen(name of the finding),
    organChosen(name of the label)."""
    for title, names in drawableFindings():
        part = menu.addMenu(title)
        for name in names:
            action = part.addAction(name)
            action.connect("triggered()", lambda name=name: findingChosen(name))
    menu.addSeparator()
    part = menu.addMenu(_("Organ"))
    for label in drawableOrgans():
        action = part.addAction(capitalized(label.title))
        action.connect("triggered()", lambda name=label.name: organChosen(name))


def capitalized(title):
    """The title of a label as it stands in a list."""
    return title[:1].upper() + title[1:]


class FindingQuestion:
    """A window beside the program, in which drawing goes on; answered(name of the finding, name of the organ's label),
    where one or both are None: neither for "none of these". Nothing is chosen at first: it comes while the user draws,
    and a stray Return must not name the mask."""

    def __init__(self, maskTitle, answered, organs=()):
        """`organs`: labels of the organs that have no mask yet."""
        self._answered, self._choices = answered, []
        self.window = qt.QDialog(slicer.util.mainWindow())
        self.window.setWindowTitle(_("New mask"))
        layout = qt.QVBoxLayout(self.window)
        question = _("What does the new mask '{title}' show? For a finding a sentence is offered once it is drawn.")
        label = qt.QLabel(question.format(title=maskTitle))
        label.setWordWrap(True)
        layout.addWidget(label)
        self.selector = qt.QComboBox()
        self.selector.setToolTip(_("The finding or the organ that the mask shows."))
        self._addChoice(_("Choose…"), None, None)
        for title, names in drawableFindings():
            for name in names:
                self._addChoice(f"{name}  ({title})", name, None)
        for label in organs:
            self._addChoice(capitalized(label.title) + "  (" + _("organ") + ")", None, label.name)
        layout.addWidget(self.selector)
        buttons = qt.QHBoxLayout()
        layout.addLayout(buttons)
        buttons.addStretch(1)
        self.button, self.noneButton = qt.QPushButton(_("OK")), qt.QPushButton(_("None of these"))
        for button in (self.button, self.noneButton):
            buttons.addWidget(button)
        self.button.setEnabled(False)
        self.selector.connect("currentIndexChanged(int)", lambda index: self.button.setEnabled(index > 0))
        self.button.connect("clicked()", self.accept)
        self.noneButton.connect("clicked()", self.reject)
        self.window.connect("rejected()", self.reject)  # Escape, or the window's own cross
        self.window.show()

    def _addChoice(self, text, finding, organ):
        self.selector.addItem(text)
        self._choices.append((finding, organ))

    def accept(self):
        """Takes the chosen finding or organ."""
        self._answer(*self._choices[self.selector.currentIndex])

    def reject(self):
        """The mask shows nothing that the list has."""
        self._answer(None, None)

    def close(self):
        """Closes the question without an answer."""
        self._answered = None
        self.window.close()

    def _answer(self, finding, organ):
        answered, self._answered = self._answered, None
        self.window.close()
        if answered is not None:
            answered(finding, organ)
