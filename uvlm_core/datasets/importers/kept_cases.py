"""Cases that UVLMReport's users kept: corrected masks, signed text. The layout is in docs/datasets.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from uvlm_core.datasets.layout import ImportOptions, as_case_id, read_json
from uvlm_core.datasets.problems import Problem
from uvlm_core.datasets.table import Case
from uvlm_core.errors import CaseError
from uvlm_core.labels import finding_named, findings
from uvlm_core.report.document import split_sentences
from uvlm_core.report.labeler import label_report, label_sentence

KIND, TITLE = "kept-cases", "UVLMReport's kept cases"
SCHEMA = "uvlm-kept-case/1"
STATES = {"present": 1, "absent": 0}


def clues(folder: Path) -> list[str]:
    """Why the folder holds kept cases."""
    found = [path for path in sorted(folder.glob("*/case.json")) if SCHEMA in path.read_text("utf-8", errors="replace")]
    return [f"{len(found)} folders have a case.json of UVLMReport"] if found else []


def cases(folder: Path, options: ImportOptions) -> Iterator[Case | Problem]:
    """Every complete case folder."""
    count = 0
    for path in sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
        if (path / "case.json").exists():
            count += 1
            yield from _case(path, options)
        elif (path / "image.nii.gz").exists():
            count += 1
            yield Problem("error", as_case_id(path.name), "incomplete",
                          "it has no case.json: keeping it was interrupted", f"{path.name}/case.json",
                          "Keep the case again, or leave it out with --on-error skip.")
    if not count:
        raise CaseError(f"{folder} has no kept cases. Choose the folder that UVLMReport keeps training cases in.")


def _case(path: Path, options: ImportOptions) -> Iterator[Case | Problem]:
    name = as_case_id(path.name)
    try:
        content, report = read_json(path / "case.json"), read_json(path / "report.json")
        if content.get("schema") != SCHEMA:
            raise CaseError(f"case.json has the schema '{content.get('schema')}'; '{SCHEMA}' is read.")
        names = {int(value): str(label) for value, label in content["labels"].items()}
    except (CaseError, KeyError, ValueError, AttributeError) as error:
        text = str(error) if isinstance(error, CaseError) else f"case.json lacks or garbles its labels ({error!r})"
        yield Problem("error", name, "unreadable", text, f"{path.name}/case.json",
                      "Leave it out with --on-error skip.")
        return
    case = Case(name, f"{path.name}/image.nii.gz", str(content.get("patient") or ""),
                labels=f"{path.name}/labels_corrected.nii.gz", label_names=names,
                known_labels=content.get("reviewed_labels"), report=_text(report, options.drafts))
    for file in (case.image, case.labels):
        if not (path.parent / file).exists():
            yield Problem("error", name, "no file", "a file of it is missing", file,
                          "Leave it out with --on-error skip.")
            return
    if not case.report:
        yield Problem("warning", name, "no report", "it has no signed text" if not options.drafts else "it has no text",
                      advice="" if options.drafts else "Take unsigned texts too with --drafts.")
    case.findings = _findings(report, case.report)
    case.extra = {"state": str(report.get("state", ""))}
    yield case


def _text(report: dict, drafts: bool) -> str:
    """Without the lines about the field of view: they are made by rule, a model is not to learn them."""
    text = str(report.get("signed") or (report.get("edited") if drafts else "") or "")
    return "\n".join(line for line in text.splitlines() if not line.startswith("Field of view:")).strip()


def _findings(report: dict, text: str) -> dict[str, int]:
    """What the reader stated, then what the text says; a guess of the model alone stays unknown."""
    known = {finding.name for finding in findings()}
    stated = {row["name"]: STATES[row["state"]] for row in report.get("findings", [])
              if row.get("by") == "user" and row.get("state") in STATES and row.get("name") in known}
    if not text:
        return stated
    said, mentioned = label_report(text), _mentioned(text)
    return {name: value for name, value in said.items() if name in mentioned and finding_named(name)} | stated


def _mentioned(text: str) -> set[str]:
    return {mention.finding for begin, end in split_sentences(text) for mention in label_sentence(text[begin:end])
            if mention.state != "uncertain"}
