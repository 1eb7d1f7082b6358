"""What is installed is what was tested: one version, every module, and the files of Resources inside the wheel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from uvlm_core.version import VERSION

BUILD = "from setuptools import build_meta; import sys; build_meta.build_wheel(sys.argv[1])"


@pytest.fixture(scope="module")
def project(root) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory) -> Path:
    """Built from a copy, so that nothing is left in the checkout, and without a network."""
    import shutil

    pytest.importorskip("setuptools", minversion="77", reason="building a wheel needs setuptools 77; see extra 'dev'")
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, folder)
    for name in ("uvlm_core", "Resources"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-c", BUILD, "dist"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return next((folder / "dist").glob("*.whl"))


def test_the_version_is_the_same_everywhere(root, wheel):
    assert wheel.name == f"slicer_uvlm-{VERSION}-py3-none-any.whl"
    assert f"\nversion: {VERSION}\n" in (root / "CITATION.cff").read_text("utf-8")
    assert f"\n## {VERSION}" in (root / "CHANGELOG.md").read_text("utf-8")
    assert "version" not in tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_wheel_has_every_module_and_resource(root, wheel):
    packed = set(zipfile.ZipFile(wheel).namelist())
    ours = [path for path in (root / "uvlm_core").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert [str(path) for path in ours if path.relative_to(root).as_posix() not in packed] == []
    for folder in ("Labels", "Recipes", "Schemas", "Models/demo"):
        for path in (root / "Resources" / folder).glob("*"):
            assert f"uvlm_core/_resources/{folder}/{path.name}" in packed
    assert not [name for name in packed if name.startswith(("Testing", "tests", "Resources"))]


def test_an_installed_wheel_finds_its_resources(root, wheel, tmp_path):
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "site")
    code = ("import uvlm_core\nfrom uvlm_core.labels import findings\nfrom uvlm_core.resources import resource\n"
            "from uvlm_core.training.recipe import load_recipe\n"
            "print(uvlm_core.__file__, len(findings()), resource('Labels', 'labels.json'), load_recipe('demo').name)")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120,
                          env={**os.environ, "PYTHONPATH": str(tmp_path / "site")})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(str(tmp_path / "site")) == 2 and " 21 " in done.stdout


def test_everything_needed_to_run_has_a_known_good_version(root, project):
    pinned = {line.split("==")[0].lower() for line in (root / "constraints.txt").read_text("utf-8").splitlines()
              if "==" in line}
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *(name for extra in extras.values() for name in extra)]
    names = {re.split(r"[\[><=~! ]", name)[0].lower() for name in wanted} - {"slicer-uvlm", "setuptools"}
    assert names - pinned == set()


def test_dependencies_are_ranges_that_fit_slicer(project):
    for name in project["project"]["dependencies"]:
        assert re.fullmatch(r"[A-Za-z0-9_.-]+>=[0-9.]+", name), f"{name}: no pin and no upper limit"


def test_the_licence_is_the_whole_apache_2(root):
    text = (root / "LICENSE").read_text("utf-8")
    assert "Apache License" in text and "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION" in text
    assert "END OF TERMS AND CONDITIONS" in text and len(text) > 10000


def test_the_demo_model_is_small_and_unaltered(root):
    from uvlm_core.model.bundle import verify_bundle

    folder = root / "Resources" / "Models" / "demo"
    if not (folder / "bundle.json").exists():
        pytest.skip("the demo model is not in this checkout")
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 15_000_000
    assert "research" in verify_bundle(folder).intended_use.lower()


def test_every_file_that_the_readme_links_to_exists(root):
    text = (root / "README.md").read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not link.startswith("http")]
    assert links and [link for link in links if not (root / link).exists()] == []
