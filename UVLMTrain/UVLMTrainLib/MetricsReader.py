"""Follows the metrics.jsonl of a stage, a bit at a time, so that a long run never stops the window."""

import json
import os

CHUNK = 150_000  # bytes per call, some milliseconds of reading


class MetricsReader:
    """The rows of one file as they come.

    `rows`: dictionaries with "step". A resumed run writes the file anew without the steps that it repeats; that is
    noticed by a smaller file or a step that does not follow, and everything is read again. A step that is missing in
    the file itself (lines that a power cut took) is passed over.
    """

    def __init__(self, path):
        self.path = path
        self._again()

    def read(self):
        """Reads on; returns (whether something changed, whether there is more to read at once)."""
        try:
            size = os.path.getsize(self.path)
            if size < self._offset:
                self._again()
            if size == self._offset:
                return False, False
            with open(self.path, "rb") as file:
                file.seek(self._offset)
                found = file.read(CHUNK)
        except OSError:
            return False, False
        self._offset += len(found)
        lines = (self._rest + found).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            try:
                row = json.loads(line)
                step = row["step"]
            except (ValueError, KeyError, TypeError):  # cut off by a kill
                continue
            if not isinstance(row, dict) or not isinstance(step, int):
                continue
            if self.rows and step != self.rows[-1]["step"] + 1 and not self._anew:
                self._again()
                return True, True
            self.rows.append(row)
        self._anew = self._anew and self._offset < size
        return True, self._offset < size

    def _again(self):
        self.rows, self._offset, self._rest, self._anew = [], 0, b"", True


def secondsPerStep(rows, most=50):
    """Mean of the last steps; None where there is none."""
    last = [row["seconds"] for row in rows[-most:] if isinstance(row.get("seconds"), (int, float))]
    return sum(last) / len(last) if last else None


def columns(rows, validation):
    """Names of what can be drawn: parts of the loss per step, or figures of the validations."""
    names = dict.fromkeys(name for row in (rows[-1:] if not validation else rows) for name in row)
    if validation:
        return [name for name in names if name.startswith("validation_")]
    left_out = ("step", "seconds", "rate", "gradient_norm")
    return [name for name in names if name not in left_out and not name.startswith("validation_")]


def points(rows, names, most=1500):
    """(steps, {name: values}) of at most `most` points: neighbours are averaged, rows without a value left out."""
    rows = [row for row in rows if all(isinstance(row.get(name), (int, float)) for name in names)]
    width = max(1, -(-len(rows) // most))
    groups = [rows[start:start + width] for start in range(0, len(rows), width)]
    return [group[-1]["step"] for group in groups], {
        name: [sum(row[name] for row in group) / len(group) for group in groups] for name in names}
