"""Tiny data sets in the layouts of the real ones, cut from one phantom, with the traps that the real ones have."""

from __future__ import annotations

import csv
import json
from functools import cache
from pathlib import Path

import nibabel
import numpy as np

from uvlm_core.labels import findings, label_named, labels
from uvlm_core.phantom.generator import make_phantom
from uvlm_core.volumes.volume import Volume
from uvlm_core.volumes.writing import write_labelmap, write_volume

SHAPE = (48, 64, 64)
REPORT = "Lungs: There is a consolidation in the right upper lobe."


@cache
def phantom(seed: int = 5):
    return make_phantom(seed, SHAPE)


def scan(path: Path, seed: int = 5, shift: int = 0) -> Path:
    """A phantom's scan; another `shift` makes other values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    volume = phantom(seed).volume
    return write_volume(path, Volume(volume.array + np.int16(shift), volume.ijk_to_ras))


def mask(path: Path, *names: str, seed: int = 5) -> Path:
    """0/1 mask of some of UVLM's labels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = [label_named(name).id for name in names]
    return write_labelmap(path, np.isin(phantom(seed).labels, ids).astype(np.uint8), phantom(seed).volume)


def table(path: Path, rows: list[dict], separator: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)
    return path


def blank(path: Path, stored: np.ndarray) -> Path:
    """A NIfTI whose header says nothing: no orientation, voxels of 1 mm; `stored` is (Z, Y, X)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(np.asfortranarray(stored.transpose(2, 1, 0)), None)
    nibabel.save(image, path)
    return path


def ct_rate(folder: Path) -> Path:
    """Two patients; two reconstructions of the first scan; the validation volume is of the older, blank release."""
    base = folder / "dataset"
    for name in ("train_1_a_1", "train_1_a_2"):
        scan(base / "train_fixed" / "train_1" / "train_1_a" / f"{name}.nii.gz", shift=int(name[-1]))
    raw = phantom().volume.array[:, ::-1, ::-1].clip(-1024)  # rows to the left, columns to posterior
    blank(base / "valid" / "valid_7" / "valid_7_a" / "valid_7_a_1.nii.gz", (raw + 8192).astype(np.int16))
    scan(base / "valid_fixed" / "valid_9" / "valid_9_a" / "valid_9_a_1.nii.gz")
    names = [finding.name for finding in findings() if finding.source == "CT-RATE"]
    labels18 = dict.fromkeys(names, 0) | {"Consolidation": 1}
    text = {"ClinicalInformation_EN": "", "Technique_EN": "Not given."}
    rows = [{"VolumeName": "train_1_a_1.nii.gz", **text, "Impressions_EN": "Pneumonia.",
             "Findings_EN": "There is consolidation in the right upper lobe."}]
    table(base / "radiology_text_reports" / "train_reports.csv", rows)
    table(base / "radiology_text_reports" / "validation_reports.csv", [
        {"VolumeName": "valid_7_a_1.nii.gz", **text, "Findings_EN": "Not given.", "Impressions_EN": "Not given."},
        {"VolumeName": "valid_8_a_1.nii.gz", **text, "Findings_EN": "Normal.", "Impressions_EN": "Not given."}])
    table(base / "multi_abnormality_labels" / "train_predicted_labels.csv", [
        {"VolumeName": "train_1_a_1.nii.gz", **labels18}, {"VolumeName": "train_1_a_2.nii.gz", **labels18}])
    table(base / "multi_abnormality_labels" / "valid_predicted_labels.csv",
          [{"VolumeName": "valid_7_a_1.nii.gz", **labels18}])
    z, y, _ = phantom().volume.spacing
    about = {"RescaleSlope": 1, "RescaleIntercept": -8192, "XYSpacing": f"[{y}, {y}]", "ZSpacing": z,
             "PatientSex": "F", "PatientAge": "054Y"}
    table(base / "metadata" / "train_metadata.csv", [{"VolumeName": "train_1_a_1.nii.gz", **about}])
    table(base / "metadata" / "validation_metadata.csv", [{"VolumeName": "valid_7_a_1.nii.gz", **about}])
    (base / "metadata" / "no_chest_valid.txt").write_text("valid_9_a_1.nii.gz\n", "utf-8")
    return folder


def rexgroundingct(folder: Path) -> Path:
    """One scan with two findings: mask (F, H, W, D), voxel value = entity id, affine without meaning."""
    lesion = (phantom().labels == label_named("consolidation").id).transpose(2, 1, 0)
    stack = np.stack([lesion * 1, np.roll(lesion, 5, 0) * 2]).astype(np.uint8)
    (folder / "segmentations").mkdir(parents=True)
    nibabel.save(nibabel.Nifti1Image(stack, np.eye(4)), folder / "segmentations" / "train_1_a_1.nii.gz")
    entry = {"name": "train_1_a_1.nii.gz", "shape": list(lesion.shape), "protocol": "chest",
             "findings": {"0": "Consolidation in the right upper lobe", "1": "A 6 mm nodule in the left lower lobe"},
             "categories": {"0": "2b", "1": "2d"}, "entity_counts": {"0": 1, "1": 2}, "pixels": {"0": 9, "1": 9}}
    (folder / "dataset.json").write_text(json.dumps({"train": [entry], "val": [], "test": []}), "utf-8")
    return folder


def radgenome(folder: Path) -> Path:
    """Region masks of one training volume; sentences with and without a region."""
    base = folder / "dataset"
    for region, name in {"heart": "heart", "trachea and bronchie": "trachea", "esophagus": "esophagus"}.items():
        mask(base / "train_region_mask" / "seg_train_1_a_1" / f"{region}.nii.gz", name)
    table(base / "radgenome_files" / "train_region_report.csv", [
        {"Volumename": "train_1_a_1.nii.gz", "Anatomy": "heart", "Sentence": "The heart is normal."},
        {"Volumename": "train_1_a_1.nii.gz", "Anatomy": "", "Sentence": "No lymphadenopathy."}])
    table(base / "radgenome_files" / "validation_region_report.csv", [
        {"Volumename": "valid_7_a_1.nii.gz", "Anatomy": "lung", "Sentence": "The lungs are clear."}])
    return folder


def abdomen_atlas(folder: Path, apart: bool = True) -> Path:
    """Two scans; `apart` is the distribution's layout, otherwise RadGPT's with scan and masks in one folder."""
    for number in (1, 2):
        name = f"BDMAP_0000000{number}"
        scan((folder / "image_only" if apart else folder) / name / "ct.nii.gz", shift=number)
        parts = (folder / "mask_only" if apart else folder) / name / "segmentations"
        for structure in ("liver", "kidney_left", "kidney_right", "liver_lesion"):
            mask(parts / f"{structure}.nii.gz", structure)
        mask(parts / "pancreatic_lesion.nii.gz", "pancreas_lesion")
        mask(parts / "postcava.nii.gz", "aorta")
    table(folder / "AbdomenAtlas3.0MiniWithMeta.csv", [
        {"BDMAP ID": "BDMAP_00000001", "structured report": "Liver: No lesion.\n\nKidney: Normal.",
         "narrative report": "The liver is normal.", "number of liver lesion instances": "0", "sex": "M",
         "age": "61.0"},
        {"BDMAP ID": "BDMAP_00000003", "structured report": "", "narrative report": "",
         "number of liver lesion instances": "2", "sex": "F", "age": ""}])
    table(folder / "TrainTestIDS" / "IID_train.csv", [{"BDMAP ID": "BDMAP_00000001"}])
    table(folder / "TrainTestIDS" / "IID_test.csv", [{"BDMAP ID": "BDMAP_00000002"}])
    return folder


def totalsegmentator(folder: Path) -> Path:
    for number, name in enumerate(("s0000", "s0001")):
        scan(folder / name / "ct.nii.gz", shift=number)
        for structure, names in {"liver": ("liver",), "lung_upper_lobe_left": ("lung_upper_lobe_left",),
                                 "vertebrae_L1": ("spine",), "urinary_bladder": ()}.items():
            mask(folder / name / "segmentations" / f"{structure}.nii.gz", *names)
    table(folder / "meta.csv", [
        {"image_id": "s0000", "age": "60", "gender": "f", "split": "train"},
        {"image_id": "s0001", "age": "", "gender": "m", "split": "val"}], ";")
    return folder


def amos22(folder: Path) -> Path:
    """CT 1 and 2, MR 507; images without a channel number, as distributed."""
    names = {"0": "background", "1": "spleen", "2": "right kidney", "3": "duodenum"}
    for name in ("amos_0001", "amos_0002", "amos_0507"):
        scan(folder / "imagesTr" / f"{name}.nii.gz", shift=int(name[-1]))
        _numbered(folder / "labelsTr" / f"{name}.nii.gz", ("spleen", "kidney_right", "bowel"))
    (folder / "dataset.json").write_text(json.dumps({"name": "AMOS", "labels": names}), "utf-8")
    return folder


def nnunet(folder: Path) -> Path:
    """Two scans with a second channel, one test scan, folds; labels as regions."""
    for name in ("case_1", "case_2"):
        for channel in (0, 1):
            scan(folder / "imagesTr" / f"{name}_000{channel}.nii.gz", shift=int(name[-1]))
        _numbered(folder / "labelsTr" / f"{name}.nii.gz", ("liver", "liver_lesion", "heart"))
    scan(folder / "imagesTs" / "case_3_0000.nii.gz", shift=3)
    content = {"channel_names": {"0": "CT", "1": "CT"}, "file_ending": ".nii.gz", "numTraining": 2,
               "labels": {"background": 0, "liver": [1, 2], "liver_tumor": [2], "ignore": 3}}
    (folder / "dataset.json").write_text(json.dumps(content), "utf-8")
    (folder / "splits_final.json").write_text(json.dumps([{"train": ["case_1"], "val": ["case_2"]},
                                                          {"train": ["case_2"], "val": ["case_1"]}]), "utf-8")
    return folder


def _numbered(path: Path, names: tuple[str, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = np.zeros(256, np.uint8)
    for number, name in enumerate(names, 1):
        numbers[label_named(name).id] = number
    write_labelmap(path, numbers[phantom().labels], phantom().volume)


def released_tables(folder: Path) -> Path:
    """blosc2 arrays (X, Y, Z) that its tables name by the paths of another machine."""
    import blosc2

    (folder / "arrays").mkdir(parents=True)
    image, labelled = (np.ascontiguousarray(array[:, ::-1, ::-1].transpose(2, 1, 0))
                       for array in (phantom().volume.array, phantom().labels))
    blosc2.asarray(image, urlpath=str(folder / "arrays" / "train_1_a_1.b2nd"), mode="w")
    blosc2.asarray(labelled, urlpath=str(folder / "arrays" / "train_1_a_1_seg.b2nd"), mode="w")
    path = "/scratch/somebody/arrays/train_1_a_1.b2nd"
    table(folder / "report.csv", [{
        "series_id": "train_1_a_1", "case_id": "train_1", "report": "Findings: Consolidation.", "blosc2_path": path,
        "processed_shape": "[192, 256, 256]", "Consolidation": "1", "Lung nodule": "0", "Unheard of": "1"}])
    table(folder / "seg.csv", [{"series_id": "train_1_a_1", "blosc2_path": path,
                                "seg_blosc2_path": path.replace(".b2nd", "_seg.b2nd")}])
    names = {"background": 0, **{label.name: label.id for label in labels()}}
    (folder / "dataset.json").write_text(json.dumps({"labels": names}), "utf-8")
    return folder


def kept_cases(folder: Path) -> Path:
    """A signed case whose user stands for two labels, and a draft, written by UVLMReport's own code."""
    from uvlm_core.inference.keeping import keep_case

    folder.mkdir(parents=True)
    original = write_labelmap(folder / "original.nii.gz", phantom().labels, phantom().volume)
    text = "Lungs: There is a consolidation in the right upper lobe. No evidence of emphysema."
    for name, state in (("a-signed", "signed"), ("b-draft", "draft")):
        volume = Volume(phantom().volume.array + np.int16(len(state)), phantom().volume.ijk_to_ras)
        report = {"state": state, "generated": "Lungs: No consolidation.", "edited": text,
                  "signed": text if state == "signed" else None, "edits": [],
                  "findings": [{"name": "Lung nodule", "state": "absent", "by": "user"},
                               {"name": "Hiatal hernia", "state": "present", "by": "model"}]}
        case = {"schema": "uvlm-kept-case/1", "case_id": name, "patient": "", "kept": "2026-01-02T10:15:00Z",
                "labels": {str(label.id): label.name for label in labels()}, "scan": {}, "provenance": {},
                "reviewed_labels": ["consolidation", "liver"] if state == "signed" else None}
        keep_case(folder / name, volume, phantom().labels, original, report, case)
    original.unlink()
    return folder


