"""A study: everything about one run, in memory and as one folder (docs/study-schema.md)."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from uvlm_core.errors import StudyError
from uvlm_core.inference.composing import Attribution
from uvlm_core.inference.study_folder import SCHEMA, is_study
from uvlm_core.report.page import write_page
from uvlm_core.report.plain_text import plain_text
from uvlm_core.volumes.volume import Volume

ZIP_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Study:
    """`content` is study.json; `labels` (Z, Y, X) uint8 on the scan's own grid; `attribution` None where the model
    writes no text; `run` (run.json) holds times, the only thing that differs between two runs; `folder` its place."""

    content: dict
    labels: np.ndarray
    attribution: Attribution | None = None
    run: dict = field(default_factory=dict)
    folder: Path | None = None

    @property
    def findings(self) -> list[dict]:
        return self.content["findings"]

    @property
    def segments(self) -> list[dict]:
        return self.content["segments"]

    @property
    def sentences(self) -> list[dict]:
        """All sentences of the report in reading order."""
        return [sentence for section in self.content["report"]["sections"] for sentence in section["sentences"]]


def write_study(folder: Path, study: Study, volume: Volume) -> None:
    """Writes all files but run.json into an existing folder; equal studies give equal bytes.

    Args:
        volume: the scan, for geometry and pictures.
    """
    from uvlm_core.volumes.writing import write_labelmap

    write_json(folder / "study.json", study.content)
    write_labelmap(folder / "segmentation.nii.gz", study.labels, volume)
    _write_attribution(folder / "attribution.npz", study.attribution)
    (folder / "report.txt").write_text(plain_text(study.content), encoding="utf-8", newline="\n")
    write_page(folder / "report.html", study.content, volume.array, study.labels)


def write_json(path: Path, values: dict) -> None:
    """Indented JSON, ASCII, one line break at the end."""
    path.write_text(json.dumps(values, indent=1, ensure_ascii=True) + "\n", encoding="utf-8", newline="\n")


def _write_attribution(path: Path, attribution: Attribution | None) -> None:
    """An .npz with fixed dates, because numpy's own would differ from run to run."""
    if attribution is None:
        attribution = Attribution(np.zeros((0, 0, 0, 0, 0), np.float16), [], [], np.eye(4))
    arrays = {"maps": attribution.maps, "sentence_ids": np.array(attribution.sentence_ids, np.str_),
              "stages": np.array(attribution.stages, np.int64), "ijk_to_ras": attribution.ijk_to_ras}
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            stream = io.BytesIO()
            np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", ZIP_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, stream.getvalue(), compresslevel=6)


def read_study(folder: str | Path) -> Study:
    """A study from its folder.

    Raises:
        StudyError: it is none, is of another version, or a file is missing or damaged.
    """
    folder = Path(folder)
    if not is_study(folder):
        raise StudyError(f"{folder} is not a study of UVLM: a folder with a study.json of the schema {SCHEMA} is "
                         "expected.")
    content = json.loads((folder / "study.json").read_text("utf-8"))
    if content["schema"] != SCHEMA:
        raise StudyError(f"{folder} has the schema {content['schema']}, this version reads {SCHEMA}. "
                         "Make the study again, or use the version of UVLM that made it.")
    try:
        import nibabel

        image = nibabel.load(folder / "segmentation.nii.gz")
        labels = np.asarray(image.dataobj, dtype=np.uint8).transpose()
        with np.load(folder / "attribution.npz", allow_pickle=False) as arrays:
            attribution = Attribution(arrays["maps"], arrays["sentence_ids"].tolist(), arrays["stages"].tolist(),
                                      arrays["ijk_to_ras"])
        run = folder / "run.json"
        times = json.loads(run.read_text("utf-8")) if run.exists() else {}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, nibabel.filebasedimages.ImageFileError) as error:
        raise StudyError(f"The study in {folder} is damaged or incomplete: {error}. Make it again.") from error
    return Study(content, labels, attribution if attribution.sentence_ids else None, times, folder)
