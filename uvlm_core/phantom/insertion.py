"""Synthetic findings in a real scan with a label map."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from uvlm_core.labels import IGNORE, labels
from uvlm_core.phantom.case import PhantomCase, imaged_regions, planted_findings
from uvlm_core.phantom.lesions import DRAWN, draw_findings
from uvlm_core.phantom.scene import Scene
from uvlm_core.volumes.orientation import orientation_of
from uvlm_core.volumes.volume import Volume

ORGANS = len([label for label in labels() if label.kind == "organ"])


def insert_findings(volume: Volume, label_map: np.ndarray, seed: int, share: float = 0.3) -> PhantomCase:
    """A copy of a scan with findings drawn into its own anatomy; the input is not changed.

    Args:
        label_map: (Z, Y, X) uint8 in UVLM's ids; lesions that are there stay.
        share: chance of each finding.

    Returns:
        the case on the scan's own axes. Outside of the drawn lesions and their blurred rims no voxel changes.
    """
    rng = np.random.default_rng(seed)
    orientation = orientation_of(volume.ijk_to_ras)
    order = np.array(orientation.order)
    hu, out = volume.array.astype(np.float32), label_map.copy()
    spacing = tuple(float(step) for step in np.array(volume.spacing)[order])
    scene = Scene(orientation.turn(hu), orientation.turn(out), spacing, rng)
    before = scene.labels.copy()
    wanted = {row[0] for row in DRAWN if rng.random() < share}
    extras = draw_findings(scene, wanted)
    _add_texture(scene, before)
    changed = hu != volume.array  # all else keeps the scan's own values, also those beyond the usual range of CT
    array = volume.array.copy()
    array[changed] = np.clip(np.rint(hu[changed]), -2048, 3071).astype(array.dtype)
    planted = planted_findings(out, array, volume.ijk_to_ras,
                               {"Medical material": extras["medical_material"]} if "medical_material" in extras else {})
    imaged = imaged_regions(np.where(scene.labels >= 254, 0, scene.labels), volume.voxel_volume_ml)
    return PhantomCase(Volume(array, volume.ijk_to_ras, volume.name, volume.meta), out, planted, imaged, seed)


def plant_in_patch(hu: np.ndarray, label_map: np.ndarray, spacing: tuple[float, float, float],
                   shares: Mapping[str, float], rng: np.random.Generator) -> None:
    """Draws lesions into a training patch, in place, where it has room for them.

    Args:
        hu, label_map: (Z, Y, X) float32 and uint8, z to superior, y to posterior, x to the patient's left.
        shares: lesion label -> chance that it is tried.
    """
    wanted = {name for name, share in shares.items() if rng.random() < share}
    if not wanted:
        return
    scene = Scene(hu, label_map, spacing, rng)
    before = label_map.copy()
    draw_findings(scene, wanted)
    _add_texture(scene, before)


def _add_texture(scene: Scene, before: np.ndarray) -> None:
    """Gives the smooth synthetic lesions the noise of the scan, taken from its liver or muscle."""
    changed = (scene.labels != before) & (scene.labels > ORGANS) & (scene.labels < IGNORE - 1)
    quiet = scene.mask("liver", "spleen", "heart")
    if not changed.any() or quiet.sum() < 500:
        return
    values = scene.hu[quiet]
    spread = float(np.percentile(values, 75) - np.percentile(values, 25)) / 1.35
    scene.hu[changed] += (scene.rng.standard_normal(int(changed.sum())) * min(spread, 25) * 0.7).astype(np.float32)
