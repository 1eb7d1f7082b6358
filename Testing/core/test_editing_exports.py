"""Comparisons of generated, edited and signed text; the report as text and HTML; speed."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from html.parser import HTMLParser

import pytest
from editing_study import NODULE, Clock, measurement, phantom_study, study

from uvlm_core.errors import EditError
from uvlm_core.report.editing import EditableReport, word_differences
from uvlm_core.report.plain_text import NOTICE


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def report(clock):
    return EditableReport.from_study(study(), clock)


def words(before, after):
    return [(piece.kind, piece.text) for piece in word_differences(before, after)]


def test_words_are_compared_as_a_whole():
    assert words("A 24 mm nodule.", "A 2.4 cm nodule.") == [
        ("same", "A "), ("removed", "24"), ("added", "2.4"), ("same", " "), ("removed", "mm"), ("added", "cm"),
        ("same", " nodule.")]
    assert words("left", "") == [("removed", "left")] and words("", "left") == [("added", "left")]
    assert words("", "") == [] and words("same.", "same.") == [("same", "same.")]


@pytest.mark.parametrize("seed", range(5))
def test_pieces_give_both_texts_back_with_their_places(seed):
    chance = random.Random(seed)
    vocabulary = ["a", "24", "mm", "nodule", ",", ". ", " ", "ü", "2.4", "-", "left"]
    before, after = ("".join(chance.choices(vocabulary, k=40)) for _ in range(2))
    pieces = word_differences(before, after)
    assert "".join(piece.text for piece in pieces if piece.kind != "added") == before
    assert "".join(piece.text for piece in pieces if piece.kind != "removed") == after
    for piece in pieces:
        if piece.kind != "added":
            assert before[slice(*piece.before)] == piece.text
        if piece.kind != "removed":
            assert after[slice(*piece.after)] == piece.text


def test_generated_and_edited_are_compared_by_sentence_with_times(report, clock):
    clock.wait(60)
    report.edit_sentence("s1", "There is a 24 mm nodule in the left lower lobe.")
    clock.wait(60)
    report.remove_sentence("s2")
    new = report.insert_sentence("lungs", "No effusion.")
    report.move_sentence("s7", "abdomen")
    rows = {row.sentence: row for row in report.differences()}
    assert [row.sentence for row in report.differences()] == ["s1", "s2", "s3", new, "s4", "s5", "s7", "s6"]
    assert {name: row.kind for name, row in rows.items() if row.kind != "same"} == {
        "s1": "changed", "s2": "removed", new: "added"}
    assert [(piece.kind, piece.text) for piece in rows["s1"].pieces if piece.kind != "same"] == [
        ("removed", "upper"), ("added", "lower")]
    assert (rows["s1"].time, rows["s2"].time, rows["s3"].time) == ("2026-01-02T10:16:00Z", "2026-01-02T10:17:00Z", None)
    assert rows["s7"].section == "abdomen"


def test_signed_is_compared_with_both(report):
    with pytest.raises(EditError, match="is a draft"):
        report.differences("edited", "signed")
    report.edit_sentence("s3", "No effusion.")
    report.sign("Dr A")
    report.start_addendum("Dr B")
    report.insert_sentence("addendum_1", "A word.")
    assert [row.sentence for row in report.differences("generated", "signed") if row.kind != "same"] == ["s3"]
    assert [row.kind for row in report.differences("signed", "edited") if row.kind != "same"] == ["added"]
    with pytest.raises(EditError, match="no version"):
        report.differences("printed", "edited")
    with pytest.raises(EditError, match="no version"):
        report.text_of("printed")


def test_text_says_everything(report):
    report.override_finding("Lung nodule", "uncertain")
    report.edit_sentence("s3", "There is consolidation in the left lower lobe.")
    report.apply_measurements([measurement(NODULE, "longest_diameter", 17.0)])
    text = report.to_text()
    assert text.startswith(NOTICE) and text.endswith(NOTICE + "\n")
    for part in ("a <scan> & more.nii.gz", "Draft, not signed.", "1 changed", "[check: The text says consolidation",
                 "'24 mm': the mask measures 17 mm now.",
                 "Lung nodule: uncertain, bilateral, set by the reader (model: present)",
                 "lung nodule 1, left upper lobe: longest diameter 17 mm", "Model truth 1, bundle sha256", "cd" * 32):
        assert part in " ".join(text.split()), part
    assert "[check" not in report.to_text(flags=False)
    assert report.to_text() == EditableReport.from_json(report.to_json()).to_text()


class Reader(HTMLParser):
    """Collects the text and checks that every element is closed in its order."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.styles = [], "", {}

    def handle_starttag(self, tag, attributes):
        if tag != "meta":
            self.open.append((tag, dict(attributes).get("style", "")))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        self.text += data
        if self.open and "line-through" in self.open[-1][1]:
            self.styles.setdefault("removed", []).append(data)
        elif self.open and "underline" in self.open[-1][1]:
            self.styles.setdefault("added", []).append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def test_html_is_escaped_and_complete(report):
    report.edit_sentence("s3", 'No <script>alert("x")</script> & such.')
    report.sign("Dr <A>")
    report.add_addendum("Dr B", "Late <b>word</b>.")
    page = report.to_html()
    assert "<script" not in page and "<b>word" not in page and "&lt;script&gt;" in page
    reader = read(page)
    for part in (NOTICE, 'No <script>alert("x")</script> & such.', "a <scan> & more.nii.gz", "Signed by Dr <A> on",
                 "Late <b>word</b>.", "signed by Dr B", report.signature.sha256, report.addenda[0].signature.sha256,
                 "Provenance", "cd" * 32, "lung nodule 1"):
        assert part in reader.text, part
    assert reader.text.count(NOTICE) == 2
    assert "http" not in page


