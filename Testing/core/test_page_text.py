"""What the page and the plain text say, without a browser."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from page_study import lps_arrays, make_study

from uvlm_core.report.page import render_page
from uvlm_core.report.plain_text import plain_text


@pytest.fixture(scope="module")
def html() -> str:
    hu, labels, _ = lps_arrays()
    return render_page(make_study(), hu, labels)


def test_the_same_study_gives_the_same_page(html):
    hu, labels, _ = lps_arrays()
    assert render_page(make_study(), hu, labels) == html


def test_the_page_refers_to_nothing_outside_and_forbids_it(html):
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#)""", html)
    assert not re.search(r"https?://", html)
    assert "default-src 'none'" in html
    assert len(html) < 2_000_000


def test_text_of_scan_and_model_stays_text(html):
    assert "Nodule <b>unchanged" not in html and "Nodule &lt;b&gt;unchanged" in html
    assert "a <scan> & more" not in html
    data = html.split('id="page-data">')[1].split("</script>")[0]
    assert "<" not in data and ">" not in data


def test_states_flags_and_notice_are_shown(html):
    assert html.count("Research use only") >= 2
    assert "There is no &lt;prior&gt; examination &amp; none was read." in html
    rows = re.findall(r'<li class="finding ([\w-]+)" data-finding="([^"]+)"', html)
    assert rows[0] == ("present", "Lung nodule") and rows[-1] == ("not-imaged", "Kidney lesion")
    assert "Not assessed by this model: Bronchiectasis." in html
    kidney = html.split('data-finding="Kidney lesion"')[1].split("</li>")[0]
    assert "not imaged" in kidney and "%" not in kidney, "no probability for what was not imaged"


def opening(study: dict) -> tuple[list[float], str]:
    """RAS mm and window at which the page of a study opens."""
    hu, labels, _ = lps_arrays()
    data = json.loads(render_page(study, hu, labels).split('id="page-data">')[1].split("</script>")[0])
    return data["start"], data["window"]


def test_a_finding_without_a_mask_opens_the_page_at_the_organ_of_its_sentence():
    study = make_study()
    for row in study["findings"]:
        row["state"], row["segments"] = "present" if row["name"] == "Liver lesion" else "absent", []
    start, window = opening(study)
    low, high = (np.array(study["segments"][1]["bbox_ras_mm"][side]) for side in (0, 1))
    assert (low <= start).all() and (start <= high).all() and window == "Soft tissue"


def test_a_page_of_an_abdomen_does_not_open_in_the_lung_window():
    study = make_study()
    for row in study["findings"]:
        row["state"], row["segments"] = "absent", []
    assert opening(study)[1] == "Lung"
    study["regions"] = [{**row, "coverage": "partly imaged" if row["name"] == "lungs" else row["coverage"]}
                        for row in study["regions"]]
    assert opening(study)[1] == "Soft tissue"


def test_plain_text_has_notice_flags_and_measurements():
    text = plain_text(make_study())
    lines = text.splitlines()
    assert lines[0] == lines[-1] == "RESEARCH USE ONLY. NOT FOR CLINICAL DECISIONS."
    assert "[check: There is no <prior> examination & none was read.]" in text
    assert "Kidney lesion: not imaged" in text
    assert "lung nodule, left upper lobe: longest diameter 24.3 mm" in text
    assert max(map(len, lines)) <= 110


@pytest.mark.parametrize(("edited", "kind", "status"), [
    (None, "report draft", ""),
    ({"state": "draft", "changes": 1, "signed_by": None, "signed_at": None}, "report draft",
     "Corrected by a reader (1 change), not signed."),
    ({"state": "signed", "changes": 3, "signed_by": "A. <B>", "signed_at": "2026-11-25T04:31:07Z"}, "signed report",
     "Signed by A. &lt;B&gt;, 2026-11-25 04:31 UTC, after 3 changes."),
    ({"state": "addendum", "changes": 0, "signed_by": "A", "signed_at": "2026-11-25T04:31:07Z"},
     "signed report with addendum", "Signed by A, 2026-11-25 04:31 UTC, after 0 changes.")])
def test_the_title_says_whether_the_report_is_signed(edited, kind, status):
    study = make_study()
    study["provenance"] = {**study["provenance"], **({"edited": edited} if edited else {})}
    hu, labels, _ = lps_arrays()
    page = render_page(study, hu, labels)
    assert f"UVLM {kind}</title>" in page and f"<h1>{kind.capitalize()}</h1>" in page
    assert status in page and ('<p class="small muted">Signed' in page) == kind.startswith("signed")
    assert ("draft" in page.split('<article class="card findings">')[0]) == (kind == "report draft")
    assert f"UVLM {kind} for" in plain_text(study)
