"""The slower way for scans that are sheared (tilted gantry) or turned far from the patient's axes."""

from __future__ import annotations

import numpy as np

from uvlm_core.volumes.volume import Volume

NOT_IMAGED = -2048
LOWEST = -1024
MIXED = 255  # a place between grid voxels with different winners
SLAB = 8  # slices that are sampled at a time


def straighten(volume: Volume, spacing: tuple[float, float, float], like: Volume | None = None,
               nearest: bool = False) -> Volume:
    """The scan on a grid parallel to S, P, L that holds all of it; NOT_IMAGED (labels: 0) outside of it.

    Args:
        spacing: (z, y, x) mm wanted by the model; the new grid is twice as fine, so that the later step to the model's
            spacing averages.
        like: take the grid from this volume (for its masks).
        nearest: for label maps.
    """
    matrix, shape = _straight_grid(like or volume, [step / 2 for step in spacing])
    sampler = _Sampler(volume.array, volume.ras_to_ijk @ matrix)
    out = np.empty(shape, volume.array.dtype if nearest else np.float32)
    for first in range(0, shape[0], SLAB):
        part = out[first : first + SLAB]
        part[:] = sampler.nearest(first, part.shape) if nearest else sampler.linear(first, part.shape)
    return Volume(out, matrix, volume.name, volume.meta)


def _straight_grid(volume: Volume, spacing) -> tuple[np.ndarray, tuple[int, int, int]]:
    last = np.array(volume.shape[::-1]) - 1
    corners = np.array(np.meshgrid(*([0, n] for n in last), indexing="ij")).reshape(3, -1)
    places = volume.ijk_to_ras[:3, :3] @ corners + volume.ijk_to_ras[:3, 3:]
    low, high = places.min(1), places.max(1)
    step_z, step_y, step_x = spacing
    matrix = np.diag([-step_x, -step_y, step_z, 1.0])
    matrix[:3, 3] = high[0], high[1], low[2]
    extent = high - low
    return matrix, tuple(int(np.ceil(size / step)) + 1
                         for size, step in ((extent[2], step_z), (extent[1], step_y), (extent[0], step_x)))


class _Sampler:
    """Values of an array at the voxels of another grid.

    `forward` 4x4 maps (x, y, z) of the other grid to (i, j, k) of the array.
    """

    def __init__(self, array: np.ndarray, forward: np.ndarray):
        self.array = array
        self.forward = forward[[2, 1, 0]][:, [2, 1, 0, 3]]  # (z, y, x) to (k, j, i)

    def places(self, first: int, shape) -> list[np.ndarray]:
        """Index along each axis of the array for `shape` voxels from slice `first`; float32 of that shape."""
        z, y, x = np.ogrid[first : first + shape[0], : shape[1], : shape[2]]
        return [(row[0] * z + row[1] * y + row[2] * x + row[3]).astype(np.float32) for row in self.forward]

    def nearest(self, first: int, shape) -> np.ndarray:
        """Nearest values, 0 outside the array."""
        indices, inside = self._nearest_indices(self.places(first, shape))
        return np.where(inside, self.array[tuple(indices)], 0)

    def linear(self, first: int, shape) -> np.ndarray:
        """Linear values of HU, NOT_IMAGED outside the array and where the array itself has such filling."""
        import torch

        places = self.places(first, shape)
        indices, inside = self._nearest_indices(places)
        imaged = inside & (self.array[tuple(indices)] > -1500)
        if not imaged.any():
            return np.full(shape, NOT_IMAGED, np.float32)
        lows = [max(0, int(place[inside].min())) for place in places]
        highs = [int(place[inside].max()) + 2 for place in places]
        box = self.array[tuple(slice(low, high) for low, high in zip(lows, highs, strict=True))]
        source = torch.from_numpy(np.ascontiguousarray(box)).float().clamp_(min=LOWEST)
        values = sample_linear(source, [place - low for place, low in zip(places, lows, strict=True)], "border")
        return np.where(imaged, values.numpy(), np.float32(NOT_IMAGED))

    def _nearest_indices(self, places) -> tuple[list[np.ndarray], np.ndarray]:
        inside = np.ones(places[0].shape, bool)
        indices = []
        for place, size in zip(places, self.array.shape, strict=True):
            inside &= (place > -0.5) & (place < size - 0.5)
            indices.append(np.clip(np.rint(place), 0, size - 1).astype(np.int32))
        return indices, inside


def sample_linear(source, places: list[np.ndarray], outside: str):
    """Trilinear values of a (Z, Y, X) float tensor at index `places` (three arrays of one shape).

    `outside` is "zeros" or "border".
    """
    import torch

    scaled = [torch.from_numpy(place) * (2 / max(size - 1, 1)) - 1
              for place, size in zip(places, source.shape, strict=True)]
    grid = torch.stack(scaled[::-1], dim=-1)[None]
    return torch.nn.functional.grid_sample(source[None, None], grid, mode="bilinear", padding_mode=outside,
                                           align_corners=True)[0, 0]


def scores_by_rotation(scores, boxes, ijk_to_ras: np.ndarray, volume: Volume) -> np.ndarray:
    """Label map on the scan's own array from scores on a grid that is not parallel to it; see `scores_to_scan`.

    Between eight grid voxels with one winner, that label wins everywhere; only the other places are interpolated.

    Args:
        scores: (C, Z, Y, X) tensor.
        boxes: (label, box on the grid) with the background first; see `scan_labels.label_boxes`.
        ijk_to_ras: 4x4 of the grid.
    """
    winner = np.pad(scores.argmax(0).numpy().astype(np.uint8), 1, mode="edge")
    corners = [winner[z : winner.shape[0] - 1 + z, y : winner.shape[1] - 1 + y, x : winner.shape[2] - 1 + x]
               for z in (0, 1) for y in (0, 1) for x in (0, 1)]
    cells = np.where(np.minimum.reduce(corners) == np.maximum.reduce(corners), corners[0], MIXED).astype(np.uint8)
    sampler = _Sampler(winner, np.linalg.inv(ijk_to_ras) @ volume.ijk_to_ras)
    classes = [(label, box, scores[label][box].float()) for label, box in boxes]
    out = np.zeros(volume.shape, np.uint8)
    for first in range(0, volume.shape[0], SLAB):
        part = out[first : first + SLAB]
        places = sampler.places(first, part.shape)
        seen = np.logical_and.reduce([(place > -1) & (place < size)
                                      for place, size in zip(places, scores.shape[1:], strict=True)])
        places = [place[seen] for place in places]
        labels = cells[tuple(np.floor(place).astype(np.intp) + 1 for place in places)]
        mixed = np.flatnonzero(labels == MIXED)
        labels[mixed] = _winners([place[mixed] for place in places], classes)
        part[seen] = labels
    return out


def _winners(places: list[np.ndarray], classes) -> np.ndarray:
    """(n,) uint8 label with the highest interpolated score at n places (z, y, x index on the grid)."""
    best, labels = np.zeros(len(places[0]), np.float32), np.zeros(len(places[0]), np.uint8)
    for label, box, source in classes:
        near = np.flatnonzero(np.logical_and.reduce([(place > side.start - 1) & (place < side.stop)
                                                     for place, side in zip(places, box, strict=True)]))
        local = [place[near][None, None] - side.start for place, side in zip(places, box, strict=True)]
        share = sample_linear(source, local, "zeros").numpy()[0, 0]
        better = near[share > best[near]]
        labels[better] = label
        best[near] = np.maximum(best[near], share)
    return labels