def test_html_shows_tracked_edits(report):
    assert read(report.to_html(tracked=True)).styles == {"removed": ["removed"], "added": ["added"]}  # the legend
    report.edit_sentence("s1", "There is a 24 mm nodule in the left lower lobe.")
    report.remove_sentence("s2")
    report.insert_sentence("lungs", "No effusion.")
    reader = read(report.to_html(tracked=True))
    assert reader.styles["removed"][1:] == ["upper", "A 9 mm nodule in the right lower lobe."]
    assert reader.styles["added"][1:] == ["lower", "No effusion."]
    assert "[2026-01-02T10:15:00Z]" in reader.text
    assert "A 9 mm nodule" not in read(report.to_html()).text


def test_html_of_a_real_study():
    report = EditableReport.from_study(phantom_study(8).content)
    text = read(report.to_html(tracked=True)).text
    assert "A phantom <made> by code." in text
    for sentence in report.sentences:
        assert sentence.text in text


def test_the_editor_needs_no_numpy_and_no_torch(root):
    code = ("import sys; sys.path.insert(0, sys.argv[1]); import uvlm_core.report.editing.html_export, "
            "uvlm_core.report.editing.text_export; "
            "print([name for name in ('numpy', 'scipy', 'torch', 'jinja2', 'slicer') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_300_sentences_stay_fast(short_collections):
    """Typing a letter with everything that an editor reads afterwards: flags, fields, layout."""
    nouns = ("A 24 mm nodule in the left upper lobe.", "No consolidation.", "There is a 31 mm lesion in the liver.",
             "The heart is normal in size.", "No pleural effusion on either side.")
    text = "\n".join(f"{title}: {' '.join(nouns[number % 5] for number in range(60))}" for title in (
        "Lungs", "Pleura", "Heart and vessels", "Upper abdomen", "Impression"))
    clock = Clock(step=0.1)
    report = EditableReport.from_study(study(text), clock)
    assert len(report.sentences) == 300
    _ = report.sections, report.all_flags
    place = report.layout().span_of("s151")[1] - 1
    times = []
    for number in range(60):
        begin = time.process_time()
        report.replace_range(place + number, 0, "abcdefghij "[number % 11])
        _ = report.sections, report.all_flags, report.stale_fields, report.layout().text
        times.append(time.process_time() - begin)
    assert statistics.median(times) < 0.015  # 4 ms on an idle core of 2024; a busy one gets a margin
    assert len(report.changes) == 1
    report.to_json()
    report.replace_range(place, 0, "x")
    begin = time.process_time()
    report.to_json()
    assert time.process_time() - begin < 0.02  # saved after every letter: rows that did not change cost nothing
    begin = time.process_time()
    report.apply_measurements([measurement(NODULE, "longest_diameter", 17.0)])
    assert len(report.stale_fields) == 60
    assert time.process_time() - begin < 0.2
    print(f"a letter among 300 sentences: {1000 * statistics.median(times):.1f} ms")
