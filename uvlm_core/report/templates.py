"""Sentences as reports word them, for synthetic reports and for an editor that offers one.

{size}, {place}, {side}, {lung}, {amount}, {kind}, {organ} are filled in by `words`.
"""

from __future__ import annotations

POSITIVE: dict[str, tuple[str, ...]] = {
    "Lung nodule": ("There is a {size} nodule in {place}.", "A nodule measuring {size} is seen in {place}.",
                    "A solid nodule of {size} in {place}."),
    "Consolidation": ("There is consolidation in {place}.", "Consolidation with air bronchograms in {place}.",
                      "A consolidation area is observed in {place}."),
    "Lung opacity": ("There is a ground-glass opacity in {place}.", "Ground-glass opacity is observed in {place}.",
                     "A patchy ground-glass opacity in {place}."),
    "Atelectasis": ("There is atelectasis in {place}.", "Atelectatic changes are seen in {place}.",
                    "Linear atelectasis in {place}."),
    "Emphysema": ("There are emphysematous changes in {lung}.", "Emphysema is seen in {lung}.",
                  "Centrilobular emphysema in {lung}."),
    "Pleural effusion": ("There is a {amount} {side} pleural effusion.", "{Amount} {side} pleural effusion.",
                         "A {amount} pleural effusion is seen on the {side} side."),
    "Pericardial effusion": ("There is a pericardial effusion.", "Pericardial effusion is present.",
                             "Fluid is seen in the pericardial space, consistent with pericardial effusion."),
    "Cardiomegaly": ("The heart is enlarged.", "Heart size is increased.", "Cardiomegaly is present."),
    "Arterial wall calcification": ("Calcified plaques are seen in the wall of the aorta.",
                                    "There are atherosclerotic calcifications of the aorta.",
                                    "Calcific atheroma plaques in the aorta."),
    "Coronary artery wall calcification": ("Coronary artery calcifications are present.",
                                           "There are calcified plaques in the coronary arteries.",
                                           "Calcific plaques are observed in the coronary arteries."),
    "Hiatal hernia": ("There is a hiatal hernia measuring {size}.", "A hiatal hernia of {size} is seen.",
                      "Hiatal hernia with a diameter of {size}."),
    "Lymphadenopathy": ("There is an enlarged mediastinal lymph node measuring {size}.",
                        "An enlarged lymph node of {size} is seen in the mediastinum.",
                        "Mediastinal lymphadenopathy with a node of {size}."),
    "Medical material": ("{A_kind} {is_are} in place.", "{A_kind} {is_are} seen.", "There {is_are} {a_kind}."),
    "Liver lesion": ("There is a {size} lesion in the liver.", "A liver lesion measuring {size} is seen.",
                     "A focal lesion of {size} in the liver."),
    "Kidney lesion": ("There is a {size} lesion in {organ}.", "A lesion measuring {size} is seen in {organ}.",
                      "A {size} lesion of {organ}."),
    "Pancreas lesion": ("There is a {size} lesion in the pancreas.", "A pancreatic lesion measuring {size} is seen.",
                        "A focal lesion of {size} in the pancreas."),
}

SEVERAL: dict[str, tuple[str, ...]] = {
    "Lung nodule": ("Several nodules are seen in {lung}, the largest measuring {size} in {place}.",
                    "There are multiple nodules in {lung}, the largest of {size} in {place}."),
    "Consolidation": ("There are consolidation areas in {lung}, most prominent in {place}.",
                      "Consolidations in {lung}, most prominent in {place}."),
    "Lung opacity": ("There are ground-glass opacities in {lung}, most prominent in {place}.",
                     "Patchy ground-glass opacities in {lung}, most prominent in {place}."),
    "Pleural effusion": ("There is a {amount} {side} pleural effusion.", "{Amount} {side} pleural effusion."),
    "Lymphadenopathy": ("There are enlarged mediastinal lymph nodes, the largest measuring {size}.",
                        "Mediastinal lymphadenopathy, the largest node measuring {size}."),
    "Liver lesion": ("There are several liver lesions, the largest measuring {size}.",
                     "Multiple lesions in the liver, the largest of {size}."),
}

