"""The whole report as one text, as an editor shows it, and the way from its offsets to sentences."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from uvlm_core.report.editing.rows import Written
from uvlm_core.report.editing.splitting import body_of, spans_of

HEADING, SENTENCE = "heading", "sentence"


@dataclass(frozen=True)
class Piece:
    """Characters `start` to `end`: a section's title (kind "heading") or a sentence; `sentence` is its id or None."""

    kind: str
    start: int
    end: int
    section: str
    sentence: str | None = None


class Layout:
    """Per section a line with the title and a line with the text, separated by "\\n".

    Offsets count characters of `text`, from 0. Qt counts those beyond U+FFFF twice: see `utf16`.
    """

    def __init__(self, sections: Iterable[tuple[str, str, list[Written], str]]):
        """`sections`: (name, title, sentences, tail) in their order."""
        self.pieces: list[Piece] = []
        self.bodies: dict[str, tuple[int, int]] = {}
        parts, place = [], 0
        for name, title, rows, tail in sections:
            self.pieces.append(Piece(HEADING, place, place + len(title), name))
            place += len(title) + 1
            body = body_of(rows, tail)
            self.pieces += [Piece(SENTENCE, place + start, place + end, name, row.id)
                            for row, (start, end) in zip(rows, spans_of(rows), strict=True)]
            self.bodies[name] = (place, place + len(body))
            place += len(body) + 1
            parts += [title, body]
        self.text = "\n".join(parts)

    @cached_property
    def _spans(self) -> dict[str, tuple[int, int]]:
        return {piece.sentence: (piece.start, piece.end) for piece in self.pieces if piece.sentence is not None}

    @cached_property
    def _starts(self) -> list[int]:
        return [piece.start for piece in self.pieces]

    def span_of(self, sentence: str) -> tuple[int, int]:
        """(start, end) of a sentence. Raises KeyError for an id that is not there."""
        return self._spans[sentence]

    def sentence_at(self, offset: int) -> str | None:
        """Id of the sentence at an offset, also at its end; None in a heading and between sentences."""
        number = bisect_right(self._starts, offset) - 1
        piece = self.pieces[number] if number >= 0 else None
        return piece.sentence if piece is not None and piece.start <= offset <= piece.end else None

    def section_at(self, offset: int) -> str | None:
        """Name of the section at an offset, its title included; None beyond the text."""
        for name, (_, end) in self.bodies.items():
            if 0 <= offset <= end:
                return name
        return None

    @cached_property
    def _wide(self) -> list[int]:
        return [place for place, letter in enumerate(self.text) if ord(letter) > 0xFFFF]

    def utf16(self, offset: int) -> int:
        """The position that Qt has for an offset."""
        return offset + bisect_right(self._wide, offset - 1)

    def from_utf16(self, position: int) -> int:
        """The offset of a position in Qt; inside a pair of surrogates, that of its character."""
        offset = position
        for number, place in enumerate(self._wide):
            if place + number < position:
                offset = max(place, position - number - 1)
        return offset
