"""Is this volume a CT in HU? With the reasons for a no, and what is unusual about a yes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from uvlm_core.volumes.volume import Volume

PADDING = -1500  # below: the scanner's filling outside its circular field of view
SAMPLE = 2_000_000  # voxels looked at
FEWEST_SLICES = 8
SHORTEST_MM = 20.0
LONGEST_MM = 2500.0
POSSIBLE_HU = (-1400, 4000)  # strong noise in air reaches below -1100
SPACING_MM = (0.05, 20.0)
WHAT_TO_DO = "UVLM reads chest and abdomen CT in HU. Choose the original CT series."


@dataclass(frozen=True)
class CtCheck:
    """The answer: `reasons` is empty exactly when `is_ct`; `warnings` are sentences for the report."""

    is_ct: bool
    reasons: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def message(self) -> str:
        """One text for the user; empty for a CT."""
        return "" if self.is_ct else f"This is not a CT that can be read: {' '.join(self.reasons)} {WHAT_TO_DO}"


def check_ct(volume: Volume) -> CtCheck:
    """Looks at the modality, the size and a sample of the values.

    Args:
        volume: what `read_volume` gave, or any array with its geometry.
    """
    reasons, warnings = _size(volume)
    modality = str(volume.meta.get("modality", "") or "").upper()
    if modality not in ("", "CT"):
        reasons.append(f"Its modality is {modality}; CT is expected.")
    values = _sample(volume.array)
    if len(values) == 0:
        reasons.append("Every voxel is filling outside the field of view; nothing was imaged.")
    else:
        more = _values(values)
        reasons, warnings = reasons + more[0], warnings + more[1]
    return CtCheck(not reasons, reasons, warnings)


def _sample(array: np.ndarray) -> np.ndarray:
    """Imaged voxels from an even grid over the whole volume, float32."""
    step = max(1, int(np.ceil((array.size / SAMPLE) ** (1 / 3))))
    steps = [min(step, max(1, size // 16)) for size in array.shape]  # thin scans keep their slices
    values = array[tuple(slice(None, None, by) for by in steps)].astype(np.float32).ravel()
    return values[values > PADDING]


def _size(volume: Volume) -> tuple[list[str], list[str]]:
    reasons, warnings = [], []
    spacing = np.array(volume.spacing)
    extent = spacing * volume.shape
    shape = " x ".join(map(str, volume.shape))
    if min(volume.shape) < FEWEST_SLICES:
        reasons.append(f"It has {min(volume.shape)} slices along one axis ({shape}); at least {FEWEST_SLICES} are "
                       "needed for a volume.")
    found = " x ".join(f"{value:.3g}" for value in extent)
    if extent.max() > LONGEST_MM or spacing.max() > SPACING_MM[1] or spacing.min() < SPACING_MM[0]:
        sizes = " x ".join(f"{value:.3g}" for value in spacing)
        reasons.append(f"Its voxels of {sizes} mm make it {found} mm large (z, y, x); the spacing seems to be in "
                       "another unit than mm, or wrong.")
    elif extent.min() < SHORTEST_MM:
        reasons.append(f"It covers only {found} mm (z, y, x); at least {SHORTEST_MM:g} mm along each axis are needed.")
    elif extent.min() < 60:
        warnings.append(f"The scan covers only {found} mm (z, y, x); most organs are not in it.")
    return reasons, warnings


def _values(values: np.ndarray) -> tuple[list[str], list[str]]:
    """Reasons against and remarks on a CT, from imaged values."""
    low, high = float(values.min()), float(values.max())
    found = f"values from {low:g} to {high:g}"
    if low == high:
        return [f"All its voxels have the same value, {low:g}."], []
    if high - low <= 25:
        return [f"It has {found}: a normalised picture or a map of few values, not HU."], []
    if low >= 0 and high <= 255:
        return [f"It has {found}: a grey picture windowed to 8 bits, or a label map. A CT in HU has air near -1000 and "
                "soft tissue between 0 and 100."], []
    share = _shares(values)
    if share["below -30"] < 0.004:
        return [_positive_only(values, found)], []
    if share["possible"] < 0.97:
        return [f"It has {found}; {1 - share['possible']:.0%} of them lie outside "
                f"{POSSIBLE_HU[0]} to {POSSIBLE_HU[1]} HU."], []
    if share["body"] < 0.01:
        return [f"Only {share['body']:.1%} of its voxels lie between -200 and 300 HU, where the tissues of a body are; "
                f"it has {found}."], []
    return [], _remarks(values, share, low, high)


def _shares(values: np.ndarray) -> dict[str, float]:
    def between(a, b):
        return float(np.mean((values >= a) & (values <= b)))

    return {"below -30": float(np.mean(values < -30)), "possible": between(*POSSIBLE_HU), "body": between(-200, 300),
            "air": between(-1100, -900), "lung": between(-950, -500)}


def _positive_only(values: np.ndarray, found: str) -> str:
    """A scan without fat and air: HU with the offset forgotten have a narrow peak of soft tissue near 1060."""
    lit = values[values > 500]
    peak = float(np.mean((lit > 950) & (lit < 1150))) if len(lit) else 0.0
    if peak > 0.25 and len(lit) > 0.05 * len(values) and float(np.mean(values < 350)) > 0.01:
        return (f"It has {found} and soft tissue near 1060: these are stored numbers without their rescale intercept. "
                "Subtract 1024 (or export it again with HU) and read it then.")
    return (f"It has {found} and hardly any below -30 ({np.mean(values < -30):.2%}): a CT has fat near -100 and air "
            "near -1000 HU. It looks like MR, PET, a picture, or stored numbers without their rescale intercept.")


def _remarks(values, share, low: float, high: float) -> list[str]:
    remarks = []
    if share["air"] + share["lung"] < 0.005:
        remarks.append("There is hardly any air in the scan: a small cut-out of a body. Findings outside it are not "
                       "assessed.")
    at_low, at_high = float(np.mean(values == low)), float(np.mean(values == high))
    if (low > -900 and at_low > 0.05) or (high < 900 and at_high > 0.005):
        remarks.append(f"The values are cut off at {low:g} and {high:g} HU (a display window); lungs or bones may be "
                       "judged wrongly.")
    if 0.97 <= share["possible"] < 0.995:
        remarks.append(f"{1 - share['possible']:.1%} of the values lie outside {POSSIBLE_HU[0]} to {POSSIBLE_HU[1]} HU "
                       "(metal?).")
    return remarks
