"""The page in a real browser: what a reader clicks is what the pictures show."""

from __future__ import annotations

import numpy as np
import pytest
from browser import open_page, settle, start_browser
from page_study import LIVER, NODULE, lps_arrays, make_study

from uvlm_core.report.page import render_page


@pytest.fixture(scope="module")
def page_path(tmp_path_factory):
    hu, labels, _ = lps_arrays()
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_page(make_study(), hu, labels), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def driver():
    driver = start_browser()
    yield driver
    driver.quit()


@pytest.fixture
def page(driver, page_path):
    open_page(driver, page_path)
    return driver


def click(page, selector: str) -> None:
    page.find_element("css selector", selector).click()
    settle(page)


def view(page, name: str) -> dict:
    """Slice number and highlighted voxels of a view."""
    return page.execute_script("const c = document.querySelector(`canvas[data-view=${arguments[0]}]`);"
                               "return {slice: +c.dataset.slice, lit: +c.dataset.highlighted, wide: c.width}", name)


def pixels(page, name: str, step: int = 5) -> np.ndarray:
    """(height, width, 3) of what a canvas shows, every `step`-th pixel, so that few numbers have to be sent."""
    width, values = page.execute_script(
        "const c = document.querySelector(`canvas[data-view=${arguments[0]}]`), step = arguments[1], out = [];"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "for (let y = 0; y < c.height; y += step) for (let x = 0; x < c.width; x += step) {"
        "  const n = 4 * (y * c.width + x); out.push(d[n], d[n + 1], d[n + 2]); }"
        "return [Math.ceil(c.width / step), out.join(' ')]", name, step)
    return np.array(values.split(), int).reshape(-1, width, 3)


def test_it_opens_at_the_present_finding_without_an_error(page):
    assert abs(view(page, "axial")["slice"] - NODULE[0]) <= 1
    assert not [row for row in page.get_log("browser") if row["level"] == "SEVERE"]


def test_a_click_on_a_sentence_moves_the_slices_and_lights_its_mask(page):
    click(page, '[data-sentence="s3"]')
    first = view(page, "axial")
    assert LIVER[0].start <= first["slice"] < LIVER[0].stop and first["lit"] > 500
    click(page, '[data-sentence="s1"]')
    second = view(page, "axial")
    assert abs(second["slice"] - NODULE[0]) <= 1 and 20 < second["lit"] < 100
    assert page.find_element("css selector", ".sentence.active").text.startswith("A 24 mm nodule")
    assert [row.text.split("\n")[0] for row in page.find_elements("css selector", ".finding.active")] == ["Lung nodule"]


def test_the_highlight_is_where_the_patients_left_is(page):
    """Radiological convention: the left lung, and the red of its nodule, are on the right of the axial picture."""
    click(page, '[data-sentence="s1"]')
    for name in ("axial", "coronal"):
        shown = pixels(page, name)
        red = np.argwhere((shown[..., 0] > 150) & (shown[..., 0] - shown[..., 1] > 80))
        assert len(red) > 10
        middle = shown.shape[1] / 2
        assert red[:, 1].mean() > middle * 1.1, f"{name}: the left nodule is on the right of the picture"
    letters = page.execute_script("return axes.axial.letters.slice(0, 2)")
    assert letters == ["R", "L"]


def test_a_click_on_a_mask_lights_up_its_sentences(page):
    click(page, '[data-sentence="s3"]')
    click(page, "#clear")
    assert not page.find_elements("css selector", ".sentence.active")
    canvas = page.find_element("css selector", 'canvas[data-view="coronal"]')
    place = page.execute_script("const v = views.coronal, r = v.canvas.width / v.canvas.clientWidth, p = onPicture(v);"
                                "return [p[0] / r - v.canvas.clientWidth / 2, p[1] / r - v.canvas.clientHeight / 2]")
    from selenium.webdriver import ActionChains

    ActionChains(page).move_to_element_with_offset(canvas, *map(round, place)).click().perform()
    settle(page)
    lit = page.find_elements("css selector", ".sentence.active")
    assert [row.get_attribute("data-sentence") for row in lit] == ["s3"]
    assert page.find_element("id", "under").text == "liver"


def test_a_finding_and_a_measurement_show_their_mask(page):
    for selector in ('[data-finding="Lung nodule"]', 'tr[data-segment="lung_nodule-1"]'):
        click(page, '[data-sentence="s3"]')
        click(page, selector)
        assert abs(view(page, "axial")["slice"] - NODULE[0]) <= 1
        assert view(page, "axial")["lit"] > 20


def test_keys_wheel_and_slider_change_slices_and_escape_clears(page):
    click(page, '[data-sentence="s1"]')
    before = view(page, "axial")["slice"]
    canvas = page.find_element("css selector", 'canvas[data-view="axial"]')
    canvas.send_keys("\ue013")  # arrow up
    settle(page)
    assert view(page, "axial")["slice"] == before + 1
    page.execute_script("arguments[0].dispatchEvent(new WheelEvent('wheel', {deltaY: 120, cancelable: true}))", canvas)
    settle(page)
    assert view(page, "axial")["slice"] == before - 2
    page.execute_script("const s = document.querySelector('[data-slider=axial]'); s.value = 7;"
                        "s.dispatchEvent(new Event('input'))")
    settle(page)
    assert view(page, "axial")["slice"] == 7
    page.find_element("css selector", "body").send_keys("\ue00c")
    settle(page)
    assert not page.find_elements("css selector", ".active")


def test_a_sentence_is_reached_and_chosen_by_keyboard(page):
    sentence = page.find_element("css selector", '[data-sentence="s3"]')
    page.execute_script("arguments[0].focus()", sentence)
    sentence.send_keys("\ue007")
    settle(page)
    assert sentence.get_attribute("aria-pressed") == "true"
    assert LIVER[0].start <= view(page, "axial")["slice"] < LIVER[0].stop


def test_windows_and_masks_change_the_picture(page):
    soft = page.find_elements("css selector", ".segmented button")
    pictures = []
    for button in soft:
        button.click()
        settle(page)
        pictures.append(pixels(page, "axial")[..., 0])
    assert np.abs(pictures[0] - pictures[1]).mean() > 5 and np.abs(pictures[1] - pictures[2]).mean() > 5
    click(page, "#overlay")
    grey = pixels(page, "axial")
    assert np.abs(grey[..., 0] - grey[..., 2]).mean() < 3, "without masks all is grey"


def test_a_sentence_without_mask_shows_where_the_model_looked(page):
    click(page, '[data-sentence="s2"]')
    assert view(page, "axial")["slice"] == 10 and view(page, "axial")["lit"] == 0


def test_nothing_is_fetched_from_anywhere(page):
    entries = page.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert entries == []
