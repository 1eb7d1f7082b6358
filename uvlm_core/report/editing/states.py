"""Draft, signed, addendum: what is signed is kept word for word."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from uvlm_core.errors import EditError

DRAFT, SIGNED, ADDENDUM = "draft", "signed", "addendum"


@dataclass(frozen=True)
class OpenPoint:
    """Something that a reader should know before signing: `kind` is that of a flag, or "stale", "lost", "offer";
    `sentence` None where it concerns the report as a whole."""

    kind: str
    message: str
    sentence: str | None = None


@dataclass(frozen=True)
class Signature:
    """Who signed what and when: `text` word for word, its `sha256` (of the UTF-8 bytes), what was still open."""

    name: str
    time: str
    text: str
    sha256: str
    open_points: tuple[OpenPoint, ...] = ()


@dataclass(frozen=True)
class AddendumRow:
    """An addendum is a section of its own; `signature` None while it is written."""

    section: str
    author: str
    started: str
    signature: Signature | None = None


def sha256_of(text: str) -> str:
    """Hex digest of the UTF-8 bytes."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def check_signature(signature: Signature, text: str, what: str) -> None:
    """Compares a signature with itself and with the text that stands in the report.

    Raises:
        EditError: one of them was changed after signing.
    """
    if sha256_of(signature.text) != signature.sha256 or signature.text != text:
        raise EditError(f"{what} was signed by {signature.name} on {signature.time}, but its text is not the signed "
                        f"one any more: it was changed outside of UVLM. Expected sha256 {signature.sha256}, found "
                        f"{sha256_of(text if signature.text != text else signature.text)}. Use an unchanged copy.")
