"""The quick jobs after an edit: `measure` for masks, `check` for text, findings and masks together."""

from __future__ import annotations

from uvlm_core.worker import params as check
from uvlm_core.worker.jobs import Job
from uvlm_core.worker.params import Field, read_params, wrong

STATES = ("present", "absent", "uncertain", "not imaged", "not assessed")


def _label(value: object, field: str) -> str:
    """Name of a label of labels.json."""
    from uvlm_core.labels import labels

    if value not in {label.name for label in labels()}:
        raise wrong(field, "the name of a label of labels.json", value)
    return value


def _finding(value: object, field: str) -> str:
    """Name of a finding of findings.json."""
    from uvlm_core.labels import findings

    if value not in {finding.name for finding in findings()}:
        raise wrong(field, "the name of a finding of findings.json", value)
    return value


CUTOUT = check.record(id=Field(check.text), label=Field(_label), mask=Field(check.path), image=Field(check.path),
                      ijk_to_ras=Field(check.matrix), title=Field(check.or_null(check.text), None),
                      cut_by_border=Field(check.boolean, False))
CONTEXT = check.record(labels=Field(check.path), ijk_to_ras=Field(check.matrix))
MEASURE = {"segments": Field(check.list_of(CUTOUT)), "context": Field(check.or_null(CONTEXT), None)}

SENTENCE = check.row_with(id=Field(check.text), text=Field(check.any_text))
SECTION = check.row_with(name=Field(check.text), sentences=Field(check.list_of(SENTENCE)))
REPORT = check.row_with(sections=Field(check.list_of(SECTION)))
FINDING = check.row_with(name=Field(_finding), probability=Field(check.number), threshold=Field(check.number),
                         state=Field(check.one_of(*STATES)))
SEGMENT = check.row_with(id=Field(check.text), name=Field(_label),
                         side=Field(check.or_null(check.one_of("left", "right")), None),
                         place=Field(check.or_null(check.text), None))
MEASUREMENT = check.row_with(segment=Field(check.text), name=Field(check.text), value=Field(check.number))
CHECK = {"report": Field(REPORT), "findings": Field(check.list_of(FINDING)), "segments": Field(check.list_of(SEGMENT)),
         "measurements": Field(check.list_of(MEASUREMENT), []), "imaged": Field(check.list_of(check.text)),
         "has_prior": Field(check.boolean, False)}


def read_check(params: object) -> dict:
    """The fields of `check`. Raises Refusal."""
    values = read_params(params, CHECK)
    seen: set[str] = set()
    for section in values["report"]["sections"]:
        for sentence in section["sentences"]:
            if sentence["id"] in seen:
                raise wrong("report.sections", "sentences with ids of their own", f"'{sentence['id']}' twice")
            seen.add(sentence["id"])
    return values


def measure(values: dict, job: Job) -> dict:
    """Rows of `segments` and `measurements` for cut-out masks; raises VolumeError."""
    from uvlm_core.inference.content import measurement_row
    from uvlm_core.inference.progress import Monitor
    from uvlm_core.labels import label_named
    from uvlm_core.report.cutouts import ratio_with

    monitor = Monitor(job.progress, job.cancelled)
    rows, measurements, empty, parts, ratio = [], [], [], {}, None
    with monitor.stage("measure", len(values["segments"])):
        context = _context(values["context"])
        for done, fields in enumerate(values["segments"], 1):
            mask, found = _measured(fields, context)
            if found is None:
                empty.append(fields["id"])
            else:
                rows.append(found["segment"])
                measurements += found["measurements"]
                parts[fields["id"]] = found["parts"]
                if context is not None:
                    ratio = ratio_with(label_named(fields["label"]), mask, found["matrix"], context) or ratio
            monitor.tell(done, len(values["segments"]))
            monitor.check()
    if ratio is not None:
        measurements.append(measurement_row("heart", "cardiothoracic_ratio", ratio))
    return {"segments": rows, "measurements": measurements, "empty": empty, "parts": parts}


def _context(fields: dict | None):
    import numpy as np

    from uvlm_core.report.cutouts import Context
    from uvlm_core.worker.volume_files import open_labels

    return None if fields is None else Context(open_labels(fields["labels"]), np.array(fields["ijk_to_ras"]))


def _measured(fields: dict, context) -> tuple:
    """(mask, what was measured), the second None for an empty mask."""
    import numpy as np

    from uvlm_core.errors import VolumeError
    from uvlm_core.inference.content import measurement_rows, segment_rows
    from uvlm_core.labels import label_named
    from uvlm_core.report.cutouts import count_parts, measure_cutout
    from uvlm_core.volumes.volume import Volume
    from uvlm_core.worker.volume_files import hounsfield, open_array, open_mask

    mask, name = open_mask(fields["mask"]), fields["id"]
    if not mask.any():
        return mask, None
    volume = Volume(hounsfield(open_array(fields["image"], f"image of '{name}'"), f"image of '{name}'"),
                    np.array(fields["ijk_to_ras"]))
    if volume.shape != mask.shape:
        raise VolumeError(f"The mask of '{name}' has {mask.shape} voxels (z, y, x), its image {volume.shape}; they "
                          "must be cut out alike.")
    label = label_named(fields["label"])
    segment = measure_cutout(name, label, mask, volume.array, volume.ijk_to_ras, context)
    cut = None if context is None else context.reaches_border(mask, volume.ijk_to_ras)
    cut = fields["cut_by_border"] if cut is None else cut
    row = segment_rows([segment], {label.name} if cut else set())[0]
    number = name.rsplit("_", 1)[-1]
    row["title"] = fields["title"] or (f"{label.title} {number}" if label.kind == "lesion" and number.isdigit()
                                       else label.title)
    return mask, {"segment": row, "measurements": measurement_rows(segment), "parts": count_parts(mask),
                  "matrix": volume.ijk_to_ras}


def check_edited(values: dict, job: Job) -> dict:
    """Fresh links and flags of an edited report."""
    from uvlm_core.inference.progress import Monitor
    from uvlm_core.report.recheck import recheck, segments_of_rows

    with Monitor(job.progress, job.cancelled).stage("check"):
        segments = segments_of_rows(values["segments"], values["measurements"])
        return recheck(values["report"]["sections"], values["findings"], segments, values["imaged"],
                       values["has_prior"])
