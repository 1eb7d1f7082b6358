"""Which part of the scan a sentence's heat map shows: the few places of the body that the decoder looked at most."""

import numpy

from UVLMReportLib.VolumeInput import arrayOf, ijkToRas

BRIGHTEST_SHARE = 0.05  # of the body
FAINTEST = 30.0  # percent of the brightest place: a map with one clear place does not show five percent of the body
BODY_HU = -930.0  # mean of a cell: lungs lie above, the air around the patient below
SAMPLES = 4  # voxels of the scan per cell and axis that the mean is taken of


def ofStage(maps, stages, stage):
    """(Z, Y, X) float32 of one stage, or of all: then each counts as much as the others, as for the peak of study.json.

    Args:
        maps: (groups, Z, Y, X). stages: of the groups. stage: one of them, or None for all.
    """
    maps = maps.astype(numpy.float32)
    if stage is not None:
        return maps[stages.index(stage)]
    total = maps.sum((1, 2, 3), keepdims=True)
    return (maps / numpy.where(total > 0, total, 1)).mean(0)


def insideBody(volumeNode, shape, toRas):
    """(Z, Y, X) bool: the cells of a map that hold some of the body, told by the scan; all where there is no scan.

    Args:
        shape: (Z, Y, X) of the map. toRas: 4x4 from its indices to the volume's own RAS mm.
    """
    if volumeNode is None:
        return numpy.ones(shape, bool)
    scan = arrayOf(volumeNode)
    steps = [max(1, size // (SAMPLES * cells)) for size, cells in zip(scan.shape, shape, strict=True)]
    values = scan[tuple(slice(step // 2, None, step) for step in steps)]
    places = [numpy.arange(step // 2, size, step) for size, step in zip(scan.shape, steps, strict=True)]
    k, j, i = (axis.ravel() for axis in numpy.meshgrid(*places, indexing="ij"))
    toCell = numpy.linalg.inv(toRas) @ ijkToRas(volumeNode)
    cells = numpy.rint(toCell[:3, :3] @ numpy.stack([i, j, k]) + toCell[:3, 3:]).astype(int)[::-1]
    known = ((cells >= 0) & (cells < numpy.array(shape)[:, None])).all(0)
    flat = numpy.ravel_multi_index(cells[:, known], shape)
    count = numpy.bincount(flat, minlength=int(numpy.prod(shape)))
    total = numpy.bincount(flat, values.ravel()[known], minlength=len(count))
    return (total > BODY_HU * count).reshape(shape) & (count > 0).reshape(shape)


def brightest(values, body):
    """(map in percent of its brightest place in the body, percent from which it is shown); None where it tells nothing.

    Outside the body it is 0. A map that is the same everywhere, or 0 in the whole body, tells nothing.

    Args:
        values: (Z, Y, X). body: the same shape, bool.
    """
    inside = values[body]
    if not inside.size or inside.max() <= 0 or inside.min() == inside.max():
        return None
    percent = numpy.where(body, values / inside.max() * 100, 0).astype(numpy.float32)
    return percent, max(FAINTEST, float(numpy.quantile(percent[body], 1 - BRIGHTEST_SHARE)))
