"""Rules that hold in every source file: what may be imported, what is never executed, how long a file is."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = sorted((ROOT / "uvlm_core").rglob("*.py"))
HOST = {"slicer", "qt", "vtk", "ctk", "PythonQt", "PySide6", "PyQt5"}  # what only Slicer has
RUNS_CODE = {"pickle", "cPickle", "dill", "shelve", "marshal", "joblib", "cloudpickle"}
WITHOUT_TORCH = ("uvlm_core.cli", "uvlm_core.labels", "uvlm_core.resources", "uvlm_core.report.labeler",
                 "uvlm_core.report.page", "uvlm_core.volumes.reading", "uvlm_core.volumes.grid",
                 "uvlm_core.phantom.generator", "uvlm_core.inference.pipeline",
                 "uvlm_core.worker.server", "uvlm_core.report.recheck")


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def imported(tree: ast.AST) -> set[str]:
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    return {name.split(".")[0] for name in names}


def called(tree: ast.AST) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def test_the_core_knows_nothing_of_slicer():
    assert {path.name: found for path in CORE if (found := imported(parsed(path)) & HOST)} == {}


def test_nothing_that_is_read_can_run_code():
    for path in CORE:
        tree = parsed(path)
        assert not imported(tree) & RUNS_CODE, path
        assert not called(tree) & {"eval", "exec", "torch.load", "os.system", "os.popen"}, path
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "shell"):
                assert isinstance(node.value, ast.Constant) and node.value.value is False, f"{path}: {node.arg}"


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_modules_that_open_fast_do_not_load_torch(module):
    code = f"import sys, {module}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.stdout.strip() == "False", done.stderr


def test_files_are_of_a_size_to_read():
    long = {path.name: lines for path in CORE if (lines := len(path.read_text("utf-8").splitlines())) > 400}
    assert long == {}


def test_files_are_named_for_what_they_do():
    assert [path.name for path in CORE if path.stem in ("utils", "util", "helpers", "common", "misc")] == []


def test_public_functions_say_what_they_do():
    missing = []
    for path in CORE:
        tree = parsed(path)
        if path.name != "__init__.py" and not ast.get_docstring(tree):
            missing.append(str(path.relative_to(ROOT)))
        for node in tree.body:
            public = isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")
            if public and not ast.get_docstring(node):
                missing.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert missing == []


def committed() -> list[Path]:
    """Text files of the repository; without git, those of its folders."""
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
        paths = [ROOT / name for name in done.stdout.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        folders = ("uvlm_core", "Testing", "Resources", "docs")
        paths = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    binary = {".png", ".gz", ".npz", ".safetensors", ".pyc", ".dcm"}
    return [path for path in paths if path.is_file() and path.suffix not in binary]


def test_no_file_holds_a_path_of_somebodys_machine():
    pattern = re.compile("|".join(f"(?<![\\w.])/{name}/" for name in ("work", "root", "home", "Users", "mnt", "opt"))
                         + r"|[A-Z]:\\\\?Users")
    own = {ROOT / "LICENSE", Path(__file__)}
    found = {str(path.relative_to(ROOT)): match.group() for path in committed()
             if path not in own and (match := pattern.search(path.read_text("utf-8", errors="ignore")))}
    assert found == {}


def test_line_ends_are_unix():
    if os.name == "nt":
        pytest.skip("git may translate line ends on Windows")
    assert [str(path) for path in committed() if b"\r\n" in path.read_bytes()] == []
