"""Draft, signed, addendum: the line above the report, and the dialog that lists what is still open."""

import qt
import slicer
from slicer.i18n import tr as _

from UVLMReportLib.ChangesView import clock
from UVLMShared import Settings

SIGNED, ADDENDUM = "#1b7f3b", "#8a5a00"


class Signing:
    """Shows the state of the report, and signs.

    Args:
        change: runs a function of the report and saves it.
        unmeasured: says what of the masks is not measured yet, a list of sentences.
    """

    def __init__(self, ui, change, unmeasured):
        self.ui, self.change, self.unmeasured = ui, change, unmeasured
        self.report, self.dialog = None, None
        ui.signButton.connect("clicked()", self.ask)
        ui.addendumButton.connect("clicked()", self.onAddendum)

    def show(self, report):
        """Shows the state of a report, or of none. An open dialog follows its report, or closes with it."""
        if self._asking and report is not self.report:
            self.dialog.close()
        self.report = report
        state = report.state if report is not None else None
        self.ui.reportState.setText("" if report is None else stateText(report))
        self.ui.signButton.setVisible(state in ("draft", "addendum"))
        self.ui.signButton.setText(_("Sign addendum…") if state == "addendum" else _("Sign…"))
        self.ui.addendumButton.setVisible(state in ("signed", "addendum"))
        writing = state == "addendum"
        self.ui.addendumButton.setText(_("Discard") if writing else _("Addendum"))
        self.ui.addendumButton.setToolTip(
            _("Takes the addendum that is being written out again.") if writing else
            _("The signed text stays as it is; what you write from now on is an addendum."))
        self.update()

    @property
    def _asking(self):
        return self.dialog is not None and self.dialog.window.visible

    def points(self):
        """What is still open, with the masks that are not measured yet."""
        from uvlm_core.report.editing.states import OpenPoint

        return self.report.open_points() + [OpenPoint("unmeasured", text) for text in self.unmeasured()]

    def update(self):
        """What is not measured yet has changed: an open dialog shows it."""
        if self._asking and self.report is not None:
            self.dialog.show(self.points())

    def ask(self):
        """Opens the dialog; it signs when it is accepted."""
        if self.report is None:
            return
        self.dialog = SignDialog(self.points(), self.sign)
        self.dialog.window.open()

    def sign(self, name):
        """Signs in the name of somebody, who is remembered for the next time."""
        Settings.setValue("signer", name)
        more = [point for point in self.points() if point.kind == "unmeasured"]
        self.change(lambda report: report.sign(name, more))

    def onAddendum(self):
        """Opens a new section below the signed text, which stays as it is; or takes the open one out again."""
        if self.report is not None and self.report.state == "addendum":
            opened = self.report.addenda[-1]
            if not opened.text or slicer.util.confirmOkCancelDisplay(
                    _("Discard the addendum and what is written in it?"), _("Discard addendum")):
                self.change(lambda report: report.discard_addendum())
            return
        name = Settings.value("signer", "")
        self.change(lambda report: report.start_addendum(name or _("unnamed")))


class SignDialog:
    """Asks for the name and lists what is still open; `sign` is called with the name."""

    def __init__(self, points, sign):
        self.sign = sign
        self.window = qt.QDialog(slicer.util.mainWindow())
        self.window.setWindowTitle(_("Sign the report"))
        layout = qt.QVBoxLayout(self.window)
        self.label = qt.QLabel()
        self.label.setWordWrap(True)
        layout.addWidget(self.label)
        self.list = qt.QListWidget()
        self.list.setWordWrap(True)
        layout.addWidget(self.list)
        row = qt.QHBoxLayout()
        layout.addLayout(row)
        row.addWidget(qt.QLabel(_("Name:")))
        self.name = qt.QLineEdit(Settings.value("signer", ""))
        self.name.setToolTip(_("Who signs; it stands below the report."))
        row.addWidget(self.name)
        notice = qt.QLabel(_("Research use only: this is no medical signature."))
        notice.setStyleSheet("color: gray;")
        layout.addWidget(notice)
        buttons = qt.QHBoxLayout()
        layout.addLayout(buttons)
        buttons.addStretch(1)
        self.button, self.cancelButton = qt.QPushButton(_("Sign")), qt.QPushButton(_("Cancel"))
        for button in (self.button, self.cancelButton):
            buttons.addWidget(button)
        self.button.connect("clicked()", self._onAccepted)
        self.cancelButton.connect("clicked()", self.window.reject)
        self.name.connect("textChanged(QString)", self._onName)
        self.window.resize(420, 320 if points else 160)
        self._shown = None
        self.show(points)
        self._onName()

    def show(self, points):
        """Lists what is still open; again when that changes while the dialog is open."""
        messages = [point.message for point in points]
        if messages == self._shown:
            return
        self._shown = messages
        self.label.setText(
            _("Still open ({count}). You can sign all the same; the list is kept with the signature.").format(
                count=len(points)) if points else _("Nothing is open: no contradiction and no outdated measurement."))
        self.list.clear()
        self.list.addItems(messages)
        self.list.setVisible(bool(points))

    def close(self):
        """Closes it without signing."""
        self.window.reject()

    def _onName(self, *ignored):
        self.button.setEnabled(bool(self.name.text.strip()))

    def _onAccepted(self):
        self.window.accept()
        self.sign(self.name.text.strip())


def stateText(report):
    """The state as rich text for the panel."""
    if report.state == "draft":
        return f"<b>{_('Draft')}</b>"
    signature = report.signature
    text = _("Signed by {name}, {time}").format(name=signature.name, time=clock(signature.time))
    if report.state == "signed":
        return f"<b style='color:{SIGNED}'>{text}</b>"
    unsigned = [addendum for addendum in report.addenda if addendum.signature is None]
    more = _("addendum being written") if unsigned else _("{count} addenda").format(count=len(report.addenda))
    return f"<b style='color:{ADDENDUM}'>{text}<br>{more}</b>"
