"""`report.html`: one file that shows scan, masks, findings and report together, in any browser, without a network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from uvlm_core.labels import labels
from uvlm_core.report.page_images import KNOTS, PageImages, pack, reduce_images
from uvlm_core.report.plain_text import measurements_by_segment
from uvlm_core.report.provenance import document_kind, document_status, provenance_rows

ASSETS = Path(__file__).resolve().parent / "page_assets"
SCRIPTS = ("page_data.js", "page_views.js", "page_links.js")
WINDOWS = ({"name": "Soft tissue", "level": 40, "width": 400}, {"name": "Lung", "level": -500, "width": 1400},
           {"name": "Bone", "level": 400, "width": 1800})
VIEWS = ({"name": "axial", "title": "Axial"}, {"name": "coronal", "title": "Coronal"},
         {"name": "sagittal", "title": "Sagittal"})
WINDOW_OF_REGION = {"lungs": "Lung", "airways": "Lung", "bones": "Bone"}
STATES = ("present", "uncertain", "absent", "not imaged")
GRAVE = ("side", "presence", "not_imaged")
FLAG_TITLES = {"prior": "Earlier scan", "internal": "Contradiction", "missing": "Not mentioned"}


def render_page(study: dict, hu: np.ndarray, label_map: np.ndarray) -> str:
    """The page as HTML text; the same input gives the same bytes.

    Args:
        study: content of study.json (docs/study-schema.md).
        hu: (Z, Y, X) HU of the scan.
        label_map: (Z, Y, X) uint8 on the same grid.
    """
    import jinja2

    matrix = np.array(study["scan"]["ijk_to_ras"], float)
    images = reduce_images(hu, label_map, matrix, [label.id for label in labels() if label.kind == "lesion"])
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    template = environment.from_string((ASSETS / "page.html").read_text("utf-8"))
    parts = {"css": (ASSETS / "page.css").read_text("utf-8"),
             "script": "\n".join((ASSETS / name).read_text("utf-8") for name in SCRIPTS),
             "data": _script_json(_data(study, images)), "volume": pack(images.codes, differences=True),
             "labels": pack(images.labels)}
    safe = {name: jinja2.utils.markupsafe.Markup(text) for name, text in parts.items()}
    return template.render(**_content(study), **safe)


def write_page(path: str | Path, study: dict, hu: np.ndarray, label_map: np.ndarray) -> None:
    """Writes `render_page` to `path`."""
    Path(path).write_text(render_page(study, hu, label_map), encoding="utf-8", newline="\n")


def _script_json(values: dict) -> str:
    """JSON that cannot end the <script> element it stands in."""
    text = json.dumps(values, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _data(study: dict, images: PageImages) -> dict:
    """What the scripts need: geometry, looks of the labels, and who belongs to whom."""
    table = {label.id: {"title": label.title, "color": list(label.color), "lesion": label.kind == "lesion"}
             for label in labels()}
    matrix = images.ijk_to_ras
    segments = [_segment_data(row, images) for row in study["segments"]]
    sentences = [{"id": row["id"], "segments": row["segments"], "peak": row["attribution_peak_ras_mm"],
                  "findings": row["findings"]} for row in _sentences(study)]
    findings = [{"name": row["name"], "segments": row["segments"]} for row in study["findings"]]
    start, window = _start(study, segments, images)
    return {"shape": list(images.codes.shape), "spacing": [round(step, 5) for step in images.spacing],
            "ijkToRas": matrix.round(6).tolist(), "rasToIjk": np.linalg.inv(matrix).round(9).tolist(),
            "knots": KNOTS, "labels": table, "segments": segments, "sentences": sentences, "findings": findings,
            "start": start, "window": window}


def _segment_data(row: dict, images: PageImages) -> dict:
    return {"id": row["id"], "label": row["label"], "title": row["title"], "bbox": row["bbox_ras_mm"],
            "volume": row["volume_ml"], "point": point_inside(row, images),
            "window": WINDOW_OF_REGION.get(row["region"], "Soft tissue")}


def point_inside(row: dict, images: PageImages) -> list[float]:
    """RAS mm of a voxel of the segment: on the slice through its centroid, or the nearest one that shows it.

    A centroid may lie outside its mask (two lungs, a crescent of fluid), so it is moved to the deepest voxel there.
    """
    from scipy.ndimage import distance_transform_edt

    to_index = np.linalg.inv(images.ijk_to_ras)
    low, high = _index_box(row["bbox_ras_mm"], to_index, images.codes.shape)
    box = tuple(slice(first, last + 1) for first, last in zip(low, high, strict=True))
    mask = images.labels[box] == row["label"]
    centroid = np.array(row["centroid_ras_mm"], float)
    if not mask.any():
        return [round(float(value), 2) for value in centroid]
    middle = (to_index @ np.append(centroid, 1))[2] - low[0]
    slices = np.flatnonzero(mask.any(axis=(1, 2)))
    z = int(slices[np.abs(slices - middle).argmin()])
    depth = distance_transform_edt(np.pad(mask[z], 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    point = images.ijk_to_ras @ np.array([x + low[2], y + low[1], z + low[0], 1.0])
    return [round(float(value), 2) for value in point[:3]]


def _index_box(bbox, to_index: np.ndarray, shape) -> tuple[np.ndarray, np.ndarray]:
    """First and last (z, y, x) index of a box given in RAS mm, within the array."""
    corners = np.array([[bbox[n >> axis & 1][axis] for axis in range(3)] + [1.0] for n in range(8)])
    index = (corners @ to_index.T)[:, 2::-1]
    limit = np.array(shape) - 1
    return (np.clip(np.floor(index.min(0)), 0, limit).astype(int), np.clip(np.ceil(index.max(0)), 0, limit).astype(int))


def _start(study: dict, segments: list[dict], images: PageImages) -> tuple[list[float], str]:
    """Where the page opens: at the likeliest present finding (devices last), else in the middle.

    A finding is where its largest mask is; one without a mask is where the masks are that its sentences speak of.
    """
    by_id = {segment["id"]: segment for segment in segments}
    present = [row for row in study["findings"] if row["state"] == "present"]
    present.sort(key=lambda row: (row["region"] == "devices", -(row["probability"] or 0)))
    places = [row["segments"] for row in present]
    places += [sentence["segments"] for row in present for sentence in _sentences(study)
               if row["name"] in sentence["findings"]]
    for place in places:
        shown = [by_id[name] for name in place if name in by_id]
        if shown:
            largest = max(shown, key=lambda segment: segment["volume"])
            return largest["point"], largest["window"]
    centre = [(size - 1) / 2 for size in images.codes.shape[::-1]]
    lungs = any(row["name"] == "lungs" and row["coverage"] == "imaged" for row in study["regions"])
    return [round(float(value), 2) for value in (images.ijk_to_ras @ [*centre, 1.0])[:3]], \
        "Lung" if lungs else "Soft tissue"


def _sentences(study: dict) -> list[dict]:
    return [sentence for section in study["report"]["sections"] for sentence in section["sentences"]]


def _content(study: dict) -> dict:
    """What the template prints."""
    css = {row["id"]: "rgb({},{},{})".format(*row["color"]) for row in study["segments"]}
    coverage = {row["name"]: row["coverage"] for row in study["regions"]}
    sections = []
    for section in study["report"]["sections"]:
        sentences = [{**row, "peak": row["attribution_peak_ras_mm"], "flags": [_flag(flag) for flag in row["flags"]],
                      "pieces": _pieces(row),
                      "colors": sorted({css[name] for name in row["segments"] if name in css})}
                     for row in section["sentences"]]
        sections.append({"title": section["title"], "coverage": coverage.get(section["name"]),
                         "impression": section["name"] == "impression", "sentences": sentences})
    table = measurements_by_segment(study)
    rows = [{**row, "css": css[row["id"]], **_values(row, table.get(row["id"], {}))} for row in study["segments"]]
    return {"scan": study["scan"], "warnings": study["scan"]["warnings"], "sections": sections,
            "flags": [_flag(flag) for flag in study["report"]["flags"]], "regions": study["regions"],
            "findings": _finding_rows(study), "windows": WINDOWS, "views": VIEWS,
            "not_assessed": [row["name"] for row in study["findings"] if row["state"] == "not assessed"],
            "lesions": [row for row in rows if row["kind"] == "lesion"],
            "organs": [row for row in rows if row["kind"] == "organ"],
            "kind": document_kind(study["provenance"]), "status": document_status(study["provenance"]),
            "provenance": provenance_rows(study["scan"], study["provenance"])}


def _pieces(sentence: dict) -> list[dict]:
    """The sentence's text cut at the fields that were filled in from a mask, these with what the decoder had there."""
    pieces, end = [], 0
    for field in sentence.get("grounded", []):
        pieces.append({"text": sentence["text"][end : field["start"]], "generated": None})
        end = field["end"]
        pieces.append({"text": sentence["text"][field["start"] : end], "generated": field["generated"]})
    return [*pieces, {"text": sentence["text"][end:], "generated": None}]