def plain_folder(folder: Path) -> Path:
    scan(folder / "first.nii.gz", shift=1)
    _numbered(folder / "first_seg.nii.gz", ("liver", "heart"))
    (folder / "first.txt").write_text(REPORT, "utf-8")
    scan(folder / "sub" / "second.nii.gz", shift=2)
    (folder / "labels.json").write_text(json.dumps({"1": "liver", "2": "heart"}), "utf-8")
    table(folder / "list.csv", [
        {"file": "second.nii.gz", "patient": "p2", "report": REPORT, "Nodule": "1", "split": "val"},
        {"file": "third.nii.gz", "patient": "p3", "report": "", "Nodule": "", "split": ""}], ";")
    return folder


def patient_folders(folder: Path) -> Path:
    """The same names in the folder of each patient, as most people keep their own scans."""
    for number, organ in enumerate(("liver", "heart"), 1):
        scan(folder / f"p{number}" / "ct.nii.gz", shift=number)
        _numbered(folder / f"p{number}" / "ct_seg.nii.gz", (organ,))
        (folder / f"p{number}" / "ct.txt").write_text(f"Patient {number}.", "utf-8")
    (folder / "labels.json").write_text(json.dumps({"1": "organ"}), "utf-8")
    return folder


def phantoms(folder: Path) -> Path:
    """Two cases as `uvlm phantom` writes them."""
    for seed in (20, 21):
        scan(folder / "images" / f"phantom_{seed}.nii.gz", seed)
        _copy_labels(folder / "labels" / f"phantom_{seed}.nii.gz", seed)
    table(folder / "cases.csv", [
        {"case": f"phantom_{seed}", "image": f"images/phantom_{seed}.nii.gz", "label": f"labels/phantom_{seed}.nii.gz",
         "report": phantom(seed).report(), "seed": seed, "imaged": " ".join(sorted(phantom(seed).imaged)),
         "findings": "[]", **phantom(seed).present} for seed in (20, 21)])
    return folder


def _copy_labels(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_labelmap(path, phantom(seed).labels, phantom(seed).volume)


BUILDERS = {"ct-rate": ct_rate, "rexgroundingct": rexgroundingct, "radgenome-chestct": radgenome,
            "abdomen-atlas": abdomen_atlas, "totalsegmentator": totalsegmentator, "amos22": amos22, "nnunet": nnunet,
            "released-tables": released_tables, "kept-cases": kept_cases, "plain-folder": plain_folder,
            "phantoms": phantoms}
