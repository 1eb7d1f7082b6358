"""What scan, masks and model say, beside the text: the one place where rows of study.json become what checks need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from uvlm_core.errors import EditError
from uvlm_core.labels import finding_named, findings, regions
from uvlm_core.report.editing.rows import Overrule
from uvlm_core.report.segments import Segment, side_of


@dataclass(frozen=True)
class OfferRow:
    """A new mask that a sentence is offered for."""

    id: str
    segment: str
    finding: str


@dataclass(frozen=True)
class Facts:
    """Rows of study.json, and what has happened to the masks since.

    `segments` and `measurements` by id; `gone`: title of each mask that was removed, by id, `gone_labels`: its
    label; `finding_of`: what the reader said a drawn mask shows; `flags` are those of another checker.
    """

    findings: tuple[dict, ...] = ()
    segments: dict[str, dict] = field(default_factory=dict)
    measurements: dict[str, dict] = field(default_factory=dict)
    imaged: tuple[str, ...] = ()
    gone: dict[str, str] = field(default_factory=dict)
    finding_of: dict[str, str] = field(default_factory=dict)
    offers: tuple[OfferRow, ...] = ()
    flags: tuple[dict, ...] = ()
    gone_labels: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def of_study(content: Mapping) -> Facts:
        """The facts of study.json."""
        imaged = tuple(row["name"] for row in content["regions"] if row["coverage"] != "not imaged")
        return Facts(tuple(content["findings"]), {row["id"]: row for row in content["segments"]},
                     {row["id"]: row for row in content["measurements"]}, imaged)

    def values(self) -> dict[str, dict[str, float]]:
        """Segment id -> quantity -> value."""
        table: dict[str, dict[str, float]] = {name: {} for name in self.segments}
        for row in self.measurements.values():
            if row["segment"] in table:
                table[row["segment"]][row["name"]] = row["value"]
        return table

    def labels(self) -> dict[str, str]:
        """Segment id -> name of its label."""
        return {name: row["name"] for name, row in self.segments.items()}

    def shows_another(self, name: str, label: str, finding: str | None) -> bool:
        """True where a removed mask had this id, and another label or finding."""
        told = self.finding_of.get(name)
        return name in self.gone and (self.gone_labels.get(name, label) != label
                                      or (told is not None and finding is not None and told != finding))

    def without(self, name: str) -> Facts:
        """The facts without a mask, whose title and label are remembered."""
        segments = {other: row for other, row in self.segments.items() if other != name}
        measurements = {key: row for key, row in self.measurements.items() if row["segment"] != name}
        row = self.segments[name]
        return replace(self, segments=segments, measurements=measurements, gone={**self.gone, name: row["title"]},
                       gone_labels={**self.gone_labels, name: row["name"]})

    def with_gone_renamed(self, old: str, new: str) -> Facts:
        """The facts with another id for a removed mask: its own is free for another one."""
        gone, labels, told = ({new if name == old else name: value for name, value in table.items()}
                              for table in (self.gone, self.gone_labels, self.finding_of))
        return replace(self, gone=gone, gone_labels=labels, finding_of=told)

    def measured_segments(self) -> list[Segment]:
        """The masks as links and checks take them."""
        values = self.values()
        return [_segment(row, values[name]) for name, row in self.segments.items()]

    def of_finding(self, name: str) -> list[str]:
        """Ids of the masks that show a finding."""
        label = finding_named(name).label
        return [segment for segment, row in self.segments.items()
                if self.finding_of.get(segment) == name
                or (segment not in self.finding_of and label is not None and row["name"] == label)]

    def finding_rows(self, overrules: Mapping[str, Overrule]) -> list[dict]:
        """The findings with the reader's word and the masks as they are now (docs/report-editing.md)."""
        measured = {segment.id: segment for segment in self.measured_segments()}
        rows = []
        for row in self.findings:
            own = self.of_finding(row["name"])
            told = overrules.get(row["name"])
            state = told.state if told else row["state"]
            present = row["present"] if not told else {"present": True, "absent": False, "uncertain": row["present"]}[
                told.state]
            side = side_of([measured[name] for name in own]) if finding_named(row["name"]).lateralised else None
            rows.append({**row, "state": state, "present": present, "segments": own, "side": side,
                         "by": "user" if told else "model", "generated_state": row["state"]})
        return rows


def _segment(row: Mapping, values: Mapping[str, float]) -> Segment:
    return Segment(row["id"], row["name"], row["volume_ml"], values.get("mean_hu", 0.0),
                   tuple(row["centroid_ras_mm"]), tuple(map(tuple, row["bbox_ras_mm"])), row["side"], row["place"],
                   values.get("longest_diameter"), values.get("short_axis"))


_SEGMENT_PARTS = ("id", "name", "title", "kind", "side", "place", "volume_ml", "centroid_ras_mm", "bbox_ras_mm")
_MEASUREMENT_PARTS = ("id", "segment", "name", "value", "unit")


def checked_segments(rows: Iterable[Mapping]) -> dict[str, dict]:
    """Rows of segments by id.

    Raises:
        EditError: a row lacks something that study.json has.
    """
    return _checked(rows, _SEGMENT_PARTS, "segment")


def checked_measurements(rows: Iterable[Mapping], segments: Mapping[str, Mapping]) -> dict[str, dict]:
    """Rows of measurements by id.

    Raises:
        EditError: a row lacks something, measures an unknown segment, or its value is no number.
    """
    table = _checked(rows, _MEASUREMENT_PARTS, "measurement")
    for row in table.values():
        if row["segment"] not in segments:
            raise EditError(f"The measurement {row['id']} is of the segment {row['segment']}, which the report does "
                            "not have. Add the segment first.")
        if isinstance(row["value"], bool) or not isinstance(row["value"], int | float):
            raise EditError(f"The measurement {row['id']} should be a number, but is {row['value']!r}.")
    return table


def _checked(rows, parts: Sequence[str], what: str) -> dict[str, dict]:
    table = {}
    for row in rows:
        missing = [part for part in parts if part not in row]
        if missing:
            raise EditError(f"A row of a {what} lacks {', '.join(missing)}; rows as in study.json are expected.")
        table[row["id"]] = dict(row)
    return table


def checked_finding(name: str) -> str:
    """The name itself. Raises EditError for one that is not among the findings."""
    known = [finding.name for finding in findings()]
    if name not in known:
        raise EditError(f"There is no finding {name!r}. Known are: {', '.join(known)}.")
    return name


def section_title(name: str) -> str | None:
    """The title of a region, of "other", "field_of_view" or "impression"; None for other names."""
    return SECTION_TITLES.get(name)


SECTION_TITLES = {**regions(), "other": "Other findings", "field_of_view": "Field of view", "impression": "Impression"}
