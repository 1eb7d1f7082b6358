"""A study for other programs: DICOM segmentation, DICOM measurements, FHIR report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from uvlm_core.errors import StudyError

SEGMENTATION, MEASUREMENTS, REPORT = "segmentation.dcm", "measurements.dcm", "report.fhir.json"


def export_study(study: str | Path, series_folder: str | Path, out: str | Path, series: str | None = None,
                 edited: str | Path | None = None, notify: Callable[[str], None] = lambda text: None) -> list[Path]:
    """Writes the three files into `out` and gives their paths; all of them or none.

    Args:
        study: a study folder.
        series_folder: DICOM files of the scan that the study was made of.
        series: SeriesInstanceUID or number, where the folder holds several.
        edited: JSON of the edited report (UVLMReport), whose text and findings go into the FHIR report.
        notify: gets sentences that the user should know.

    Raises:
        StudyError: no study, highdicom is missing, the study was not made of this series, or a mask is not the one that
            its row was measured of.
        VolumeError: no CT series.
        EditError: the edited report cannot be read, or is of another scan.
    """
    import numpy as np

    from uvlm_core.inference.segment_map import segment_map
    from uvlm_core.inference.study import read_study
    from uvlm_core.report.fhir import diagnostic_report

    made = read_study(study)
    if not made.segments:
        raise StudyError(f"The study {Path(study).name} has no masks; there is nothing to export as DICOM.")
    report = _edited(edited, made.content)
    numbers = segment_map(made.labels, made.segments, np.array(made.content["scan"]["ijk_to_ras"], float))
    source, objects = _dicom_objects(made, series_folder, series, notify, numbers)
    first = source.images[0]
    patient = {"id": str(first.PatientID), "name": str(first.PatientName), "study_uid": str(first.StudyInstanceUID)}
    text = json.dumps(diagnostic_report(made.content, report, patient), indent=1) + "\n"
    return _write(Path(out), objects, text)


def _dicom_objects(made, series_folder, series, notify, numbers) -> tuple:
    try:
        from uvlm_core.report.dicom_measurements import measurement_report
        from uvlm_core.report.dicom_segmentation import segmentation
        from uvlm_core.report.dicom_source import on_frames, read_source
    except ModuleNotFoundError as error:
        raise StudyError(f"The Python package {error.name} is missing, which writes DICOM. Install it with: "
                         "pip install 'slicer-uvlm[dicom]'") from error
    import numpy as np

    source = read_source(series_folder, series, notify)
    matrix = np.array(made.content["scan"]["ijk_to_ras"], float)
    masks = segmentation(source, on_frames(numbers, matrix, source), made.segments, made.content["provenance"])
    return source, {SEGMENTATION: masks, MEASUREMENTS: measurement_report(source, masks, made.content)}


def _edited(path: str | Path | None, content: dict):
    from uvlm_core.errors import EditError
    from uvlm_core.report.editing import EditableReport

    if path is None:
        return None
    try:
        report = EditableReport.from_json(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise EditError(f"{path} cannot be read: {error}.") from error
    if report.scan["sha256"] != content["scan"]["sha256"]:
        raise EditError(f"{Path(path).name} is the report of another scan ({report.scan['name']}) than the study "
                        f"({content['scan']['name']}).")
    return report


def _write(out: Path, objects: dict, report: str) -> list[Path]:
    """All files, or an error and none of them."""
    partial = {name: out / f".{name}.partial" for name in (*objects, REPORT)}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, data in objects.items():
            data.save_as(partial[name])
        partial[REPORT].write_text(report, encoding="utf-8", newline="\n")
        return [path.replace(out / name) for name, path in partial.items()]
    except OSError as error:
        raise StudyError(f"The export cannot be written to {out}: {error.strerror or error}. Check the disk and the "
                         "rights of the folder.") from error
    finally:
        for path in partial.values():
            path.unlink(missing_ok=True)