def _flag(flag: dict) -> dict:
    title = FLAG_TITLES.get(flag["kind"], flag["kind"].replace("_", " ").capitalize())
    return {"title": title, "reason": flag["message"], "level": "error" if flag["kind"] in GRAVE else "warning"}


def _finding_rows(study: dict) -> list[dict]:
    """Present findings first, the likelier the higher; those that the model cannot assess are left out."""
    spoken = {name for row in _sentences(study) for name in row["findings"]}
    rows = []
    for row in study["findings"]:
        if row["state"] not in STATES:
            continue
        imaged = row["state"] != "not imaged" and row["probability"] is not None
        side = row["side"] if row["state"] in ("present", "uncertain") else None
        rows.append({**row, "side": side, "shown": round(100 * row["probability"]) if imaged else None,
                     "percent": round(100 * row["probability"], 1) if imaged else None,
                     "tick": round(100 * row["threshold"], 1) if imaged and row["threshold"] is not None else None,
                     "sentences": row["name"] in spoken})
    return sorted(rows, key=lambda row: (STATES.index(row["state"]), -(row["percent"] or 0)))


def _values(segment: dict, measurements: dict[str, dict]) -> dict:
    """Diameter, volume and mean HU of a segment as printed."""
    diameter, mean = (measurements.get(name, {}).get("value") for name in ("longest_diameter", "mean_hu"))
    volume = segment["volume_ml"]
    return {"diameter": "" if diameter is None else f"{diameter:.0f} mm",
            "volume": f"{volume:.0f} ml" if volume >= 10 else f"{volume:.1f} ml" if volume >= 1 else f"{volume:.2f} ml",
            "hu": "" if mean is None else f"{mean:.0f} HU".replace("-", "−"), "cut": segment["cut_by_border"]}
