"""The report as the document of a text edit: what is typed goes into the report, what the report changes comes back."""

import qt

from UVLMShared.SingleShot import later

HEADING_BLOCK, SENTENCE_BLOCK = 1, 2  # user states of the document's blocks


class ReportText:
    """Keeps a QTextEdit and an EditableReport equal, character by character.

    The report owns the text: `layout()` says what has to stand in the editor, and after each keystroke `replace_range`
    says whether it does. The cursor, the scroll position and the marks (text cursors) move with the text.

    Args:
        typed: called after a change by the user has reached the report.
        refused: called with the error where the report did not take it; the old text is back then.
    """

    def __init__(self, edit, typed, refused):
        self.edit, self._typed, self._refused = edit, typed, refused
        self.report, self.layout = None, None
        self._shown, self._busy = "", False
        edit.setUndoRedoEnabled(False)  # undo is the report's
        edit.setAcceptRichText(False)
        edit.document.connect("contentsChange(int,int,int)", self._onContentsChange)

    def setReport(self, report):
        """Shows a report, or nothing."""
        self.report = report
        self._shown = None
        self.refresh()

    def refresh(self):
        """Shows the report's text as it is now; only what differs is replaced."""
        self.layout = self.report.layout() if self.report is not None else None
        text = self.layout.text if self.layout is not None else ""
        if self._shown is None:
            self._replace(0, len(self.edit.document.toPlainText()), text)
        elif text != self._shown:
            start, oldEnd, newEnd = _difference(self._shown, text)
            self._replace(start, oldEnd, text[start:newEnd])
        self._shown = text

    def position(self):
        """Offset of the cursor in the report's text."""
        return self._fromQt(self.edit.textCursor().position())

    def offsetAt(self, point):
        """Offset of the text under a point of the viewport."""
        return self._fromQt(self.edit.cursorForPosition(point).position())

    def cursorOver(self, start, end):
        """A text cursor over characters `start` to `end` of the report's text; it follows the text from now on."""
        cursor = qt.QTextCursor(self.edit.document)
        cursor.setPosition(self._toQt(start))
        cursor.setPosition(self._toQt(end), qt.QTextCursor.KeepAnchor)
        return cursor

    def putCursor(self, offset):
        """Moves the user's cursor there and scrolls to it."""
        cursor = self.edit.textCursor()
        cursor.setPosition(self._toQt(offset))
        self.edit.setTextCursor(cursor)
        self.edit.ensureCursorVisible()

    # ---- both ways

    def _onContentsChange(self, position, removed, added):
        if self._busy or self.report is None:
            return
        text = self.edit.document.toPlainText()
        if text == self._shown:
            return  # only formats changed
        start, oldEnd, newEnd = self._changed(text, position, removed, added)
        inserted = text[start:newEnd]
        error = None
        try:
            result = self.report.replace_range(start, oldEnd - start, inserted)
            self._shown = text
            asTyped = result.as_typed
        except self._editError() as refusal:
            error, asTyped = refusal, False
        if asTyped:
            self.layout = self.report.layout()
            self._markBlocks()
        else:
            self._shown = text
            later(0, self._correct)  # the document must not be changed within its own signal
        if error is not None:
            self._refused(error)
        else:
            self._typed()

    def _correct(self):
        if self.report is not None:
            self.refresh()

    def _changed(self, text, position, removed, added):
        """(start, old end, new end) in characters. Qt's numbers are taken where they are right; around the ends of a
        document they sometimes count a separator that is not there."""
        old = self._shown
        if not _beyond(old) and not _beyond(text):
            start, oldEnd, newEnd = position, position + removed, position + added
            if old[:start] == text[:start] and old[oldEnd:] == text[newEnd:] and oldEnd <= len(old):
                return start, oldEnd, newEnd
        return _difference(old, text)

    def _replace(self, start, end, text):
        self._busy = True
        cursor = qt.QTextCursor(self.edit.document)
        cursor.setPosition(self._toQt(start, self.edit.document.toPlainText()))
        cursor.setPosition(self._toQt(end, self.edit.document.toPlainText()), qt.QTextCursor.KeepAnchor)
        cursor.beginEditBlock()
        cursor.insertText(text, qt.QTextCharFormat())
        cursor.endEditBlock()
        self._markBlocks(everything=True)
        self._busy = False

    def _markBlocks(self, everything=False):
        """Headings bold and set off; new blocks get the format that they lack."""
        if self.layout is None:
            return
        headings = {piece.start for piece in self.layout.pieces if piece.kind == "heading"}
        wasBusy, self._busy = self._busy, True
        block, start = self.edit.document.firstBlock(), 0
        while block.isValid():
            kind = HEADING_BLOCK if start in headings else SENTENCE_BLOCK
            if everything or block.userState() != kind:
                self._format(block, kind)
            start += len(block.text()) + 1
            block = block.next()
        self._busy = wasBusy

    def _format(self, block, kind):
        block.setUserState(kind)
        cursor = qt.QTextCursor(block)
        blockFormat = qt.QTextBlockFormat()
        blockFormat.setTopMargin(9 if kind == HEADING_BLOCK and block.blockNumber() else 2)
        blockFormat.setLineHeight(118, 1)  # 1: proportional
        cursor.setBlockFormat(blockFormat)
        characters = qt.QTextCharFormat()
        if kind == HEADING_BLOCK:
            characters.setFontWeight(qt.QFont.Bold)
        cursor.setBlockCharFormat(characters)
        cursor.movePosition(qt.QTextCursor.EndOfBlock, qt.QTextCursor.KeepAnchor)
        cursor.setCharFormat(characters)

    def _toQt(self, offset, text=None):
        """Qt counts characters beyond U+FFFF twice."""
        text = self._shown if text is None else text
        return offset + sum(character > "\uffff" for character in text[:offset]) if _beyond(text) else offset

    def _fromQt(self, position):
        if not _beyond(self._shown):
            return position
        return len(self._shown.encode("utf-16-le")[:2 * position].decode("utf-16-le", "ignore"))

    @staticmethod
    def _editError():
        from uvlm_core.report.editing import EditError

        return EditError


def _beyond(text):
    return text is not None and not text.isascii() and max(text, default="") > "\uffff"


def _difference(old, new):
    """(start, old end, new end): what lies between the common beginning and the common end."""
    start = _common(old, new)
    tail = _common(old[start:][::-1], new[start:][::-1])
    return start, len(old) - tail, len(new) - tail


def _common(first, second):
    """How many characters two texts begin with in common, by halving."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