# region -> (findings that forbid it, choices)
NORMAL: dict[str, tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]] = {
    "lungs": (
        (("Lung nodule", "Consolidation", "Lung opacity", "Atelectasis", "Emphysema"),
         ("The lungs are clear.", "Both lungs are normally aerated.", "Lung parenchyma is unremarkable.")),
    ),
    "airways": (((), ("The trachea and main bronchi are patent.", "Trachea and main bronchi are open.")),),
    "pleura": ((("Pleural effusion",), ("No pleural effusion.", "There is no pleural effusion.",
                                        "No pleural effusion on either side.")),
               ((), ("No pneumothorax.", "There is no pneumothorax."))),
    "heart": ((("Cardiomegaly",), ("Heart size is normal.", "The heart is normal in size.",
                                   "The heart is not enlarged.")),
              ((), ("The great vessels are normal in caliber.", "The aorta is normal in caliber."))),
    "mediastinum": ((("Lymphadenopathy",), ("No enlarged mediastinal lymph nodes.", "No mediastinal lymphadenopathy.")),
                    (("Hiatal hernia",), ("The oesophagus is unremarkable.", "The oesophagus is normal."))),
    "abdomen": ((("Liver lesion",), ("The liver is unremarkable.", "The liver is normal.")),
                (("Kidney lesion",), ("The kidneys are unremarkable.", "Both kidneys are normal.")),
                (("Pancreas lesion",), ("The pancreas is unremarkable.", "The pancreas is normal.")),
                ((), ("The spleen is unremarkable.", "The spleen is normal in size."))),
    "bones": (((), ("No destructive bone lesion.", "Bones are unremarkable.", "No acute bony abnormality.")),),
}

NOTHING: tuple[str, ...] = ("No acute abnormality.", "No significant abnormality.", "Normal examination.")

# region -> finding -> its name in a list of negatives
CLEAR: dict[str, dict[str, str]] = {
    "lungs": {"Lung nodule": "lung nodule", "Consolidation": "consolidation", "Lung opacity": "ground-glass opacity",
              "Atelectasis": "atelectasis", "Emphysema": "emphysema"},
    "heart": {"Pericardial effusion": "pericardial effusion", "Coronary artery wall calcification":
              "coronary artery calcification"},
    "mediastinum": {"Hiatal hernia": "hiatal hernia"},
    "abdomen": {"Liver lesion": "liver lesion", "Kidney lesion": "kidney lesion", "Pancreas lesion": "pancreas lesion"},
}

# in the order of weight
IMPRESSIONS: dict[str, tuple[str, ...]] = {
    "Consolidation": ("Consolidation in {place}.",),
    "Lung nodule": ("Lung nodule in {place}.", "Nodule of {size} in {place}."),
    "Lung opacity": ("Ground-glass opacity in {place}.",),
    "Pleural effusion": ("{Side} pleural effusion.", "{Amount} {side} pleural effusion."),
    "Pericardial effusion": ("Pericardial effusion.",),
    "Liver lesion": ("Liver lesion.", "Liver lesion of {size}."),
    "Pancreas lesion": ("Pancreas lesion.", "Pancreatic lesion of {size}."),
    "Kidney lesion": ("Lesion of {organ}.", "Lesion of {size} in {organ}."),
    "Lymphadenopathy": ("Mediastinal lymphadenopathy.",),
    "Atelectasis": ("Atelectasis in {place}.",),
    "Emphysema": ("Emphysema.", "Pulmonary emphysema."),
    "Cardiomegaly": ("Cardiomegaly.",),
    "Hiatal hernia": ("Hiatal hernia.",),
    "Coronary artery wall calcification": ("Coronary artery calcification.",),
    "Arterial wall calcification": ("Aortic calcification.", "Atherosclerosis of the aorta."),
    "Medical material": ("{Kind} in place.",),
}


def words(size_mm: float | None, side: str | None, place: str | None, kind: str | None = None) -> dict[str, str]:
    """What the templates can ask for, of one finding.

    Args:
        size_mm: longest diameter of its largest lesion.
        side: left, right, bilateral or None.
        place: for example "left upper lobe"; None where only the side is known.
        kind: of medical material, for example "pacemaker".
    """
    lung = "both lungs" if side == "bilateral" else f"the {side} lung" if side else "the lung"
    kind = kind or "device"
    a_kind, is_are = (kind, "are") if kind.endswith("s") else (f"a {kind}", "is")
    size = round(size_mm) if size_mm else 0
    amount = "small" if size < 130 else "moderate" if size < 190 else "large"
    return {"size": f"{size} mm", "place": f"the {place}" if place else lung, "lung": lung,
            "side": side or "", "Side": (side or "").capitalize(), "amount": amount,
            "Amount": amount.capitalize(), "kind": kind, "Kind": kind.capitalize(),
            "a_kind": a_kind, "A_kind": a_kind.capitalize(), "is_are": is_are,
            "organ": f"the {side} kidney" if side in ("left", "right") else "both kidneys"}
