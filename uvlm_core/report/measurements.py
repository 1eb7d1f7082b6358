"""What the masks measure: diameters, volumes, densities, sides and places, all in the patient's millimetres."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from uvlm_core.labels import Label, label_named, labels
from uvlm_core.report.segments import Segment

Box = tuple[slice, slice, slice]
CONNECTED = np.ones((3, 3, 3))
LOBES = ("lung_upper_lobe_left", "lung_lower_lobe_left", "lung_upper_lobe_right", "lung_middle_lobe_right",
         "lung_lower_lobe_right")
LEAST_WHOLE_ML = 100.0  # of the heart and of each lung, less is a stray or a rest
LUNG_LESIONS = ("lung_nodule", "consolidation", "lung_opacity", "atelectasis", "emphysema", "pleural_effusion")
MARGIN = 4  # voxels around a lesion in which its host is looked for
SMALLEST_ML = 0.02  # components below this are specks of the segmentation, not lesions


def label_boxes(label_map: np.ndarray) -> dict[str, Box]:
    """Name -> the box of all its voxels, for each label that the map (Z, Y, X) holds."""
    boxes = ndimage.find_objects(label_map, max_label=len(labels()))
    return {label.name: box for label, box in zip(labels(), boxes, strict=True) if box is not None}


def measure_segments(label_map: np.ndarray, image: np.ndarray, ijk_to_ras: np.ndarray,
                     kind: str | None = None, boxes: dict[str, Box] | None = None) -> list[Segment]:
    """All segments of a label map, organs first.

    Args:
        label_map, image: (Z, Y, X), labels and HU.
        ijk_to_ras: 4x4, mm; any orientation, spacing or shear.
        kind: "organ" or "lesion" for these alone.
        boxes: of `label_boxes`, where they are at hand already.
    """
    present = label_boxes(label_map) if boxes is None else boxes
    segments = []
    for label in labels():
        if label.name not in present or kind not in (None, label.kind):
            continue
        box = _grown(present[label.name], label_map.shape, 0)
        mask = label_map[box] == label.id
        if label.kind == "organ":
            segments.append(segment_of(label.name, label, mask, box, image, ijk_to_ras))
        else:
            segments += _components(label, mask, box, label_map, image, ijk_to_ras)
    return segments


def _components(label: Label, mask, box, label_map, image, ijk_to_ras) -> list[Segment]:
    parts, _ = ndimage.label(mask, CONNECTED)
    found = []
    for number, inner in enumerate(ndimage.find_objects(parts), 1):
        place = tuple(slice(outer.start + side.start, outer.start + side.stop)
                      for outer, side in zip(box, inner, strict=True))
        own = parts[inner] == number
        segment = segment_of(
            "", label, own, place, image, ijk_to_ras,
            host=lambda names: host_of(own, place, label_map, names),
            middle=lambda: middle_of_patient(label_map, ijk_to_ras))
        if segment.volume_ml >= SMALLEST_ML:
            found.append(segment)
    found.sort(key=lambda segment: -segment.volume_ml)
    return [Segment(**{**vars(segment), "id": f"{label.name}_{number}"}) for number, segment in enumerate(found, 1)]


def segment_of(name: str, label: Label, mask: np.ndarray, box: tuple[slice, slice, slice], image: np.ndarray,
               ijk_to_ras: np.ndarray, host: Callable[[Sequence[str]], str | None] | None = None,
               middle: Callable[[], float | None] | None = None) -> Segment:
    """Measures one mask, of a lesion its diameters, side and place too.

    Args:
        mask: bool, of the box's shape, with at least one voxel.
        box: where the mask lies in `image` (Z, Y, X), whose 4x4 is `ijk_to_ras`.
        host: gives the label, of some names, that surrounds the lesion; None where none does.
        middle: gives the R coordinate of the patient's middle in mm; None where it is not known.
    """
    index = np.argwhere(mask)  # (n, 3) z, y, x within the box
    corner = np.array([side.start for side in box])
    to_ras = ijk_to_ras[:3, :3][:, ::-1]  # columns for z, y, x
    origin = to_ras @ corner + ijk_to_ras[:3, 3]
    voxel_ml = abs(np.linalg.det(ijk_to_ras[:3, :3])) / 1000
    low, high = index.min(0), index.max(0)
    corners = np.array(np.meshgrid(*zip(low - 0.5, high + 0.5, strict=True), indexing="ij")).reshape(3, -1)
    places = to_ras @ corners + origin[:, None]
    values = {"volume_ml": float(len(index) * voxel_ml), "mean_hu": float(image[box][mask].mean()),
              "centroid": _plain(to_ras @ index.mean(0) + origin), "side": label.side,
              "box": (_plain(places.min(1)), _plain(places.max(1)))}
    if label.kind == "lesion":
        values["longest_diameter_mm"], values["short_axis_mm"] = diameters(mask, to_ras)
        values["side"], values["place"] = _where(label, values["centroid"][0], host, middle)
    return Segment(id=name, label=label.name, **values)


def _plain(point: np.ndarray) -> tuple[float, float, float]:
    return tuple(round(float(value), 2) for value in point)


def diameters(mask: np.ndarray, to_ras: np.ndarray) -> tuple[float, float]:
    """(longest, short axis) in mm of a mask.

    The longest diameter is the largest distance between two voxel centres plus half a voxel along that direction: of
    all pairs the longest nearly reaches both surfaces, so a whole voxel would measure a digitised sphere too large.
    The short axis is the largest such extent at right angles to it.

    Args:
        to_ras: 3x3, columns are the steps in mm along z, y, x.
    """
    border = mask & ~ndimage.binary_erosion(mask)
    points = np.argwhere(border) @ to_ras.T
    if len(points) == 1:
        size = float(np.abs(np.linalg.det(to_ras)) ** (1 / 3))
        return size, size
    points = _outermost(points)
    distance = pdist(points)
    first, second = _pair(int(distance.argmax()), len(points))
    direction = (points[second] - points[first]) / max(distance.max(), 1e-6)
    longest = float(distance.max()) + _half_voxel_along(direction, to_ras)
    across = points - np.outer(points @ direction, direction)
    spread = pdist(across)
    first, second = _pair(int(spread.argmax()), len(points))
    way = (across[second] - across[first]) / max(spread.max(), 1e-6) if spread.max() > 1e-6 else np.eye(3)[0]
    return longest, min(longest, float(spread.max()) + _half_voxel_along(way, to_ras))


def _outermost(points: np.ndarray, most: int = 1500) -> np.ndarray:
    if len(points) > 8:
        try:
            return points[ConvexHull(points).vertices][:most]
        except QhullError:  # all in one plane or line
            pass
    return points[:: max(1, len(points) // most)]


def _pair(index: int, count: int) -> tuple[int, int]:
    """Row and column of an entry of scipy's condensed distances."""
    row = 0
    while index >= count - 1 - row:
        index -= count - 1 - row
        row += 1
    return row, row + 1 + index


