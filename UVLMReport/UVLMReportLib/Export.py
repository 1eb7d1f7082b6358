"""The report as a file: HTML, text, PDF, and the whole study folder, each with the notice and the provenance."""

import os

import qt
from slicer.i18n import tr as _

from UVLMReportLib import TrainingCases
from UVLMReportLib.WorkerClient import WorkerFailure


def exportHtml(study, path):
    """Writes the report as one page without network; returns the path."""
    return _replace(path, lambda beside: _writeText(beside, study.report.to_html()))


def exportText(study, path):
    """Writes the report as plain text; returns the path."""
    return _replace(path, lambda beside: _writeText(beside, study.report.to_text()))


def exportPdf(study, path):
    """Prints the report into a PDF (A4, Qt's own choice); returns the path."""
    document = qt.QTextDocument()
    document.setHtml(study.report.to_html())

    def write(beside):
        document.print(qt.QPdfWriter(beside))

    return _replace(path, write)


def exportStudy(logic, study, folder, done, failed):
    """Starts to write a study folder (docs/study-schema.md) with the corrected masks and the text as it stands.

    Args:
        folder: an empty or new folder, or an earlier study, which is replaced at the end.
        done: called with the path. failed: with a WorkerFailure; nothing half-written stays.
    """
    def params(prepared):
        from uvlm_core.report.edited_study import edited_content

        files = {name: prepared[name] for name in ("volume", "labels", "attribution")}
        return {**files, "out": os.path.abspath(folder), "content": edited_content(study.content, study.report)}

    TrainingCases.send(logic, study, "export_study", params, lambda result: done(result["study"]), failed)


def _writeText(path, text):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)


def _replace(path, write):
    """Has a file written beside its place, then renamed, so that a half-written one is never seen.

    Raises:
        WorkerFailure: it cannot be written; the reason and what to do are in it.
    """
    path = os.path.abspath(path)
    root, ending = os.path.splitext(path)
    beside = f"{root}.writing-{os.getpid()}{ending}"
    try:
        write(beside)
        if not os.path.exists(beside) or os.path.getsize(beside) == 0:
            raise OSError(_("nothing could be written"))
        os.replace(beside, path)
    except OSError as error:
        raise WorkerFailure(_("{path} cannot be written: {reason}. Choose a folder where you may write, on a disk with "
                              "space.").format(path=path, reason=error.strerror or error), "input") from error
    finally:
        if os.path.exists(beside):
            os.remove(beside)
    return path
