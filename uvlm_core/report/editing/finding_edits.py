"""The reader's word on findings and flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from uvlm_core.errors import EditError
from uvlm_core.report.editing.facts import checked_finding
from uvlm_core.report.editing.flags import Flag, mentions_of
from uvlm_core.report.editing.mask_edits import MaskEdits
from uvlm_core.report.editing.quick_fixes import INSERT, OVERRULE, PRIOR, REMOVE, REPLACE, QuickFix, fixes_for
from uvlm_core.report.editing.rows import DISMISSED, FINDING, SENTENCE, Overrule
from uvlm_core.report.editing.rows import PRIOR as PRIOR_CELL

STATES = ("present", "absent", "uncertain")
_FLAG_PARTS = ("kind", "message", "sentence", "finding", "expected", "found", "suggestion")


class FindingEdits(MaskEdits):
    """Overruling findings, settling flags."""

    def override_finding(self, name: str, state: str | None) -> None:
        """Sets a finding to "present", "absent" or "uncertain"; None goes back to what the model says.

        Raises:
            EditError: there is no such finding or state.
            SignedError: the report is signed.
        """
        checked_finding(name)
        if state not in (*STATES, None):
            raise EditError(f"A finding is {', '.join(STATES)} or None (as the model says), not {state!r}.")
        self._need_editable()
        rows = {row["name"]: row for row in self._finding_rows}
        if name not in rows:
            raise EditError(f"The study says nothing about {name}; its findings are {', '.join(rows)}.")
        before = rows[name]["state"]
        known = self._cells.get(FINDING + name)
        if (known.state if known else None) == state:
            return
        row = None if state is None else Overrule(state, self._now())
        self._commit("overrule_finding", name, {FINDING + name: row}, before, state or rows[name]["generated_state"])

    @property
    def has_prior(self) -> bool:
        """Whether comparisons with an earlier scan are allowed."""
        return self._cells[PRIOR_CELL]

    @has_prior.setter
    def has_prior(self, value: bool) -> None:
        self._need_editable()
        self._commit("allow_prior", None, {PRIOR_CELL: bool(value)}, str(self.has_prior), str(bool(value)))

    # ---- flags

    def quick_fixes(self, sentence_id: str | None, flag_index: int) -> list[QuickFix]:
        """What can be done about a flag with one click.

        Args:
            sentence_id: None for a flag of the whole report.
            flag_index: its place in the flags of the sentence, or of the report.

        Raises:
            EditError: there is no such sentence or flag.
        """
        flag = self._flag(sentence_id, flag_index)
        own = self._facts.of_finding(flag.finding) if flag.finding else []
        mentions = mentions_of(self.sentence(sentence_id).text) if sentence_id is not None else ()
        return fixes_for(flag, mentions, self._segments(own))

    def quick_fix(self, sentence_id: str | None, flag_index: int, choice: int = 0) -> QuickFix:
        """Does one of `quick_fixes` and gives it.

        Raises:
            EditError: there is no such flag, or nothing to do about it with one click.
            SignedError: the report is signed.
        """
        fixes = self.quick_fixes(sentence_id, flag_index)
        if not 0 <= choice < len(fixes):
            raise EditError(f"The flag has {len(fixes)} quick fixes, but number {choice} (counted from 0) was asked "
                            "for.")
        self._need_editable(*([self.sentence(sentence_id).section] if sentence_id is not None else []))
        fix = fixes[choice]
        if fix.kind == REPLACE:
            self.edit_sentence(sentence_id, fix.text)
        elif fix.kind == REMOVE:
            self.remove_sentence(sentence_id)
        elif fix.kind == INSERT:
            self.insert_finding(fix.finding)
        elif fix.kind == OVERRULE:
            self.override_finding(fix.finding, fix.state)
        elif fix.kind == PRIOR:
            self.has_prior = True
        else:
            self._unlink(sentence_id)
        return fix

    def _unlink(self, sentence_id: str) -> None:
        """Forgets the masks of a sentence that are gone."""
        row = self._cells[SENTENCE + sentence_id]
        left = tuple(name for name in row.segments if name in self._facts.segments)
        ties = tuple(tie for tie in row.ties if tie.segment in left)
        self._commit("link_sentence", sentence_id, {SENTENCE + sentence_id: replace(row, segments=left, ties=ties)},
                     ", ".join(row.segments), ", ".join(left))

    def dismiss_flag(self, sentence_id: str | None, flag_index: int) -> None:
        """Puts a flag aside; it stays in the list, marked so. Raises EditError, SignedError."""
        flag = self._flag(sentence_id, flag_index)
        self._need_editable(*([self.sentence(sentence_id).section] if sentence_id is not None else []))
        known = self._cells[DISMISSED]
        if flag.key not in known:
            self._commit("dismiss_flag", sentence_id, {DISMISSED: (*known, flag.key)}, flag.message, None)

    def set_flags(self, rows: Sequence[Mapping]) -> None:
        """Flags of another checker, for example the worker's `check`: shown beside those of the own checks, each once,
        and forgotten where the sentence is edited. The former ones are replaced.

        Args:
            rows: flags as in study.json; `sentence` is an id, None for the report as a whole.

        Raises:
            EditError: a row is damaged or of a sentence that is not there.
        """
        flags = []
        for row in rows:
            missing = [part for part in ("kind", "message") if not isinstance(row.get(part), str)]
            if missing:
                raise EditError(f"A flag lacks {', '.join(missing)}; rows as in study.json are expected.")
            entry = {part: row.get(part) for part in _FLAG_PARTS}
            entry["text"] = None if entry["sentence"] is None else self.sentence(entry["sentence"]).text
            flags.append(entry)
        if tuple(flags) != self._facts.flags:
            self._facts = replace(self._facts, flags=tuple(flags))
            self._revision += 1

    def _flag(self, sentence_id: str | None, index: int) -> Flag:
        flags = self.flags if sentence_id is None else self.sentence(sentence_id).flags
        if not 0 <= index < len(flags):
            whose = "The report" if sentence_id is None else f"The sentence {sentence_id}"
            raise EditError(f"{whose} has {len(flags)} flags, but number {index} (counted from 0) was asked for.")
        return flags[index]
