"""DICOM headers: which files of a folder are images, and what each slice says about itself."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path

TAGS = [
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "Modality", "SeriesDescription", "StudyDate",
    "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "AcquisitionNumber", "InstanceNumber",
    "ImagePositionPatient", "ImageOrientationPatient", "TemporalPositionIdentifier", "TemporalPositionIndex",
    "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "PixelSpacing", "BitsStored",
    "PixelPaddingValue", "RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
]


@dataclass(frozen=True)
class SliceHeader:
    """One slice: a classic DICOM file, or one frame of a multi-frame file.

    position: (3,) mm of the first pixel's centre in LPS; orientation: (6,) direction of a row, then of a column;
    spacing: mm between rows, between columns. Each is None where the file does not say it.
    """

    path: Path
    frame: int | None
    series: str
    study: str
    patient: str
    number: str
    description: str
    modality: str
    image_type: tuple[str, ...]
    instance_uid: str
    instance: int | None
    time_point: str
    rows: int
    columns: int
    samples: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    slope: float
    intercept: float
    has_rescale: bool
    rescale_type: str
    has_lut: bool
    padding: int | None
    syntax: str
    kind: str = field(repr=False)

    @property
    def is_localiser(self) -> bool:
        return "LOCALIZER" in self.image_type or "SCOUT" in self.description.upper().split()

    @property
    def label(self) -> str:
        """How messages name it."""
        number = "" if self.instance is None else f" (instance {self.instance})"
        return f"{self.path.name}{number}"


@dataclass
class FolderContents:
    """What was found under a path: slices of images, and the files that are none."""

    slices: list[SliceHeader] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    other_objects: set[str] = field(default_factory=set)  # DICOM, but no image: modality names
    other_files: list[Path] = field(default_factory=list)


def scan_folder(path: Path) -> FolderContents:
    """Headers of every DICOM image of a file or of a folder and its subfolders; nothing is opened for writing."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    found = FolderContents()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns about harmless deviations, once per file
        for file in files:
            _read_header(file, found)
    return found


def is_dicom(path: Path) -> bool:
    """Whether the file starts as DICOM does: with a preamble, or as older files with group 0002 or 0008 at once."""
    with open(path, "rb") as file:
        start = file.read(132)
    return start[128:132] == b"DICM" or (start[:2] in (b"\x02\x00", b"\x08\x00") and start[2:4] in _FIRST_ELEMENTS)


_FIRST_ELEMENTS = (b"\x00\x00", b"\x01\x00", b"\x02\x00", b"\x05\x00", b"\x08\x00", b"\x16\x00")


def _read_header(file: Path, found: FolderContents) -> None:
    import pydicom

    try:
        if not is_dicom(file):
            found.other_files.append(file)
            return
        data = pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=TAGS)
        if file.name.upper() == "DICOMDIR" or "Rows" not in data or "SOPClassUID" not in data:
            kind = str(data.get("Modality", "") or "no image")
            cut_off = file.name.upper() != "DICOMDIR" and ("SOPClassUID" not in data or kind == "CT")
            found.damaged.append(file.name) if cut_off else found.other_objects.add(kind)
            return
        found.slices.extend(_slices(data, file))
    except PermissionError:
        found.unreadable.append(file.name)
    except Exception:  # whatever pydicom raises for a damaged file: it is named, the others are still read
        found.damaged.append(file.name)


def _slices(data, file: Path) -> list[SliceHeader]:
    frames = int(data.get("NumberOfFrames", 1) or 1)
    if "PerFrameFunctionalGroupsSequence" in data:
        groups = data.PerFrameFunctionalGroupsSequence
        shared = (data.get("SharedFunctionalGroupsSequence") or [None])[0]
        return [_slice(data, file, number, _Groups(shared, group)) for number, group in enumerate(groups)]
    return [_slice(data, file, number if frames > 1 else None, _Plain(data)) for number in range(frames)]


class _Plain:
    """Where a classic file keeps its attributes: at the top."""

    def __init__(self, data):
        self.data = data

    def get(self, name: str, _sequence: str):
        return self.data.get(name)


class _Groups:
    """Where an enhanced multi-frame file keeps them: per frame, or shared by all (DICOM PS3.3 C.7.6.16)."""

    def __init__(self, shared, frame):
        self.places = [place for place in (frame, shared) if place is not None]

    def get(self, name: str, sequence: str):
        for place in self.places:
            if place.get(sequence):
                return place[sequence][0].get(name)
        return None


def _slice(data, file: Path, frame: int | None, source) -> SliceHeader:
    slope = source.get("RescaleSlope", "PixelValueTransformationSequence")
    intercept = source.get("RescaleIntercept", "PixelValueTransformationSequence")
    padding = data.get("PixelPaddingValue")
    instance = frame + 1 if frame is not None else data.get("InstanceNumber")
    time_point = data.get("TemporalPositionIdentifier") or data.get("TemporalPositionIndex") \
        or source.get("TemporalPositionIndex", "FrameContentSequence")
    return SliceHeader(
        path=file, frame=frame, series=_text(data, "SeriesInstanceUID"), study=_text(data, "StudyInstanceUID"),
        patient=_text(data, "PatientID"), number=_text(data, "SeriesNumber"),
        description=" ".join(_text(data, "SeriesDescription").split()), modality=_text(data, "Modality").upper(),
        image_type=tuple(str(part).strip().upper() for part in _many(data.get("ImageType"))),
        instance_uid=_text(data, "SOPInstanceUID"), instance=None if instance in (None, "") else int(instance),
        time_point=str(time_point or ""), rows=int(data.Rows), columns=int(data.Columns),
        samples=int(data.get("SamplesPerPixel", 1) or 1),
        position=_numbers(source.get("ImagePositionPatient", "PlanePositionSequence"), 3),
        orientation=_numbers(source.get("ImageOrientationPatient", "PlaneOrientationSequence"), 6),
        spacing=_numbers(source.get("PixelSpacing", "PixelMeasuresSequence"), 2),
        slope=1.0 if slope in (None, "") else float(slope),
        intercept=0.0 if intercept in (None, "") else float(intercept),
        has_rescale=slope not in (None, "") and intercept not in (None, ""),
        rescale_type=str(source.get("RescaleType", "PixelValueTransformationSequence") or "").strip().upper(),
        has_lut="ModalityLUTSequence" in data, padding=padding if isinstance(padding, int) else None,
        syntax=str(getattr(data.file_meta, "TransferSyntaxUID", "") or ""), kind=_text(data, "SOPClassUID"),
    )


def _text(data, name: str) -> str:
    return str(data.get(name, "") or "").strip()


def _many(value) -> list:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _numbers(value, count: int) -> tuple[float, ...] | None:
    """`count` finite numbers, or None where the attribute is missing, empty or damaged."""
    try:
        numbers = tuple(float(part) for part in _many(value))
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and all(abs(number) < 1e7 for number in numbers) else None
