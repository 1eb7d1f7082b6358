"""The extension configures, builds, installs and packs; what is installed is what git has; it runs from there.

Slicer's own CMake is replaced by Testing/harness/cmake, which refuses what Slicer refuses.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("UVLMReport", "UVLMTrain")
SCRIPTED = "lib/Slicer-5.12/qt-scripted-modules"
# Of the checkout's files, those that belong into the package, and where they lie there.
PACKED = {"uvlm_core/": "uvlm_core/", "UVLMShared/": "UVLMShared/", **{f"{module}/": "" for module in MODULES},
          **{f"Resources/{name}/": f"Resources/{name}/" for name in ("Labels", "Recipes", "Schemas", "Models/demo")}}


def run(*command, cwd: Path | None = None) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def cmake() -> str:
    found = shutil.which("cmake")
    if found is None or not (shutil.which("cc") or shutil.which("cl") or os.environ.get("CC")):
        pytest.skip("building the extension needs cmake and a C compiler; Slicer's build needs both")
    return found


@pytest.fixture(scope="module")
def tracked(root) -> list[str]:
    """Files of the working tree that git tracks."""
    if shutil.which("git") is None or not (root / ".git").exists():
        pytest.skip("comparing the package with git needs a git checkout")
    names = run("git", "ls-files", "-z", cwd=root).split("\0")
    return [name for name in names if name and (root / name).is_file()]


@pytest.fixture(scope="module")
def built(root, cmake, tmp_path_factory) -> Path:
    """The build tree, in a folder with a space and an umlaut as users have them."""
    folder = tmp_path_factory.mktemp("extension") / "build ü"
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    run(cmake, *generator, "-S", root, "-B", folder, f"-DSlicer_DIR={root / 'Testing' / 'harness' / 'cmake'}")
    run(cmake, "--build", folder)
    return folder


@pytest.fixture(scope="module")
def installed(cmake, built, tmp_path_factory) -> Path:
    """The folder of the scripted modules below a fresh prefix."""
    prefix = tmp_path_factory.mktemp("installed") / "UVLM ü"
    run(cmake, "--install", built, "--prefix", prefix)
    return prefix / SCRIPTED


def expected(root: Path, tracked: list[str]) -> dict[str, Path]:
    """Path in the package -> file of the checkout, for every tracked file that belongs into it."""
    files = {"LICENSE": root / "LICENSE"}
    for name in tracked:
        for start, place in PACKED.items():
            if name.startswith(start) and not name.endswith("CMakeLists.txt"):
                packed = place + name.removeprefix(start)
                assert packed not in files, f"two files would lie at {packed} of the flat folder"
                files[packed] = root / name
    return files


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def content(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256(path) for path in folder.rglob("*") if path.is_file()}


def test_what_is_installed_is_what_git_has(root, tracked, installed):
    wanted = {name: sha256(path) for name, path in expected(root, tracked).items()}
    untracked = set(run("git", "ls-files", "--others", "--exclude-standard", "-z", cwd=root).split("\0"))
    not_yet = {place + name.removeprefix(start) for name in untracked
               for start, place in PACKED.items() if name.startswith(start)}  # a developer's new file, to be committed
    found = {name: digest for name, digest in content(installed).items() if name not in not_yet}
    assert sorted(set(wanted) - set(found)) == [], "missing in the package"
    assert sorted(set(found) - set(wanted)) == [], "in the package, but not in git"
    assert [name for name in wanted if wanted[name] != found[name]] == []
    for part in ("UVLMReport.py", "UVLMShared/Bootstrap.py", "Resources/UI/UVLMReport.ui",
                 "Resources/Icons/UVLMReport.png", "uvlm_core/cli.py", "uvlm_core/report/page_assets/page.html",
                 "Resources/Labels/labels.json", "Resources/Models/demo/model.safetensors"):
        assert part in found


def test_the_build_tree_holds_the_same(installed, built):
    assert content(built / SCRIPTED) == content(installed)


def test_the_demo_model_arrives_unaltered(installed):
    folder = installed / "Resources" / "Models" / "demo"
    files = json.loads((folder / "bundle.json").read_text("utf-8"))["files"]
    assert "model.safetensors" in files
    for name, facts in files.items():
        digest = facts if isinstance(facts, str) else facts["sha256"]
        assert sha256(folder / name) == digest, name


def test_only_modules_lie_at_the_top(installed):
    """Slicer tries every .py there as a module."""
    assert {path.stem for path in installed.glob("*.py")} == set(MODULES)


PROBE = """
import sys
import UVLMReportLib
from UVLMShared.Bootstrap import coreRoot, makeCoreImportable
makeCoreImportable()
import uvlm_core
from uvlm_core.labels import findings
from uvlm_core.resources import resource
from uvlm_core.training.recipe import load_recipe
from uvlm_core.version import VERSION
for place in (coreRoot(), uvlm_core.__file__, resource("Labels", "labels.json"), resource("Models", "demo")):
    print(place)
