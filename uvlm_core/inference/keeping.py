"""A study that its reader has corrected, written to disk: as a training case, or as a study folder again."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

from uvlm_core.errors import CaseError, StudyError
from uvlm_core.inference.composing import Attribution
from uvlm_core.inference.study import Study, write_json, write_study
from uvlm_core.inference.study_folder import writing
from uvlm_core.volumes.volume import Volume
from uvlm_core.volumes.writing import write_labelmap, write_volume


def keep_case(out: str | Path, volume: Volume, labels: np.ndarray, original: str | Path, report: dict,
              case: dict) -> Path:
    """Writes one kept case (docs/datasets.md); the folder appears when it is complete.

    Args:
        out: the new folder; its parent is made if needed.
        labels: (Z, Y, X) the corrected label map on the volume's grid.
        original: the study's own segmentation.nii.gz, copied byte for byte.
        report, case: contents of report.json and case.json.

    Raises:
        CaseError: the folder exists already, or cannot be written.
        VolumeError: the label map does not fit the volume.
    """
    out = Path(out)
    beside = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists():
            raise CaseError(f"{out} exists already; a kept case is never overwritten. Keep it once more: it gets a new "
                            "name.")
        beside = Path(tempfile.mkdtemp(prefix=f".{out.name}.writing-", dir=out.parent))
        write_volume(beside / "image.nii.gz", volume)
        write_labelmap(beside / "labels_corrected.nii.gz", labels, volume)
        shutil.copyfile(original, beside / "labels_original.nii.gz")
        write_json(beside / "report.json", report)
        write_json(beside / "case.json", case)
        beside.chmod(0o755)  # mkdtemp made it private
        os.rename(beside, out)
    except OSError as error:
        raise CaseError(f"The case cannot be written to {out}: {error.strerror or error}. Choose a folder on a disk "
                        "with space where you may write.") from error
    finally:
        if beside is not None:
            shutil.rmtree(beside, ignore_errors=True)
    return out


def export_study(out: str | Path, volume: Volume, labels: np.ndarray, content: dict,
                 attribution: str | Path | None) -> Path:
    """Writes a complete study folder (docs/study-schema.md) of a corrected study; it appears when it is complete.

    Args:
        labels: (Z, Y, X) the corrected label map on the volume's grid.
        content: of study.json, with the text and the measurements as they stand.
        attribution: the study's own attribution.npz; None without.

    Raises:
        StudyError: there is something else at that place, or it cannot be written.
    """
    maps = None
    if attribution is not None:
        try:
            with np.load(attribution, allow_pickle=False) as arrays:
                maps = Attribution(arrays["maps"], arrays["sentence_ids"].tolist(), arrays["stages"].tolist(),
                                   arrays["ijk_to_ras"])
        except (OSError, ValueError, KeyError) as error:
            raise StudyError(f"The attribution in {attribution} cannot be read: {error}.") from error
    with writing(out) as folder:
        write_study(folder, Study(content, labels, maps), volume)
    return Path(out)
