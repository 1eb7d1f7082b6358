"""The editable report: everything that UVLMReport's editor does to a report (docs/report-editing.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from uvlm_core.errors import EditError
from uvlm_core.inference.study_folder import SCHEMA as STUDY_SCHEMA
from uvlm_core.report.editing import storage
from uvlm_core.report.editing.differences import SentenceDifference, Version, compare_versions
from uvlm_core.report.editing.document import new_cells
from uvlm_core.report.editing.facts import Facts
from uvlm_core.report.editing.fields import tie_generated
from uvlm_core.report.editing.flags import FIELD_OF_VIEW
from uvlm_core.report.editing.history import Clock, utc_now
from uvlm_core.report.editing.rows import SENTENCE, SectionRow, Tie, Written
from uvlm_core.report.editing.signing import Signing
from uvlm_core.report.editing.states import check_signature

VERSIONS = ("generated", "edited", "signed")


class EditableReport(Signing):
    """A report that follows its masks, is edited, checked, signed and compared.

    Made by `from_study` or `from_json`. What is read are frozen values; all changes go through methods, which raise
    EditError (or SignedError) and change nothing where they cannot be done.
    """

    @staticmethod
    def from_study(content: Mapping, clock: Clock = utc_now) -> EditableReport:
        """A draft of the report that a run has written.

        Args:
            content: what study.json holds (docs/study-schema.md).
            clock: gives the time, with a zone.

        Raises:
            EditError: it is no study of this version.
        """
        if not isinstance(content, Mapping) or content.get("schema") != STUDY_SCHEMA:
            found = content.get("schema") if isinstance(content, Mapping) else type(content).__name__
            raise EditError(f"This is not the content of a study.json: the schema {STUDY_SCHEMA} is expected, found "
                            f"{found}.")
        facts = Facts.of_study(content)
        values, labels = facts.values(), facts.labels()
        sections, rows = {}, []
        for section in content["report"]["sections"]:
            own = [_written(row, " " if number else "") for number, row in enumerate(section["sentences"])]
            rows += [_tied(row, tie_generated(row, values, labels)) for row in own]
            sections[section["name"]] = SectionRow(section["title"], tuple(row.id for row in own))
        generated = {name: {"title": row.title, "sentences": [
            {"id": entry.id, "text": entry.text} for entry in rows if entry.id in row.sentences]}
            for name, row in sections.items()}
        study = {"schema": content["schema"], "scan": dict(content["scan"]), "provenance": dict(content["provenance"]),
                 "removed": list(content["report"].get("removed", []))}
        return EditableReport(study, facts, generated, new_cells(sections, rows), clock)

    @staticmethod
    def from_json(text: str, clock: Clock = utc_now) -> EditableReport:
        """The report of `to_json`, with its history, signatures and all.

        Raises:
            EditError: it is no JSON, of another schema, damaged, or its signed text was changed.
        """
        report = storage.from_json(EditableReport, text, clock)
        if report._signature is not None:
            check_signature(report._signature, report._text_of(report._body_sections), "The report")
        elif report._addenda:
            raise EditError("The saved report is damaged: it has addenda, but was not signed.")
        for row in report._addenda:
            if row.signature is not None:
                check_signature(row.signature, report._text_of([row.section]), f"The addendum of {row.author}")
        return report

    def to_json(self) -> str:
        """The whole report in one line of ASCII, schema "uvlm-report-edit/1"; equal reports give equal texts."""
        return storage.to_json(self)

    # ---- texts and comparisons

    def text_of(self, version: str = "edited") -> str:
        """The bare text, a line per section: "generated" by the model, "edited" as it stands, or "signed", addenda
        included.

        Raises:
            EditError: there is no such version; "signed" of a draft.
        """
        self._version(version)
        if version == "generated":
            return "\n".join(f"{section['title']}: {' '.join(row['text'] for row in section['sentences'])}"
                             for section in self._generated.values() if section["sentences"])
        if version == "edited":
            return self._text_of(list(self._order))
        return "\n".join([self._signature.text, *(row.signature.text for row in self._addenda if row.signature)])

    def differences(self, before: str = "generated", after: str = "edited") -> list[SentenceDifference]:
        """Two versions compared word by word, sentence by sentence, in reading order.

        Args:
            before, after: "generated", "edited" or "signed".

        Raises:
            EditError: there is no such version; "signed" of a draft.
        """
        times = {change.target: change.time for change in self._history.changes if not change.undone}
        for change in self._history.changes:
            if not change.undone:
                times.update((key[len(SENTENCE):], change.time) for key in change.patch or () if
                             key.startswith(SENTENCE))
        generated = {row["id"]: row["text"] for section in self._generated.values() for row in section["sentences"]}
        touched = {sentence.id for sentence in self.sentences if sentence.text != generated.get(sentence.id)}
        gone = set(generated) - {sentence.id for sentence in self.sentences}
        return compare_versions(self._version(before), self._version(after),
                                {name: times.get(name) for name in touched | gone})

    def generated_title(self, section: str) -> str:
        """The title of a section that the model wrote, also of one that is no longer there. Raises KeyError."""
        return self._generated[section]["title"]

    def _version(self, name: str) -> Version:
        if name not in VERSIONS:
            raise EditError(f"There is no version {name!r} of the report. Known are: {', '.join(VERSIONS)}.")
        if name == "generated":
            return Version({key: tuple((row["id"], row["text"]) for row in section["sentences"])
                            for key, section in self._generated.items()})
        names = list(self._order)
        if name == "signed":
            if self._signature is None:
                raise EditError("The report is a draft: nothing was signed yet.")
            names = [entry for entry in names if entry not in self.editable_sections]
        return Version({entry: tuple((row.id, row.text) for row in self._rows(entry)) for entry in names})

    # ---- exports

    def to_text(self, flags: bool = True) -> str:
        """The report as plain text with state, amendments, findings, measurements, provenance and the notice."""
        from uvlm_core.report.editing.text_export import report_text

        return report_text(self, flags)

    def to_html(self, tracked: bool = False, flags: bool = True) -> str:
        """The same as one page of HTML, simple enough for a QTextDocument.

        Args:
            tracked: shows what was added and removed since the model wrote it.
        """
        from uvlm_core.report.editing.html_export import report_html

        return report_html(self, tracked, flags)


def training_text(report: EditableReport) -> dict:
    """What a kept training case says about its text and findings (`report.json` of docs/datasets.md), as plain JSON.

    Sentences about the field of view are made by rule, not written by the model: they are left out of "generated".
    """
    generated = [f"{section['title']}: {' '.join(row['text'] for row in section['sentences'])}"
                 for name, section in report._generated.items() if section["sentences"] and name != FIELD_OF_VIEW]
    edits = [{name: value for name, value in change.to_dict().items() if name != "patch"} for change in report.changes]
    return {"state": report.state, "generated": "\n".join(generated),
            "signed": None if report.signature is None else report.text_of("signed"),
            "edited": report.text_of("edited"),
            "findings": [{"name": row["name"], "state": row["state"], "by": row["by"]} for row in report.findings],
            "edits": edits}


def _tied(row: Written, ties: tuple[Tie, ...]) -> Written:
    """A sentence with live fields is linked to their masks."""
    return replace(row, ties=ties, segments=tuple(dict.fromkeys([*row.segments, *(tie.segment for tie in ties)])))


def _written(row: Mapping, lead: str) -> Written:
    """A sentence of study.json; what is made by rule (field of view) counts as generated too."""
    peak = row.get("attribution_peak_ras_mm")
    return Written(row["id"], row["text"], lead, row["text"], tuple(row["findings"]), tuple(row["segments"]),
                   attribution_peak_ras_mm=None if peak is None else tuple(peak),
                   token_log_probability=row.get("token_log_probability"),
                   grounded=tuple(dict(entry) for entry in row.get("grounded", ())))
