"""The report as a file: HTML, text, PDF, and the whole study folder, each with the notice and the provenance.

    exportHtml(study, path), exportText(study, path), exportPdf(study, path): write beside, then rename; return the path
    exporting(study, folder) -> generator for InSteps: the study folder with the corrected masks, returns the path
"""
