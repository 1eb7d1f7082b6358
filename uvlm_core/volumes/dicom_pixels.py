"""Pixels of DICOM slices in HU, whatever decoder is installed."""

from __future__ import annotations

import warnings

import numpy as np

from uvlm_core.errors import VolumeError
from uvlm_core.volumes.dicom_headers import SliceHeader

NOT_IMAGED = -2048
DECODERS = {  # transfer syntax prefix -> what can be installed to read it
    "1.2.840.10008.1.2.4.8": "pyjpegls, or pylibjpeg with pylibjpeg-libjpeg",
    "1.2.840.10008.1.2.4.9": "pylibjpeg with pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.20": "pylibjpeg with pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.5": "python-gdcm, or pylibjpeg with pylibjpeg-libjpeg",
    "1.2.840.10008.1.2.4.6": "python-gdcm, or pylibjpeg with pylibjpeg-libjpeg",
    "1.2.840.10008.1.2.4.7": "python-gdcm, or pylibjpeg with pylibjpeg-libjpeg",
}


class PixelReader:
    """Decodes slices one by one; a multi-frame file is decoded once and kept while its frames are asked for."""

    def __init__(self):
        self._path, self._frames = None, None

    def hounsfield(self, header: SliceHeader) -> np.ndarray:
        """(rows, columns) HU, rescale slope and intercept of this very slice applied once.

        Raises:
            VolumeError: no installed decoder reads the transfer syntax, or the pixels are damaged.
        """
        if header.frame is None:
            stored, is_rescaled = _decode(header)
        else:
            if self._path != header.path:
                (self._frames, is_rescaled), self._path = _decode(header), header.path
                if is_rescaled:  # SimpleITK's rescale of several frames uses the first frame's slope for all
                    raise _not_decodable(header, "only single frames")
            stored, is_rescaled = self._frames[header.frame] if self._frames.ndim == 3 else self._frames, False
        if stored.shape != (header.rows, header.columns):
            raise VolumeError(f"{header.path.name} says {header.rows} x {header.columns} pixels but holds "
                              f"{' x '.join(map(str, stored.shape))}. The file is damaged; export the series again.")
        return stored if is_rescaled else _rescaled(stored, header)


def _rescaled(stored: np.ndarray, header: SliceHeader) -> np.ndarray:
    if header.slope.is_integer() and header.intercept.is_integer() and abs(header.slope) < 1000:
        values = stored.astype(np.int32) * int(header.slope) + int(header.intercept)
    else:
        values = (stored * header.slope + header.intercept).astype(np.float32)
    if header.padding is not None:
        padding = header.padding * header.slope + header.intercept
        if padding < -1500 or padding > 3071:  # a value that no tissue has: the filling around a circular field of view
            values[stored == header.padding] = NOT_IMAGED
    return values


def _decode(header: SliceHeader) -> tuple[np.ndarray, bool]:
    """(pixels, whether slope and intercept are already applied): pydicom first, then SimpleITK (GDCM)."""
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            data = pydicom.dcmread(header.path, force=True)
            if "TransferSyntaxUID" not in data.file_meta:
                data.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian \
                    if data.original_encoding[0] else pydicom.uid.ExplicitVRLittleEndian
            if "PixelData" not in data:
                raise VolumeError(f"{header.path.name} has no pixels; it is cut off or a header only. "
                                  "Export the series again.")
            return data.pixel_array, False
        except VolumeError:
            raise
        except Exception as error:  # pydicom raises many kinds, from missing decoders to short data
            if not pydicom.uid.UID(header.syntax).is_compressed:
                raise VolumeError(f"{header.path.name} is damaged or cut off ({_short(error)}). "
                                  "Copy or export the series again.") from error
            reason = _short(error)
    return _decode_with_itk(header, reason), True


def _decode_with_itk(header: SliceHeader, reason: str) -> np.ndarray:
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        image = SimpleITK.ReadImage(str(header.path), imageIO="GDCMImageIO")
    except RuntimeError as error:
        raise _not_decodable(header, reason) from error
    array = SimpleITK.GetArrayFromImage(image)
    return array[0] if array.ndim == 3 and len(array) == 1 else array


def _not_decodable(header: SliceHeader, reason: str) -> VolumeError:
    import pydicom

    name = pydicom.uid.UID(header.syntax).name
    advice = next((text for prefix, text in DECODERS.items() if header.syntax.startswith(prefix)), None)
    install = f"Install {advice}, or" if advice else "No decoder is known for it:"
    return VolumeError(f"{header.path.name} is compressed as {name} ({header.syntax}), which no installed decoder "
                       f"reads ({reason}). {install} export the series uncompressed. The file may also be damaged.")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:140] or type(error).__name__
