"""Ctrl+F in the report, a key that Slicer has, too: there it finds modules."""

import qt
import slicer

KEY = "Ctrl+F"


class FindKey(qt.QObject):
    """Calls `pressed` at Ctrl+F while the focus is in one of the widgets; elsewhere the key is Slicer's.

    Qt hears neither of two shortcuts that both fit. So Slicer's is narrowed to its own button and menu while the focus
    is here, as Slicer's main window does it with cut, copy and paste for the sake of the modules. An event filter alone
    cannot claim the key: Slicer's Python does not know the event that asks for it (ShortcutOverride) as one of a key.

    Args:
        widgets: those that the focus can be in.
    """

    def __init__(self, widgets, pressed):
        qt.QObject.__init__(self)
        self._widgets, self._narrowed = widgets, []
        self._shortcuts = []
        for widget in widgets:
            shortcut = qt.QShortcut(qt.QKeySequence(KEY), widget)
            shortcut.setContext(qt.Qt.WidgetShortcut)
            shortcut.connect("activated()", pressed)
            self._shortcuts.append(shortcut)
            widget.installEventFilter(self)

    def remove(self):
        """Stops listening; the key is Slicer's again."""
        for widget in self._widgets:
            widget.removeEventFilter(self)
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
        self._widen()

    def eventFilter(self, watched, event):
        kind = event.type()
        if kind == qt.QEvent.FocusIn:
            self._narrow()
        elif kind == qt.QEvent.FocusOut:
            self._widen()
        return False

    def _narrow(self):
        window = slicer.util.mainWindow()
        for child in window.children() if window is not None and not self._narrowed else []:
            if child is not None and child.className() == "QAction" and child.shortcut.toString() == KEY:
                self._narrowed.append((child, child.shortcutContext))
                child.shortcutContext = qt.Qt.WidgetShortcut

    def _widen(self):
        for action, context in self._narrowed:
            action.shortcutContext = context
        self._narrowed = []
