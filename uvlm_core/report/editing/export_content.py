"""What every export of an edited report says about its state, in words."""

from __future__ import annotations

from uvlm_core.report.editing.differences import ADDED, REMOVED
from uvlm_core.report.editing.rows import FINDING

_MASKS = {"measure_masks": "changed", "remove_mask": "removed", "add_mask": "added"}


def status_lines(report) -> list[str]:
    """Draft or signed, by whom and when, what was changed since the model wrote it, and masks since the signature."""
    kinds = [row.kind for row in report.differences()]
    counts = [f"{kinds.count(kind)} {kind}" for kind in ("changed", ADDED, REMOVED) if kind in kinds]
    edited = f"Sentences since the model wrote the text: {', '.join(counts)}." if counts else \
        "The text is as the model wrote it."
    if report.signature is None:
        return ["Draft, not signed.", edited]
    signed = report.signature
    lines = [f"Signed by {signed.name} on {signed.time}. sha256 of the signed text: {signed.sha256}.", edited]
    since = list(dict.fromkeys(_MASKS[change.kind] for change in report.changes[_signed_at(report):]
                               if change.kind in _MASKS))
    if since:
        lines.append(f"Masks were {' and '.join(since)} after the report was signed.")
    if told := _told_since(report):
        lines.append(f"Set by the reader after the report was signed: {', '.join(told)}.")
    return lines


def _signed_at(report) -> int:
    return next(change.number for change in report.changes if change.kind == "sign")


def _told_since(report) -> list[str]:
    """Findings of which the reader says something else now than when the report was signed."""
    before = {}
    for change in report.changes[_signed_at(report):]:
        for key, pair in (change.patch or {}).items():
            if key.startswith(FINDING):
                before.setdefault(key[len(FINDING):], pair[0].state if pair[0] else None)
    now = {row["name"]: row["state"] for row in report.findings if row["by"] == "user"}
    return [name for name, state in before.items() if now.get(name) != state]


def addendum_line(addendum) -> str:
    """Who wrote an addendum and when."""
    if addendum.signature is None:
        return f"By {addendum.author}, begun {addendum.started}, not signed."
    signed = addendum.signature
    return f"By {addendum.author}, signed by {signed.name} on {signed.time}. sha256: {signed.sha256}."


def finding_state(row: dict) -> str:
    """The state in words, with the model's where the reader has set another."""
    side = f", {row['side']}" if row["side"] and row["state"] in ("present", "uncertain") else ""
    told = f", set by the reader (model: {row['generated_state']})" if row["by"] == "user" else ""
    return row["state"] + side + told


def open_notes(report, sentence=None) -> list[str]:
    """Messages of the flags and of the fields that are not current, of a sentence or (None) of the report as a whole;
    a flag that was put aside says so."""
    flags = report.flags if sentence is None else sentence.flags
    notes = [f"{flag.message}{' (put aside by the reader)' if flag.dismissed else ''}" for flag in flags]
    for field in sentence.fields if sentence is not None else ():
        if field.state == "stale":
            notes.append(f"'{field.old}': the mask measures {field.new} now.")
        elif field.state == "lost" and not any(flag.kind == "mask_removed" for flag in flags):
            notes.append(f"'{field.old}' came from a mask that was removed.")
    return notes
