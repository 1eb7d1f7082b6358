"""The self tests of the modules, journey by journey under pytest: the same code runs in Slicer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import harness

ROOT = Path(__file__).resolve().parents[2]


def names(module: str, *files: str) -> list[str]:
    """The journeys in files of a module's library, in their order."""
    texts = [(ROOT / module / f"{module}Lib" / file).read_text("utf-8") for file in files]
    return [line.split("(")[0].split()[1] for text in texts for line in text.splitlines()
            if line.startswith("    def test_")]


@contextmanager
def loaded(module: str) -> Iterator[type]:
    """The test class of a module, which is loaded for so long."""
    harness.load_module(ROOT / module / f"{module}.py")
    test_class = getattr(sys.modules[module], f"{module}Test")
    test_class.setUpClass()
    try:
        yield test_class
    finally:
        test_class.tearDownClass()
        harness.unload_module(module)


def go(test_class: type, name: str) -> None:
    """One journey."""
    test = test_class()
    test.messageDelay = 0
    test.setUp()
    try:
        getattr(test, name)()
    finally:
        test.tearDown()
