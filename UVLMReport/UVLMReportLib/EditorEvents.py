"""Keys, tool tips and the menu of the editor. An event filter, because that is what works in Slicer's Python."""

import qt


class EditorEvents(qt.QObject):
    """Undo and redo go to the report, tool tips and right clicks to the marks.

    Args:
        edit: the QTextEdit. editor: the ReportEditor.
    """

    def __init__(self, edit, editor):
        qt.QObject.__init__(self)
        self.edit, self.editor = edit, editor
        edit.setAcceptDrops(False)  # text dropped from elsewhere would come without a look at its place
        edit.setContextMenuPolicy(qt.Qt.CustomContextMenu)
        edit.connect("customContextMenuRequested(QPoint)", editor.showContextMenu)
        edit.installEventFilter(self)
        self.viewport = edit.viewport()
        self.viewport.installEventFilter(self)

    def remove(self):
        """Stops listening."""
        self.edit.removeEventFilter(self)
        self.viewport.removeEventFilter(self)

    def eventFilter(self, watched, event):
        kind = event.type()
        if kind == qt.QEvent.ShortcutOverride and self._command(event) is not None:
            event.accept()  # the key is ours: the application's own shortcut must not take it
            return True
        if kind == qt.QEvent.KeyPress:
            command = self._command(event)
            if command is not None:
                command()
                return True
        if kind == qt.QEvent.ToolTip and watched == self.viewport and hasattr(event, "globalPos"):
            text = self.editor.toolTipAt(event.pos())
            qt.QToolTip.showText(event.globalPos(), text, self.edit)
            return True
        if kind == qt.QEvent.FocusOut and watched == self.edit:
            self.editor.flush()
        return False

    def _command(self, event):
        """What a key does here; None where it is an ordinary key."""
        if not hasattr(event, "modifiers"):  # Slicer's Python does not always know that an event is one of a key
            return None
        if not event.modifiers() & qt.Qt.ControlModifier:
            return None
        key, shift = event.key(), bool(event.modifiers() & qt.Qt.ShiftModifier)
        if key == qt.Qt.Key_Z:
            return self.editor.redo if shift else self.editor.undo
        if key == qt.Qt.Key_Y:
            return self.editor.redo
        return None
