"""What the extension says about itself is the same in CMake, in both catalog entries and in pyproject.toml."""

from __future__ import annotations

import json
import re
import struct
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("UVLMReport", "UVLMTrain")
SCHEMA = "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/slicer-extension-catalog-entry-schema-v1.0.1.json#"
# The keys of that schema, with their types; it allows no others.
ENTRY = {"$schema": str, "category": str, "scm_url": str, "scm_revision": str, "scm_type": str, "enabled": bool,
         "build_dependencies": list, "build_subdirectory": str, "tier": int}


@pytest.fixture(scope="module")
def cmake(root) -> dict[str, str]:
    text = (root / "CMakeLists.txt").read_text("utf-8")
    return dict(re.findall(r'^set\(EXTENSION_(\w+) "([^"]*)"\)$', text, re.MULTILINE))


@pytest.fixture(scope="module")
def entry(root) -> dict:
    return json.loads((root / "UVLM.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def old_entry(root) -> dict[str, str]:
    lines = (root / "UVLM.s4ext").read_text("utf-8").splitlines()
    return dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))


@pytest.fixture(scope="module")
def project(root) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_entry_is_what_its_schema_allows(entry):
    assert entry["$schema"] == SCHEMA
    assert set(entry) <= set(ENTRY) and {"$schema", "category", "scm_url"} <= set(entry)
    assert all(type(value) is ENTRY[key] for key, value in entry.items())
    assert 1 <= entry["tier"] <= 5 and entry["category"] == "Segmentation"  # one of the Index's own list


def test_the_old_entry_has_every_key(old_entry):
    assert set(old_entry) == {"scm", "scmurl", "scmrevision", "depends", "build_subdirectory", "homepage",
                              "contributors", "category", "iconurl", "description", "screenshoturls", "enabled",
                              "status"}
    assert all(value.strip() for value in old_entry.values())
    assert "research use only" in old_entry["status"].lower()


def test_all_say_the_same(root, cmake, entry, old_entry, project):
    homepage = cmake["HOMEPAGE"]
    assert homepage == old_entry["homepage"] == project["urls"]["Homepage"]
    assert entry["scm_url"] == old_entry["scmurl"] == homepage + ".git"
    assert entry["scm_revision"] == old_entry["scmrevision"]
    assert f'\nrepository-code: "{homepage}"\n' in (root / "CITATION.cff").read_text("utf-8")
    assert cmake["DESCRIPTION"] == old_entry["description"] == project["description"]
    assert cmake["CATEGORY"] == old_entry["category"] == entry["category"]
    assert cmake["DEPENDS"].split() == old_entry["depends"].split() == entry["build_dependencies"]
    assert entry["build_subdirectory"] == old_entry["build_subdirectory"]
    assert cmake["CONTRIBUTORS"] == old_entry["contributors"] == ", ".join(one["name"] for one in project["authors"])
    assert cmake["ICONURL"] == old_entry["iconurl"]
    assert cmake["SCREENSHOTURLS"] == old_entry["screenshoturls"]


def test_cmake_names_the_extension_and_takes_nothing_on_trust(root, cmake):
    text = (root / "CMakeLists.txt").read_text("utf-8")
    assert re.search(r"^project\(UVLM\)$", text, re.MULTILINE)
    assert re.findall(r"^add_subdirectory\((UVLM\w+)\)$", text, re.MULTILINE) == list(MODULES)
    for part in ("find_package(Slicer REQUIRED)", "include(${Slicer_USE_FILE})",
                 "include(${Slicer_EXTENSION_GENERATE_CONFIG})", "include(${Slicer_EXTENSION_CPACK})"):
        assert part in text
    assert not [value for value in cmake.values() if ";" in value]  # Slicer would read two parts


def test_every_address_names_a_file_of_the_repository(root, cmake):
    raw = cmake["HOMEPAGE"].replace("github.com", "raw.githubusercontent.com") + "/main/"
    for address in (cmake["ICONURL"], *cmake["SCREENSHOTURLS"].split()):
        assert address.startswith(raw) and (root / address.removeprefix(raw)).is_file(), address


@pytest.mark.parametrize("icon", ["Resources/Icons/UVLM.png",
                                  *(f"{module}/Resources/Icons/{module}.png" for module in MODULES)])
def test_icons_have_the_size_that_slicer_asks_for(root, icon):
    assert png_size(root / icon) == (128, 128)


def png_size(path: Path) -> tuple[int, int]:
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR"
    return struct.unpack(">II", data[16:24])


def test_what_the_extensions_index_asks_of_a_repository(root):
    assert (root / "LICENSE").is_file() and (root / "README.md").is_file()
    assert list((root / "Resources" / "Screenshots").glob("*.png"))
    readme = (root / "README.md").read_text("utf-8")
    assert "## Cite" in readme and "Research use only" in readme


@pytest.mark.parametrize("module", MODULES)
def test_the_module_says_the_same_of_itself(root, cmake, module):
    text = (root / module / f"{module}.py").read_text("utf-8")
    assert f'self.parent.contributors = ["{cmake["CONTRIBUTORS"]}"]' in text
    assert f'"qSlicerAbstractCoreModule", "{cmake["CATEGORY"]}"' in text
    assert "Research use only" in re.search(r'helpText = _\("""(.*?)"""\)', text, re.DOTALL)[1]
    assert "arXiv 2603.00479" in re.search(r'acknowledgementText = _\("""(.*?)"""\)', text, re.DOTALL)[1]
    link = re.search(rf'href="{re.escape(cmake["HOMEPAGE"])}#([\w-]+)"', text)
    headings = re.findall(r"^#+ (.*)$", (root / "README.md").read_text("utf-8"), re.MULTILINE)
    assert link[1] in [heading.lower().replace(" ", "-") for heading in headings]
