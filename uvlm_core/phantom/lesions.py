"""Puts findings into a scene: which, in which order, and only where enough of them can be seen."""

from __future__ import annotations

from collections.abc import Callable

from uvlm_core.phantom import abdomen_lesions, chest_lesions, lung_lesions
from uvlm_core.phantom.scene import Scene

# label, how it is drawn, least volume in ml that counts as drawn
DRAWN: tuple[tuple[str, Callable[[Scene], object], float], ...] = (
    ("emphysema", lung_lesions.emphysema, 15.0),
    ("lung_opacity", lung_lesions.lung_opacity, 3.0),
    ("consolidation", lung_lesions.consolidation, 6.0),
    ("atelectasis", lung_lesions.atelectasis, 4.0),
    ("lung_nodule", lung_lesions.lung_nodules, 0.2),
    ("pleural_effusion", lung_lesions.pleural_effusion, 25.0),
    ("liver_lesion", abdomen_lesions.liver_lesions, 0.3),
    ("kidney_lesion", abdomen_lesions.kidney_lesions, 0.4),
    ("pancreas_lesion", abdomen_lesions.pancreas_lesions, 0.5),
    ("pericardial_effusion", chest_lesions.pericardial_effusion, 20.0),
    ("hiatal_hernia", chest_lesions.hiatal_hernia, 6.0),
    ("lymphadenopathy", chest_lesions.lymphadenopathy, 0.8),
    ("arterial_calcification", chest_lesions.arterial_calcification, 0.3),
    ("coronary_calcification", chest_lesions.coronary_calcification, 0.15),
    ("medical_material", chest_lesions.medical_material, 0.5),
)


def draw_findings(scene: Scene, names: set[str]) -> dict[str, dict]:
    """Draws the named lesion labels where the scene has room for them.

    A lesion of which too little came out is taken back completely.

    Returns:
        label -> what no mask tells about it, for those that were drawn.
    """
    drawn = {}
    for label, draw, least_ml in DRAWN:
        if label not in names:
            continue
        before = scene.hu.copy(), scene.labels.copy()
        had = scene.volume_ml(label)
        result = draw(scene)
        if scene.volume_ml(label) - had < least_ml:
            scene.hu[...], scene.labels[...] = before
        else:
            drawn[label] = {"kind": result} if isinstance(result, str) else {}
    return drawn
