"""The editable report (docs/report-editing.md)."""
