"""From scores on the grid to a label map on the scan, without ever holding all scores at the scan's size."""

from __future__ import annotations

import numpy as np

from uvlm_core.volumes.resampling import axis_weights, bands, one_thread


def labels_from_scores(scores, shape: tuple[int, int, int], start, step, reversed_axes=(False,) * 3) -> np.ndarray:
    """Scores interpolated linearly to another grid with parallel axes; in each voxel the highest wins.

    A label is looked at only in the box where it wins on the coarse grid, widened by one voxel. Slices are made one
    by one, so that the running maximum stays in the processor's cache.

    Args:
        scores: (C, Z, Y, X) tensor, channel 0 background.
        shape: of the result.
        start, step: index in the result, before `reversed_axes`, of the first coarse voxel, and the voxels of the
            result per coarse voxel, per axis.

    Returns:
        `shape` uint8; 0 outside the coarse grid.
    """
    import torch

    imaged = [_imaged_range(*facts) for facts in zip(scores.shape[1:], shape, start, step, strict=True)]
    scores = scores[(slice(None), *imaged)]
    weights = [axis_weights(side.stop - side.start, fine, -(first + side.start * by) / by, 1 / by, border=1.0)
               for side, fine, first, by in zip(imaged, shape, start, step, strict=True)]
    weights = [matrix[::-1] if back else matrix for matrix, back in zip(weights, reversed_axes, strict=True)]
    out = np.zeros(shape, np.uint8)
    reached = [np.flatnonzero(matrix.any(1)) for matrix in weights]
    if any(len(rows) == 0 for rows in reached):
        return out
    seen = tuple(slice(int(rows[0]), int(rows[-1]) + 1) for rows in reached)
    weights = [np.ascontiguousarray(matrix[rows]) for matrix, rows in zip(weights, seen, strict=True)]
    classes = [_Class(scores[label], label, box, weights) for label, box in label_boxes(scores)]
    best = torch.empty((len(weights[1]), len(weights[2])))
    better = torch.empty(best.shape, dtype=torch.bool)
    with one_thread():
        for index, layer in enumerate(torch.from_numpy(out)[seen]):
            for one in classes:
                one.compete(index, layer, best, better)
    return out


def _imaged_range(coarse: int, fine: int, start: float, step: float) -> slice:
    """Coarse voxels whose centre lies in the result: others show nothing, and must not win at the result's edge."""
    centres = start + step * np.arange(coarse)
    within = np.flatnonzero((centres > -0.5) & (centres < fine - 0.5))
    nearest = int(np.abs(centres - (fine - 1) / 2).argmin())
    return slice(int(within[0]), int(within[-1]) + 1) if len(within) else slice(nearest, nearest + 1)


def label_boxes(scores) -> list[tuple[int, tuple[slice, slice, slice]]]:
    """(label, box) for every label that wins somewhere; background first, everywhere."""
    from scipy.ndimage import find_objects

    whole = tuple(slice(0, size) for size in scores.shape[1:])
    found = find_objects(scores.argmax(0).numpy(), max_label=len(scores) - 1)
    return [(0, whole)] + [
        (number + 1, tuple(slice(max(0, side.start - 1), min(size, side.stop + 1))
                           for side, size in zip(box, scores.shape[1:], strict=True)))
        for number, box in enumerate(found) if box is not None]


class _Class:
    """One label's scores in its region of the result, slice by slice."""

    def __init__(self, score, label: int, box, weights):
        import torch

        self.label = label
        inner = [matrix[:, side] for matrix, side in zip(weights, box, strict=True)]
        reach = [np.flatnonzero(matrix.any(1)) for matrix in inner]
        rows = tuple(slice(int(hit[0]), int(hit[-1]) + 1) if len(hit) else slice(0, 0) for hit in reach)
        self.slices, self.place = rows[0], rows[1:]
        along_z, along_y, along_x = (np.ascontiguousarray(matrix[hit]) for matrix, hit in zip(inner, rows, strict=True))
        self.mix = [[(int(plane), float(row[plane])) for plane in np.flatnonzero(row)] for row in along_z]
        # x is widened once for the coarse y and z, y once per coarse plane, z per slice
        self.wide = score[box].float() @ torch.from_numpy(along_x).T
        self.rows = [(out, used, torch.from_numpy(along_y[out, used].copy())) for out, used in bands(along_y)]
        ring = max((len(mix) for mix in self.mix), default=0)
        self.planes = torch.empty((ring, len(along_y), len(along_x)))
        self.held = [-1] * ring
        self.share = torch.empty(self.planes.shape[1:])

    def compete(self, index: int, labels, best, better) -> None:
        """Enters slice `index` of this label: `best` (Y, X) scores and `labels` (Y, X) uint8 are updated in place."""
        import torch

        if not self.slices.start <= index < self.slices.stop:
            return
        planes = [(self._plane(plane), weight) for plane, weight in self.mix[index - self.slices.start]]
        share = best if self.label == 0 else self.share  # background comes first and covers everything
        torch.mul(planes[0][0], planes[0][1], out=share)
        for plane, weight in planes[1:]:
            share.add_(plane, alpha=weight)
        if self.label == 0:
            return
        here, wins = best[self.place], better[self.place]
        torch.gt(share, here, out=wins)
        torch.maximum(here, share, out=here)
        labels[self.place].masked_fill_(wins, self.label)

    def _plane(self, number: int):
        """Coarse plane `number` at the result's y and x, made when first asked for."""
        import torch

        slot = number % len(self.held)
        if self.held[slot] != number:
            for out, used, matrix in self.rows:
                torch.mm(matrix, self.wide[number, used], out=self.planes[slot, out])
            self.held[slot] = number
        return self.planes[slot]
