"""The findings as a table node, for other modules, for plots and for people who open the scene without this module."""

import vtk
from slicer.i18n import tr as _

COLUMNS = ("finding", "state", "model", "side", "probability", "threshold", "segments")


def fillTable(tableNode, report):
    """Writes the findings of an EditableReport; all columns are text, which Slicer reads back as it was."""
    titles = dict(zip(COLUMNS, (_("Finding"), _("State"), _("Model"), _("Side"), _("Probability"), _("Threshold"),
                                _("Masks")), strict=True))
    table = vtk.vtkTable()
    for key in COLUMNS:
        column = vtk.vtkStringArray()
        column.SetName(titles[key])
        for row in report.findings:
            column.InsertNextValue(_cell(row, key))
        table.AddColumn(column)
    tableNode.SetAndObserveTable(table)


def _cell(row, key):
    if key == "finding":
        return row["name"]
    if key == "state":
        return row["state"]
    if key == "model":
        return row["generated_state"]
    if key == "segments":
        return ", ".join(row["segments"])
    value = row.get(key)
    return f"{value:.3f}" if isinstance(value, float) else (value or "")