def _half_voxel_along(direction: np.ndarray, to_ras: np.ndarray) -> float:
    """Half of the mm that a line along `direction` runs inside one voxel."""
    steps = np.abs(np.linalg.inv(to_ras) @ direction)
    return float(0.5 / max(steps.max(), 1e-6))


def _grown(box, shape, by: int):
    return tuple(slice(max(0, side.start - by), min(size, side.stop + by))
                 for side, size in zip(box, shape, strict=True))


def _where(label: Label, centre_r: float, host, middle) -> tuple[str | None, str | None]:
    """Side and place of a lesion, from the organ that surrounds it; without one, from the middle of the patient."""
    if label.name in LUNG_LESIONS:
        lobe = host(LOBES)
        if lobe is not None:
            place = None if label.name == "pleural_effusion" else label_named(lobe).title
            return label_named(lobe).side, place
    if label.name == "kidney_lesion":
        kidney = host(("kidney_left", "kidney_right"))
        if kidney is not None:
            return label_named(kidney).side, None
    if label.name in LUNG_LESIONS or label.name == "kidney_lesion":
        line = middle()
        return (None if line is None else "right" if centre_r > line else "left"), None
    return None, None


def host_of(mask: np.ndarray, box, label_map: np.ndarray, names: Sequence[str]) -> str | None:
    """The label of `names` that has the most voxels within about 4 voxels around a lesion; None where none has any.

    Args:
        mask: bool, of the box's shape; box: its place in `label_map` (Z, Y, X).
    """
    outer = _grown(box, label_map.shape, MARGIN)
    inside = np.zeros([side.stop - side.start for side in outer], bool)
    inside[tuple(slice(b.start - o.start, b.stop - o.start) for b, o in zip(box, outer, strict=True))] = mask
    around = np.ones_like(inside)  # of a large effusion, its whole box
    if inside.size < 2e6:
        around = ndimage.binary_dilation(inside, CONNECTED, 3)
    counts = np.bincount(label_map[outer][around & ~inside], minlength=256)
    best = max(names, key=lambda name: counts[label_named(name).id])
    return best if counts[label_named(best).id] else None


