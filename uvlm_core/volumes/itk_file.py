"""Reading NRRD and MetaImage with SimpleITK."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from uvlm_core.errors import VolumeError
from uvlm_core.volumes.values import narrowed
from uvlm_core.volumes.volume import Volume

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_itk_file(path: Path) -> Volume:
    """A 3-D .nrrd, .nhdr, .mha or .mhd file as a Volume.

    Raises:
        VolumeError: damaged, colour, several frames, a single slice, no geometry, values that are not numbers.
    """
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        _refuse_other_kinds(reader, path.name)
        image = reader.Execute()
    except RuntimeError as error:
        raise VolumeError(f"{path.name} is damaged, cut off or not of the kind its name says "
                          f"({_last_words(error)}). Copy or export the file again.") from error
    array = SimpleITK.GetArrayViewFromImage(image)
    while array.ndim > 3:
        array = array[0]  # frames of length one; more were refused above
    try:
        values = narrowed(np.array(array))
    except VolumeError as error:
        raise VolumeError(f"{path.name}: {error}") from error
    return Volume(values, _matrix(image), path.name, {"source": str(path), "format": path.suffix[1:].upper(),
                                                      "notes": _notes(reader, path)})


def _refuse_other_kinds(reader, name: str) -> None:
    size = reader.GetSize()
    if reader.GetNumberOfComponents() > 1:
        raise VolumeError(f"{name} has {reader.GetNumberOfComponents()} values per voxel (a colour image, a vector "
                          "field or several frames); a CT has one HU value. Choose the scan itself.")
    if any(count > 1 for count in size[3:]):
        raise VolumeError(f"{name} has {size[3]} frames (4-D); one CT volume is expected. Split the series and choose "
                          "one time point, for example in 3D Slicer.")
    if len(size) < 3:
        raise VolumeError(f"{name} has the size {' x '.join(map(str, size))}; a CT volume has three dimensions. "
                          "Choose the whole series instead of a single slice.")


def _matrix(image) -> np.ndarray:
    """ijk_to_ras from ITK's LPS geometry."""
    dimension = image.GetDimension()
    direction = np.array(image.GetDirection()).reshape(dimension, dimension)[:3, :3]
    matrix = np.eye(4)
    matrix[:3, :3] = direction * np.array(image.GetSpacing()[:3])
    matrix[:3, 3] = image.GetOrigin()[:3]
    return LPS_TO_RAS @ matrix


def _notes(reader, path: Path) -> list[str]:
    if path.suffix in (".nrrd", ".nhdr") and "NRRD_space" not in reader.GetMetaDataKeys():
        return ["The file does not say which way its axes run; they were taken as left, posterior, superior. "
                "Check left and right."]
    return []


def _last_words(error: RuntimeError) -> str:
    """ITK's own reason without its source file names."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "0x" not in line]
    words = (lines or [str(error)])[-1]
    if words.startswith("Reason:"):  # MetaImage reports the last system error, which need not be the cause
        return "its voxels are missing or end too early"
    if ".cxx" in words or "Unable to determine ImageIO" in words:
        return "its first bytes are those of another kind of file"
    return words.split("ERROR:")[-1].strip().rstrip(".")[:160]
