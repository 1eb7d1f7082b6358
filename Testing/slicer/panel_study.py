"""A study for the tests of the panel: a phantom with its true masks and its true report, without a model.

Everything else is as a run writes it: measured, linked and checked by the same code, in a study folder.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from uvlm_core.inference.assembling import Scan, assemble, measured
from uvlm_core.inference.composing import Attribution, Draft
from uvlm_core.inference.field_of_view import field_of_view
from uvlm_core.inference.findings_table import finding_rows
from uvlm_core.inference.segment_map import segment_map
from uvlm_core.inference.study import write_study
from uvlm_core.phantom.case import PhantomCase
from uvlm_core.phantom.generator import make_phantom
from uvlm_core.report.document import parse_report

SEED, SHAPE = 651888, (72, 96, 96)
MAP_SHAPE = (6, 8, 8)


def make_case() -> PhantomCase:
    """A chest and abdomen with a consolidation on the left, a pericardial effusion and a liver lesion of 26 mm."""
    return make_phantom(SEED, SHAPE, region="both", share=0.5)


def write_study_folder(folder: Path, case: PhantomCase, text: str | None = None) -> None:
    """study.json, masks, attribution, and the segment map (segments.npy) that the worker gives beside them.

    Args:
        text: another report than the phantom's true one.
    """
    folder.mkdir(parents=True)
    volume = case.volume
    view = field_of_view(case.labels, float(np.prod(volume.spacing)) / 1000, np.ones(case.labels.shape, bool))
    masks = measured(case.labels, volume, view)
    probabilities = {name: 0.91 if present else 0.07 for name, present in case.present.items()}
    probabilities["Lung opacity"] = 0.52  # uncertain
    assessed = [name for name in probabilities if name != "Bronchiectasis"]
    rows = finding_rows(probabilities, dict.fromkeys(probabilities, 0.5), assessed, view, masks.segments)
    report = parse_report(text or case.report())
    draft = Draft(report, attribution=_attribution([sentence.id for sentence in report.sentences], volume))
    study = assemble(Scan(volume, "ab" * 32, []), masks, rows, draft, {"model": "none", "model_version": "0"})
    write_study(folder, study, volume)
    np.save(folder / "segments.npy", segment_map(study.labels, study.segments), allow_pickle=False)


def looked_at(number: int) -> int:
    """The cell of the map, counted in C order, that a sentence looks at: one in the middle of the body."""
    return int(np.ravel_multi_index((3, 3 + number // 4 % 2, 2 + number % 4), MAP_SHAPE))


def _attribution(names: list[str], volume) -> Attribution:
    """Two groups; sentence n looks at `looked_at(n)` in the first and everywhere alike in the second."""
    maps = np.zeros((len(names), 2, *MAP_SHAPE), np.float16)
    for number in range(len(names)):
        maps[number, 0].reshape(-1)[looked_at(number)] = 1
    maps[:, 1] = 0.5
    steps = np.array(volume.array.shape[::-1]) / np.array(MAP_SHAPE[::-1])
    matrix = volume.ijk_to_ras @ np.diag([*steps, 1.0])
    matrix[:3, 3] += volume.ijk_to_ras[:3, :3] @ ((steps - 1) / 2)
    return Attribution(maps, names, [5, 2], matrix)


class OpenPanel:
    """The module's real panel in a window, with the study of the phantom in the scene; no worker is started.

    Args:
        openModule, app: the fixtures. folder: for the study.
        text: another report than the phantom's true one.
    """

    def __init__(self, openModule, app, folder: Path, text: str | None = None) -> None:
        import slicer

        self.app, self.folder = app, folder
        self.widget = openModule("UVLMReport")
        self.panel, self.ui, self.logic = self.widget.panel, self.widget.ui, self.widget.logic
        self.panel.askTimer.stop()
        window = self.ui.reportEdit.window()
        window.resize(480, 1600)
        window.show()
        case = make_case()
        write_study_folder(folder / "study", case, text)
        self.volume = slicer.util.addVolumeFromArray(
            np.ascontiguousarray(case.volume.array), case.volume.ijk_to_ras, "Phantom")
        self.ui.volumeSelector.setCurrentNode(self.volume)
        self.study = self._addStudy(folder / "study")
        app.processUntil(lambda: not self.logic.masksPending(self.study))

    def _addStudy(self, folder: Path):
        from UVLMReportLib.StudyScene import StudyScene

        steps = StudyScene.creating(self.volume, str(folder), str(folder / "segments.npy"))
        while True:
            try:
                next(steps)
            except StopIteration as finished:
                study = finished.value
                break
        self.logic.watchStudies()
        self.logic.studyMade(study)
        self.logic.studyChanged(study)
        return study

    @property
    def report(self):
        return self.study.report

    @property
    def editor(self):
        return self.panel.editor

    @property
    def edit(self):
        return self.ui.reportEdit

    @property
    def text(self) -> str:
        """What stands in the editor."""
        return self.edit.plainText

    def sentence(self, words: str) -> str:
        """Id of the first sentence with these words."""
        return next(sentence.id for sentence in self.report.sentences if words in sentence.text)

    def put_cursor(self, words: str, before: bool = False) -> None:
        """Puts the cursor behind (or before) the first place of these words, as a click would."""
        self.editor.text.putCursor(self.text.index(words) + (0 if before else len(words)))
        self.app.processEvents(0.2)

    def type(self, text: str) -> None:
        """Types into the editor at its cursor, key by key, through Qt's own events."""
        import qt

        for letter in text:
            self.press(qt.Qt.Key_Return if letter == "\n" else 0, letter)

    def press(self, key, text: str = "", modifiers=None) -> None:
        """One key."""
        import qt
        import slicer

        modifiers = qt.Qt.NoModifier if modifiers is None else modifiers
        for kind in (qt.QEvent.KeyPress, qt.QEvent.KeyRelease):
            slicer.app.sendEvent(self.edit, qt.QKeyEvent(kind, int(key), modifiers, text))

    def color_at(self, words: str):
        """Background of the marks over the first place of these words: (red, green, blue), or None."""
        start = self.text.index(words)
        found = None
        for mark in self.edit.extraSelections():
            background = mark.format.background()
            if mark.cursor.selectionStart() <= start < mark.cursor.selectionEnd() and background.style() != 0:
                color = background.color()
                found = (color.red(), color.green(), color.blue())
        return found

    def underlined(self) -> list[str]:
        """The texts with a wavy line."""
        import qt

        return [mark.cursor.selectedText() for mark in self.edit.extraSelections()
                if mark.format.underlineStyle() == qt.QTextCharFormat.WaveUnderline]