def middle_of_patient(label_map: np.ndarray, ijk_to_ras: np.ndarray) -> float:
    """R coordinate in mm of the patient's middle: the spine, else both lungs, else the image."""
    for name in ("spine", "heart"):
        index = np.argwhere(label_map[::2, ::2, ::2] == label_named(name).id)
        if len(index) > 20:
            z, y, x = index.mean(0) * 2
            return float((ijk_to_ras @ [x, y, z, 1])[0])
    z, y, x = (np.array(label_map.shape) - 1) / 2
    return float((ijk_to_ras @ [x, y, z, 1])[0])


def cardiothoracic_ratio(label_map: np.ndarray, ijk_to_ras: np.ndarray) -> float | None:
    """Largest left-right width of the heart over that of the chest's inside (outer borders of the lungs); None where
    there is no heart or no lung."""
    axis = int(np.argmax(np.abs(ijk_to_ras[0, :3])))  # the array's left-right axis: 0 is i, the last
    axis = 2 - axis
    heart = _extent(label_map == label_named("heart").id, axis)
    lungs = np.isin(label_map, [label_named(name).id for name in LOBES + LUNG_LESIONS])
    chest = _extent(lungs, axis)
    return None if heart is None or chest is None or chest == 0 else round(heart / chest, 3)


def seen_cardiothoracic_ratio(label_map: np.ndarray, ijk_to_ras: np.ndarray) -> float | None:
    """`cardiothoracic_ratio` where the scan shows what it is the ratio of: a heart that no border of the array cuts,
    and two lungs that none cuts on the left or right. None elsewhere: a number from cut organs would mislead."""
    least = LEAST_WHOLE_ML * 1000 / abs(float(np.linalg.det(ijk_to_ras[:3, :3])))
    found = ndimage.find_objects(label_map)
    boxes = {name: found[label_named(name).id - 1] for name in ("heart", *LOBES, *LUNG_LESIONS)
             if label_named(name).id <= len(found) and found[label_named(name).id - 1] is not None}
    voxels = {name: int((label_map[box] == label_named(name).id).sum()) for name, box in boxes.items()}
    lungs = [sum(count for name, count in voxels.items() if name in LOBES and name.endswith(side))
             for side in ("left", "right")]
    if min(voxels.get("heart", 0), *lungs) < least:
        return None
    axis = 2 - int(np.argmax(np.abs(ijk_to_ras[0, :3])))
    ends = [(boxes["heart"][number], number) for number in range(3)]
    ends += [(boxes[name][axis], axis) for name in LOBES if name in boxes]
    if any(side.start == 0 or side.stop == label_map.shape[number] for side, number in ends):
        return None
    sides = [[box[number] for box in boxes.values()] for number in range(3)]
    chest = tuple(slice(min(side.start for side in row), max(side.stop for side in row)) for row in sides)
    return cardiothoracic_ratio(label_map[chest], ijk_to_ras)


def _extent(mask: np.ndarray, axis: int) -> int | None:
    filled = mask.sum(tuple({0, 1, 2} - {axis}))
    if filled.max() < 20:
        return None
    used = np.flatnonzero(filled > 0.02 * filled.max())
    return int(used[-1] - used[0] + 1)
