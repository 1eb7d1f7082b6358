"""One study in the scene: report, masks, findings and attribution as nodes that survive saving and loading.

Nodes of one study (all found by node references of the report node, never by name):
    report       vtkMRMLTextNode   the editable report as JSON (uvlm_core.report.editing); attribute UVLM.role = "report"
    study        vtkMRMLTextNode   study.json as the run wrote it, hidden
    attribution  vtkMRMLTextNode   attribution.npz in base64, hidden
    masks        vtkMRMLTextNode   the run's own segmentation.nii.gz in base64, hidden: what the corrections are compared with
    segmentation vtkMRMLSegmentationNode   segment ids are those of study.json
    findings     vtkMRMLTableNode
    volume       the volume that was read; may be deleted without harm to the text
"""


class StudyScene:
    """A view of one study's nodes. Keeps node ids, never nodes, so that a closed scene cannot hurt.

        StudyScene.find(volumeNode) -> StudyScene or None      StudyScene.all() -> list, in the order of their making
        StudyScene.creating(volumeNode, studyFolder, segmentMap) -> generator for InSteps, returns a StudyScene
        exists, volumeNode, segmentationNode, tableNode, reportNode: None once deleted
        content: dict of study.json as generated           folder: str, of the run, may be gone
        report: the EditableReport, one shared object per report node
        saveReport(): after every change of `report`: into the text node and the findings table, tells `changed`
        attribution() -> dict with maps (sentences, groups, z, y, x) float16, sentence_ids, stages, ijk_to_ras; None without
        changed: Listeners, called with this study
    """