print(len(findings()), load_recipe("demo").name, VERSION, "torch" in sys.modules)
"""


@pytest.mark.parametrize("place", ["checkout", "built", "installed"])
def test_the_core_finds_itself_and_its_files(request, root, place, tmp_path):
    """A bare child that has only the module's own folder on its path, as in Slicer."""
    folder, home = root / "UVLMReport", root
    if place != "checkout":
        folder = home = request.getfixturevalue(place) / (SCRIPTED if place == "built" else "")
    hidden = tmp_path / "sitecustomize.py"  # an installed uvlm_core (pip install -e) must not be what is found
    hidden.write_text("import sys\nsys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in repr(f)]\n"
                      f"sys.path[:] = [p for p in sys.path if p != {str(root)!r}]\n", "utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(folder))), "PYTHONUTF8": "1"}
    done = subprocess.run([sys.executable, "-B", "-c", PROBE], cwd=tmp_path, env=environment, capture_output=True,
                          text=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    *places, facts = done.stdout.splitlines()
    assert len(places) == 4 and all(Path(one).is_relative_to(home.resolve()) for one in places), places
    assert facts.startswith("21 ") and facts.endswith(" False")


def test_the_installed_core_runs_as_the_worker_is_started(installed, tmp_path):
    """The child of Slicer: the core's folder as argument, because Slicer's Python ignores PYTHONPATH for this."""
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from uvlm_core.cli import main; main()"
    done = subprocess.run([sys.executable, "-B", "-c", code, str(installed), "bundle", "verify",
                           str(installed / "Resources" / "Models" / "demo")], cwd=tmp_path, capture_output=True,
                          text=True, encoding="utf-8", timeout=240, env={**os.environ, "PYTHONUTF8": "1"})
    assert done.returncode == 0, done.stderr


IN_SLICER = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
import harness
reason = harness.missing()
if reason is not None:
    raise SystemExit(f"skip: {reason}")
slicer = harness.start()
from pathlib import Path
harness.load_module(Path(sys.argv[2]) / "UVLMReport.py")
import qt
from UVLMReport import UVLMReportLogic
logic, answers = UVLMReportLogic(), []
logic.bundleInfo("", answers.append, answers.append)
end = time.monotonic() + 120
while not answers and time.monotonic() < end:
    slicer.app.processEvents(qt.QEventLoop.AllEvents, 20)
    time.sleep(0.01)
print(json.dumps(answers))
logic.shutdown()
"""


def test_the_installed_module_and_its_worker_run_from_there(root, installed, tmp_path):
    """The module as installed, on the harness; its child finds the demo model of the package."""
    done = subprocess.run([sys.executable, "-B", "-c", IN_SLICER, str(root / "Testing"), str(installed)], cwd=tmp_path,
                          capture_output=True, text=True, encoding="utf-8", timeout=240,
                          env={**os.environ, "PYTHONUTF8": "1", "PYTHONPATH": ""})
    if done.stderr.startswith("skip: "):
        pytest.skip(done.stderr.removeprefix("skip: "))
    assert done.returncode == 0, done.stderr
    (info,) = json.loads(done.stdout.splitlines()[-1])
    assert Path(info["folder"]) == installed.resolve() / "Resources" / "Models" / "demo"


def test_ctest_knows_the_self_tests(built):
    ctest = shutil.which("ctest")
    if ctest is None:
        pytest.skip("ctest is missing beside cmake")
    tests = {one["name"]: one for one in json.loads(run(ctest, "--show-only=json-v1", cwd=built))["tests"]}
    for module in MODULES:
        assert f"py_nomainwindow_qSlicer{module}ModuleGenericTest" in tests
        command = (built / "Testing" / "CTestTestfile.cmake").read_text("utf-8")
        assert f"py_{module}" in tests and f"'{module}')" in command and f"/{module}'" in command


def test_the_package_holds_the_modules_the_core_and_a_description(built, cmake):
    cpack = shutil.which("cpack")
    if cpack is None:
        pytest.skip("cpack is missing beside cmake")
    run(cpack, cwd=built)
    package = next(built.glob("*-UVLM.tar.gz"))
    with tarfile.open(package) as file:
        names = file.getnames()
    assert [name for name in names if name.endswith(f"{SCRIPTED}/UVLMReport.py")]
    assert [name for name in names if name.endswith(f"{SCRIPTED}/Resources/Models/demo/model.safetensors")]
    assert [name for name in names if name.endswith("share/Slicer-5.12/UVLM.s4ext")]
    assert not [name for name in names if "Testing" in name or "__pycache__" in name]
    assert package.stat().st_size < 25_000_000


@pytest.mark.parametrize(("text", "complaint"), [
    ("slicerMacroBuildScriptedModule(NAME Extra SCRIPTS Absent.py)", "Absent.py"),
    ("slicerMacroBuildScriptedModule(NAME Extra FILES a.py)", "unknown arguments"),
    ("ctkMacroCompilePythonScript(TARGET_NAME Extra SCRIPTS a.py DESTINATION_DIR d)", "INSTALL_DIR is mandatory"),
    ("set(EXTENSION_DESCRIPTION one two)\ninclude(${Slicer_EXTENSION_CPACK})", "one quoted text"),
])
def test_the_stand_ins_refuse_what_slicer_refuses(root, cmake, tmp_path, text, complaint):
    (tmp_path / "LICENSE").write_text("-")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(Extra NONE)\nset(EXTENSION_README_FILE "
        "${CMAKE_SOURCE_DIR}/LICENSE)\nset(EXTENSION_LICENSE_FILE ${CMAKE_SOURCE_DIR}/LICENSE)\n"
        f"find_package(Slicer REQUIRED)\ninclude(${{Slicer_USE_FILE}})\n{text}\n", "utf-8")
    stand_ins = root / "Testing" / "harness" / "cmake"
    done = subprocess.run([cmake, "-S", tmp_path, "-B", tmp_path / "build", f"-DSlicer_DIR={stand_ins}"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and complaint in " ".join(done.stderr.split())
