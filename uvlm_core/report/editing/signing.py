"""Signing and addenda: the only ways from draft to signed and on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from uvlm_core.errors import EditError
from uvlm_core.report.editing.finding_edits import FindingEdits
from uvlm_core.report.editing.rows import ORDER, SECTION, SectionRow
from uvlm_core.report.editing.splitting import body_of
from uvlm_core.report.editing.states import AddendumRow, OpenPoint, Signature, sha256_of
from uvlm_core.report.editing.text_edits import sentences_in

ADDENDUM_SECTION = "addendum_"


@dataclass(frozen=True)
class Addendum:
    """`section` is its name, `text` what stands in it now; `signature` None while it is written."""

    section: str
    author: str
    started: str
    text: str
    signature: Signature | None


class Signing(FindingEdits):
    """States of a report: what was signed stays word for word, more is said in addenda."""

    @property
    def signature(self) -> Signature | None:
        """That of the report, None for a draft; addenda have their own."""
        return self._signature

    @property
    def addenda(self) -> tuple[Addendum, ...]:
        """All addenda in their order."""
        return tuple(Addendum(row.section, row.author, row.started, self._text_of([row.section]), row.signature)
                     for row in self._addenda)

    def open_points(self) -> list[OpenPoint]:
        """What a reader should know before signing: flags, stale and lost fields, offers; of a signed report those of
        its open addendum, and what has changed since. Dismissed flags are not among them."""
        editable = self.editable_sections
        points = []
        for sentence in self.sentences:
            if sentence.section in editable:
                points += [OpenPoint(flag.kind, flag.message, sentence.id) for flag in sentence.flags
                           if not flag.dismissed]
            points += [_of_field(field) for field in sentence.fields if field.state != "current"]
        points += [OpenPoint(flag.kind, flag.message) for flag in self.flags if not flag.dismissed]
        return points + [OpenPoint("offer", f"For the new mask '{offer.segment}' a sentence is offered: {offer.text}")
                         for offer in self.offers]

    def sign(self, name: str, more_points: Sequence[OpenPoint] = ()) -> Signature:
        """Signs the report, or its open addendum; the text can no longer be changed then, nor the signing undone.

        Open points do not stop it; they are kept with the signature.

        Args:
            name: who signs.
            more_points: what is open beyond `open_points`, such as masks that are not measured yet.

        Raises:
            EditError: no name, or nothing to sign.
            SignedError: everything is signed.
        """
        name = name.strip() if isinstance(name, str) else ""
        if not name:
            raise EditError("A name is needed to sign.")
        opened = next((row for row in self._addenda if row.signature is None), None)
        if self._signature is not None and opened is None:
            self._need_editable()
        text = self._text_of([opened.section] if opened else self._body_sections)
        if not text:
            raise EditError(f"There is no text to sign in the {'addendum' if opened else 'report'}.")
        signature = Signature(name, self._now(), text, sha256_of(text), (*self.open_points(), *more_points))
        if opened:
            self._addenda = tuple(replace(row, signature=signature) if row is opened else row for row in self._addenda)
        else:
            self._signature = signature
        self._sealed("sign", opened.section if opened else None, None, name)
        return signature

    def start_addendum(self, author: str) -> str:
        """Opens an addendum, a new section at the end, and gives its name.

        Raises:
            EditError: no author, the report is a draft, or an addendum is open already.
        """
        author = author.strip() if isinstance(author, str) else ""
        if not author:
            raise EditError("An addendum needs an author.")
        if self._signature is None:
            raise EditError("The report is a draft: edit it, and sign it, before an addendum is written.")
        if self.editable_sections:
            raise EditError("An addendum is open already: sign or discard it first.")
        number = len(self._addenda) + 1
        section = f"{ADDENDUM_SECTION}{number}"
        self._addenda = (*self._addenda, AddendumRow(section, author, self._now()))
        self._cells[ORDER] = (*self._order, section)
        self._cells[SECTION + section] = SectionRow("Addendum" if number == 1 else f"Addendum {number}")
        self._sealed("start_addendum", section, None, author)
        return section

    def add_addendum(self, author: str, text: str) -> str:
        """Writes and signs an addendum at once; gives the name of its section. Raises EditError."""
        if not isinstance(text, str) or not sentences_in(text):
            raise EditError("An addendum needs a text.")
        section = self.start_addendum(author)
        self.insert_sentence(section, text)
        self.sign(author)
        return section

    def discard_addendum(self) -> None:
        """Takes the open addendum out, and back what was set of findings, flags and offers while it was written.

        Raises:
            EditError: none is open.
        """
        opened = next((row for row in self._addenda if row.signature is None), None)
        if opened is None:
            raise EditError("No addendum is open.")
        text = self._text_of([opened.section])
        while self.undo():  # back to where it was started, and no further: starting it has sealed the history
            pass
        del self._cells[SECTION + opened.section]
        self._cells[ORDER] = tuple(name for name in self._order if name != opened.section)
        self._addenda = tuple(row for row in self._addenda if row is not opened)
        self._sealed("discard_addendum", opened.section, text or None, None)

    @property
    def _body_sections(self) -> list[str]:
        """Sections of the report itself."""
        return [name for name in self._order if name not in {row.section for row in self._addenda}]

    def _text_of(self, sections: list[str]) -> str:
        """"Title: text" of the sections that have one, a line each; this is what is signed."""
        lines = []
        for name in sections:
            body = body_of(self._rows(name), self._section_row(name).tail).strip()
            if body:
                lines.append(f"{self._section_row(name).title}: {body}")
        return "\n".join(lines)

    def _sealed(self, kind: str, target: str | None, before: str | None, after: str | None) -> None:
        """A step that undo does not go back over."""
        self._history.seal()
        self._history.add(self._clock(), kind, target, before, after)
        self._revision += 1


def _of_field(field) -> OpenPoint:
    if field.state == "lost":
        return OpenPoint("lost", f"'{field.old}' came from a mask that was removed.", field.sentence)
    return OpenPoint("stale", f"'{field.old}': the mask measures {field.new} now.", field.sentence)
