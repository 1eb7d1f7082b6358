"""Headless Chromium for the page tests, where it and selenium are installed."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def start_browser(width: int = 1200, height: int = 850):
    """A driver without network; skips the test with the reason where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    binary = next((path for path in map(shutil.which, CHROMIUM) if path), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("no Chromium with chromedriver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     f"--window-size={width},{height}", "--host-resolver-rules=MAP * ~NOTFOUND"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def open_page(driver, path: Path) -> None:
    """Loads a page from disk and waits until its images are unpacked."""
    driver.get(path.resolve().as_uri())
    end = time.monotonic() + 30
    while (state := driver.execute_script("return document.documentElement.dataset.ready")) != "true":
        assert state != "failed", driver.find_element("id", "position").text
        assert time.monotonic() < end, "the page did not get ready"
        time.sleep(0.02)
    settle(driver)


def settle(driver) -> None:
    """Waits for two animation frames, so that everything asked for is drawn."""
    driver.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done));")
