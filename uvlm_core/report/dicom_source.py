"""The DICOM series that a study was made of: its headers, and a label map on its frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from uvlm_core.errors import StudyError
from uvlm_core.volumes.dicom_headers import scan_folder
from uvlm_core.volumes.dicom_series import choose_series
from uvlm_core.volumes.dicom_stack import stack_slices

MOST_OFF = 0.1  # voxels between a frame of the series and the study's grid
# attributes that a derived object copies and that may be empty, but not missing (DICOM PS3.3 C.7)
_MAY_BE_EMPTY = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
                 "AccessionNumber", "ReferringPhysicianName")
_NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "FrameOfReferenceUID")


@dataclass(frozen=True)
class Source:
    """`images`: headers without pixels, in the order of the stack; `ijk_to_ras` 4x4 mm of it; `shape` (slices, rows,
    columns)."""

    images: list[pydicom.Dataset]
    ijk_to_ras: np.ndarray
    shape: tuple[int, int, int]


def read_source(folder: str | Path, series: str | None, notify: Callable[[str], None]) -> Source:
    """The headers of a CT series.

    Args:
        series: SeriesInstanceUID or number; None takes the CT series with the most slices.

    Raises:
        VolumeError: no CT series that is one regular stack.
        StudyError: a header lacks what a derived object has to refer to, or the series is one multi-frame file.
    """
    folder = Path(folder)
    chosen = choose_series(scan_folder(folder), series, folder.name or str(folder), notify)
    slices, matrix = stack_slices(list(chosen.slices), folder.name, notify)
    if any(header.frame is not None for header in slices):
        raise StudyError(f"{slices[0].path.name} holds all slices in one multi-frame file; masks are exported for "
                         "series with a file per slice. Convert it to classic CT images first.")
    paths = [header.path for header in slices]
    images = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    for image, path in zip(images, paths, strict=True):
        missing = [name for name in _NEEDED if not image.get(name)]
        if missing:
            raise StudyError(f"{path.name} lacks {', '.join(missing)}, which a segmentation has to refer to. Export "
                             "the series again from where it came from.")
        for name in _MAY_BE_EMPTY:
            if name not in image:
                setattr(image, name, "")
    return Source(images, matrix, (len(slices), slices[0].rows, slices[0].columns))


def on_frames(label_map: np.ndarray, ijk_to_ras: np.ndarray, source: Source) -> np.ndarray:
    """A label map on the images of the series, in their order.

    The study's axes may run in any order and direction, and it may be a part of the series; its voxels must lie on
    those of the series.

    Args:
        label_map: (Z, Y, X) of the study.
        ijk_to_ras: 4x4, mm, of the study.

    Returns:
        (images, rows, columns), 0 where the study has nothing.

    Raises:
        StudyError: the study's voxels are not those of the series.
    """
    to_study = np.linalg.inv(ijk_to_ras) @ source.ijk_to_ras  # (i, j, k) of the series -> of the study
    whole = np.rint(to_study)
    corners = np.array([[i, j, k, 1] for i in (0, source.shape[2] - 1) for j in (0, source.shape[1] - 1)
                        for k in (0, source.shape[0] - 1)]).T
    off = float(np.abs((to_study - whole) @ corners).max())
    turned = np.abs(whole[:3, :3])
    if off > MOST_OFF or not ((turned.sum(0) == 1).all() and (turned.sum(1) == 1).all()):
        raise StudyError("The study was not made of this series: their voxels do not lie at the same places "
                         f"({_geometry(source.ijk_to_ras)} in the series, {_geometry(ijk_to_ras)} in the study). "
                         "Choose the series of the scan that was read.")
    stack = _resampled(label_map, whole, source.shape)
    if not np.count_nonzero(stack) == np.count_nonzero(label_map):
        raise StudyError("Parts of the study's masks lie outside of this series. Choose the series of the scan that "
                         "was read.")
    return stack


def _resampled(label_map: np.ndarray, whole: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Voxels by whole steps: each axis of the series runs along one axis of the study."""
    axes = [int(np.argmax(np.abs(whole[:3, axis]))) for axis in range(3)]  # of the study, for i, j, k of the series
    places = [whole[axes[axis], axis] * np.arange(shape[2 - axis]) + whole[axes[axis], 3] for axis in range(3)]
    turned = label_map.transpose([2 - axes[axis] for axis in (2, 1, 0)])  # its axes in the order k, j, i of the series
    stack = np.zeros(shape, label_map.dtype)
    inside = [(place >= 0) & (place < size) for place, size in zip(places[::-1], turned.shape, strict=True)]
    chosen = [place[keep].astype(int) for place, keep in zip(places[::-1], inside, strict=True)]
    stack[np.ix_(*inside)] = turned[np.ix_(*chosen)]
    return stack


def _geometry(matrix: np.ndarray) -> str:
    steps = np.linalg.norm(matrix[:3, :3], axis=0)
    return f"spacing {' x '.join(f'{step:.4g}' for step in steps)} mm, first voxel at " \
           f"{', '.join(f'{value:.1f}' for value in matrix[:3, 3])} mm RAS"
