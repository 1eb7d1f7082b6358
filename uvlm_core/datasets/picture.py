"""One picture per problem case: axial, coronal and sagittal slice with its masks."""

from __future__ import annotations

import numpy as np

from uvlm_core.labels import IGNORE, REST, labels
from uvlm_core.volumes.orientation import orientation_of
from uvlm_core.volumes.resampling import axis_weights
from uvlm_core.volumes.volume import Volume

HEIGHT, GAP, GROUND = 260, 6, (24, 29, 34)  # pixels; colour between the slices
SOFT, LUNG = (40, 400), (-500, 1400)  # level and width in HU
COARSEST = 1.2  # mm of a pixel; larger scans get more
STRENGTH = 0.35  # of the masks' colours; their outlines are drawn full


def draw_case(volume: Volume, label_map: np.ndarray | None, about: set[str]) -> np.ndarray:
    """(height, width, 3) uint8: three slices side by side, through what `about` names, else through all masks.

    Args:
        volume: the scan in HU.
        label_map: (Z, Y, X) uint8 on its grid; None where the masks cannot be used.
        about: names of labels.
    """
    masks = None if label_map is None else orientation_of(volume.ijk_to_ras).turn(label_map)
    return _strip(volume, masks, _point(masks, _turned(volume).shape, about), about)


def draw_pair(volume: Volume, truth: np.ndarray | None, predicted: np.ndarray, about: set[str]) -> np.ndarray:
    """(height, width, 3) uint8: the same three slices with the true masks above and the predicted ones below.

    Args:
        truth: (Z, Y, X) uint8 on the volume's grid; None where nobody drew masks: then without the row above.
        about: names of labels to go through, in the truth, else in the prediction.
    """
    turn = orientation_of(volume.ijk_to_ras).turn
    masks = [turn(label_map) for label_map in (truth, predicted) if label_map is not None]
    ids = [label.id for label in labels() if label.name in about]
    shown = next((one for one in masks if np.isin(one, ids).any()), masks[0])
    where = _point(shown, shown.shape, about)
    strips = [_strip(volume, one, where, about) for one in masks]
    gap = np.full((GAP, strips[0].shape[1], 3), GROUND, np.uint8)
    return np.concatenate([strips[0], *(part for strip in strips[1:] for part in (gap, strip))])


def _turned(volume: Volume) -> np.ndarray:
    return orientation_of(volume.ijk_to_ras).turn(volume.array)


def _strip(volume: Volume, masks: np.ndarray | None, where: tuple[int, int, int], about: set[str]) -> np.ndarray:
    """Three slices side by side; `masks` and `where` are turned as patients are drawn."""
    hu = _turned(volume)
    matrix = orientation_of(volume.ijk_to_ras).matrix(volume.ijk_to_ras, volume.shape)
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)[::-1]
    window = LUNG if _in_lungs(masks, about, where) else SOFT
    pixel = max(COARSEST, max(size * step for size, step in zip(hu.shape, spacing, strict=True)) / HEIGHT)
    views = [_view(hu, masks, axis, where, spacing, pixel, window) for axis in range(3)]
    height = max(len(view) for view in views)
    strip = []
    for number, view in enumerate(views):
        tall = np.full((height, view.shape[1], 3), GROUND, np.uint8)
        tall[(height - len(view)) // 2 :][: len(view)] = view
        strip += [np.full((height, GAP, 3), GROUND, np.uint8)] * (number > 0) + [tall]
    return np.concatenate(strip, axis=1)


def _point(masks: np.ndarray | None, shape, about: set[str]) -> tuple[int, int, int]:
    """Index of the fullest slices along each axis: of the masks asked for, of all masks, or the middle."""
    if masks is None:
        return tuple(size // 2 for size in shape)
    wanted = np.zeros(256, bool)
    wanted[[label.id for label in labels() if label.name in about]] = True
    shown = wanted[masks]
    if not shown.any():
        shown = (masks > 0) & (masks != REST) & (masks != IGNORE)
    if not shown.any():
        return tuple(size // 2 for size in shape)
    z = int(shown.sum((1, 2)).argmax())
    return z, int(shown[z].sum(1).argmax()), int(shown[z].sum(0).argmax())


def _in_lungs(masks, about: set[str], where) -> bool:
    inside = {label.id for label in labels() if label.region in ("lungs", "airways", "pleura")}
    if about:
        return any(label.name in about and label.id in inside for label in labels())
    return masks is not None and int(masks[where]) in inside


def _view(hu, masks, axis: int, where, spacing, pixel: float, window) -> np.ndarray:
    """One slice, upright: rows run from head to foot, or from anterior to posterior in the axial one."""
    upright = slice(None) if axis == 0 else slice(None, None, -1)
    slab = np.take(hu, where[axis], axis).astype(np.float32)[upright]
    rest = [step for number, step in enumerate(spacing) if number != axis]
    size = [max(1, round(length * step / pixel)) for length, step in zip(slab.shape, rest, strict=True)]
    grey = _resized(slab, size)
    level, width = window
    grey = np.clip((grey - level + width / 2) / width, 0, 1) * 255
    picture = np.repeat(grey[..., None], 3, 2)
    if masks is not None:
        rows = np.minimum((np.arange(size[0]) + 0.5) * slab.shape[0] / size[0], slab.shape[0] - 1).astype(int)
        columns = np.minimum((np.arange(size[1]) + 0.5) * slab.shape[1] / size[1], slab.shape[1] - 1).astype(int)
        _tint(picture, np.take(masks, where[axis], axis)[upright][np.ix_(rows, columns)])
    return picture.astype(np.uint8)


def _resized(slab: np.ndarray, size: list[int]) -> np.ndarray:
    rows, columns = (axis_weights(have, want, have / want / 2 - 0.5, have / want)
                     for have, want in zip(slab.shape, size, strict=True))
    return rows @ slab @ columns.T


def _tint(picture: np.ndarray, shown: np.ndarray) -> None:
    for label in labels():
        inside = shown == label.id
        if inside.any():
            core = inside.copy()
            core[1:-1, 1:-1] &= inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
            color = np.array(label.color, np.float32)
            picture[inside] += (color - picture[inside]) * STRENGTH
            picture[inside & ~core] = color
