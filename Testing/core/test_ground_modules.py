"""Rules that hold in every source file of the Slicer modules: imports, network, names, texts that can be translated."""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("UVLMReport", "UVLMTrain")
SHARED = "UVLMShared"
FILES = [path for folder in (*MODULES, SHARED) for path in sorted((ROOT / folder).rglob("*.py"))]
OF_SLICER = {"slicer", "vtk", "qt", "ctk", "numpy", "scipy", "SimpleITK"}
ONLY_IN_CHILDREN = {"torch", "monai", "transformers", "nibabel", "highdicom", "safetensors", "tokenizers", "typer"}
NETWORK = {"requests", "urllib", "urllib3", "http", "httpx", "socket", "socketserver", "ssl", "ftplib", "smtplib",
           "telnetlib", "xmlrpc", "aiohttp", "websockets", "websocket", "huggingface_hub", "boto3", "paramiko"}
NETWORK_CALLS = re.compile(r"QNetwork|QTcpS|QUdpS|QLocalS|QWebS|QWebEngine|qSlicerWeb|downloadFile|downloadAndExtract"
                           r"|downloadVolume|urlopen|urlretrieve|downloadFrom|downloadSample")
# Names after which a text is something that users read
ATTRIBUTES = {"text", "toolTip", "title", "placeholderText", "windowTitle", "helpText", "acknowledgementText",
              "statusTip", "plainText", "html", "suffix", "prefix", "format", "specialValueText", "informativeText",
              "detailedText", "labelText", "whatsThis"}
CALLS = {"setText", "setToolTip", "setTitle", "setWindowTitle", "setPlaceholderText", "setStatusTip", "setHeaderLabels",
         "setHorizontalHeaderLabels", "setTabText", "addTab", "addItem", "addAction", "addMenu", "addButton",
         "insertItem", "setItemText", "showMessage", "setInformativeText", "setDetailedText", "setLabelText",
         "errorDisplay", "warningDisplay", "infoDisplay", "messageBox", "showStatusMessage", "confirmOkCancelDisplay",
         "confirmYesNoDisplay", "confirmRetryCloseDisplay", "tryWithErrorDisplay", "createProgressDialog",
         "critical", "information", "question", "about", "getText", "getItem", "getMultiLineText",
         "getOpenFileName", "getSaveFileName", "getExistingDirectory",
         "QLabel", "QPushButton", "QToolButton", "QCheckBox", "QRadioButton", "QAction", "QGroupBox", "QMenu"}
# Prose that is a name, not a text: Slicer's terminology and parameters of segments, and code for a child process
NAMES = re.compile(r"DICOM master list$|^import \w+|^Compute surface normals$")


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT).as_posix()}:{node.lineno}"


def roots(node: ast.AST) -> set[str]:
    """The packages that an import statement names."""
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {node.module.split(".")[0]} if node.module and not node.level else {""}
    return set()


def outside_functions(tree: ast.AST):
    """Every node that is run when the file is imported."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield node
            yield from outside_functions(node)


def test_there_is_something_to_check():
    assert {f"{module}.py" for module in MODULES} <= {path.name for path in FILES} and len(FILES) > 5


def test_files_import_at_the_top_only_what_every_slicer_has():
    allowed = OF_SLICER | set(sys.stdlib_module_names)
    found = []
    for path in FILES:
        own = f"{path.relative_to(ROOT).parts[0]}Lib"
        for node in outside_functions(parsed(path)):
            found += [f"{place(path, node)}: {name}" for name in roots(node) - allowed - {own, SHARED}]
    assert found == []


def test_nothing_heavy_is_imported_into_slicer():
    """Not even inside a method: torch and its like belong to the child process."""
    assert [f"{place(path, node)}: {name}" for path in FILES for node in ast.walk(parsed(path))
            for name in roots(node) & ONLY_IN_CHILDREN] == []


def test_no_module_opens_a_connection():
    found = [f"{place(path, node)}: {name}" for path in FILES for node in ast.walk(parsed(path))
             for name in roots(node) & NETWORK]
    for path in FILES:
        found += [f"{path.name}: {match.group()}" for match in NETWORK_CALLS.finditer(path.read_text("utf-8"))]
    assert found == []


def test_only_the_sample_data_have_an_address():
    address = re.compile(r"https?://(?!www\.w3\.org|arxiv\.org|doi\.org|slicer\.readthedocs\.io)[\w.-]+")
    named = {path.name for path in FILES if address.search(path.read_text("utf-8"))}
    assert named <= {"SampleScans.py", *(f"{module}.py" for module in MODULES)}
    for ui in (path for module in MODULES for path in (ROOT / module).rglob("*.ui")):
        assert not address.search(re.sub(r"<class>.*?</class>|xmlns[^ >]*", "", ui.read_text("utf-8"))), ui


def test_names_are_unique_where_everything_lies_in_one_folder():
    """Modules, core and resources are installed into one flat folder, and UI and icons share its Resources."""
    seen: dict[str, Path] = {}
    for base in (ROOT, *(ROOT / module for module in MODULES)):
        folders = (SHARED, "uvlm_core", *(f"Resources/{name}" for name in ("Labels", "Recipes", "Schemas", "Models"))) \
            if base == ROOT else (".",)
        for path in (path for folder in folders for path in (base / folder).rglob("*") if path.is_file()):
            name = path.relative_to(base).as_posix().lower()  # some disks do not tell cases apart
            if "__pycache__" in name or path.name == "CMakeLists.txt":
                continue
            assert name not in seen, f"{path} and {seen[name]}"
            seen[name] = path


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_one_script_and_one_library(module):
    """Slicer takes every script beside it for a module, and a package of another's name could be another's package."""
    assert [path.name for path in (ROOT / module).glob("*.py")] == [f"{module}.py"]
    packages = {path.parent.relative_to(ROOT / module).parts[0] for path in (ROOT / module).rglob("*/*.py")}
    assert packages == {f"{module}Lib"}
    assert (ROOT / module / f"{module}Lib" / "__init__.py").is_file()
    assert (ROOT / module / "Resources" / "Icons" / f"{module}.png").is_file()
    assert (ROOT / module / "Resources" / "UI" / f"{module}.ui").is_file()


def test_files_are_of_a_size_to_read_and_say_what_they_are():
    for path in FILES:
        lines = len(path.read_text("utf-8").splitlines())
        assert lines <= 400, f"{path.name} has {lines} lines"
        assert ast.get_docstring(parsed(path)), path
        for node in parsed(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), place(path, node)


# Texts that users read

def own_name(node: ast.AST) -> str:
    """`f` of f(...) and of a.b.f(...), `title` of a.title."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def literal_texts(node: ast.AST):
    """Texts in an expression that are not inside _(...); of a list, dictionary or choice, those of its parts."""
    if isinstance(node, ast.Call):
        if own_name(node.func) in ("_", "translate"):
            return
        parts = [node.func.value] if isinstance(node.func, ast.Attribute) else []
        if own_name(node.func) in ("format", "join", "str"):  # others get keys and names
            parts = [*parts, *node.args]
    elif isinstance(node, ast.IfExp):
        parts = [node.body, node.orelse]
    elif isinstance(node, (ast.List, ast.Tuple, ast.JoinedStr)):
        parts = node.elts if not isinstance(node, ast.JoinedStr) else node.values
    elif isinstance(node, ast.BinOp):
        parts = [node.left, node.right]
    elif isinstance(node, ast.BoolOp):
        parts = node.values
    else:
        parts = []
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and is_text(node.value):
        yield node
    for part in parts:
        yield from literal_texts(part)


def is_text(value: str) -> bool:
    """Something with a word in it: not markup, a format, a colour or a signal's name."""
    bare = re.sub(r"<[^>]*>|\{[^}]*\}|&\w+;|\b(mm|cm|ml|HU|s|px|pt)\b|#[0-9a-fA-F]{3,8}\b", "", value)
    return bool(re.search(r"[A-Za-z]{2,}", bare)) and not re.search(r"^[\w ]+\([\w:*, ]*\)$", value)


def is_sentence(value: str) -> bool:
    """Several words of prose, wherever they stand."""
    styled = re.search(r"[a-z-]+:\s*[^;]+;|^\s*[{<\[]|^[a-z_.]+( [a-z_.-]+)?$|%[a-zA-Z]", value)
    return len(re.findall(r"(?<![\w.])[A-Za-z][a-z]+(?![\w.(])", value)) >= 3 and " " in value and not styled \
        and not NAMES.search(value)


def visible_texts(path: Path):
    """(node, text) of texts in places where users read them, written without _()."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Assign):
            if any(isinstance(target, ast.Attribute) and target.attr in ATTRIBUTES for target in node.targets):
                yield from literal_texts(node.value)
        elif isinstance(node, ast.Call) and own_name(node.func) in CALLS \
                and own_name(getattr(node.func, "value", None)) not in ("logging", "logger"):
            shown = node.args[:1] if own_name(node.func) == "addItem" else node.args  # the second one is data
            for argument in [*shown, *(keyword.value for keyword in node.keywords if keyword.arg in
                                           {*ATTRIBUTES, "windowTitle", "caption"})]:
                yield from literal_texts(argument)


def sentences(path: Path):
    """Prose outside _(): not docstrings, not logged, and not in an exception that only programmers meet."""
    tree = parsed(path)
    quiet = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
            quiet.add(node.body[0].value)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if own_name(node.func) in ("_", "translate") or called.startswith("logging."):
                quiet |= set(ast.walk(node))
            if called in ("ImportError", "RuntimeError", "ValueError", "TypeError", "KeyError", "AttributeError"):
                quiet |= set(ast.walk(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in quiet \
                and is_sentence(node.value):
            yield node


MODULE_FILES = [path for path in FILES if "Journey" not in path.name]  # the self tests speak to developers


@pytest.mark.parametrize("path", MODULE_FILES, ids=lambda path: path.name)
def test_every_text_that_users_read_can_be_translated(path):
    found = {f"{place(path, node)}: {node.value[:60]!r}" for node in [*visible_texts(path), *sentences(path)]}
    assert sorted(found) == [], 'put it into _("...")'


@pytest.mark.parametrize("path", MODULE_FILES, ids=lambda path: path.name)
def test_what_is_translated_is_a_plain_text(path):
    """The tool that collects the texts reads the source: no f-string, no variable, values by .format()."""
    calls = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call) and own_name(node.func) == "_"]
    assert [place(path, call) for call in calls
            if not (call.args and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str))] == []
    if calls:
        assert re.search(r"^from slicer\.i18n import tr as _$", path.read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize(("line", "seen"), [
    ('w.text = "Generate report"', True), ('w.text = _("Generate report")', False),
    ('w.toolTip = f"Volume of {name}"', True), ('w.text = f"{value} mm"', False),
    ('slicer.util.errorDisplay("No volume: " + name)', True), ('w.setText("clicked" if a else "dark")', True),
    ('w.setText(_("{n} of {m}").format(n=1, m=2))', False), ('w.styleSheet = "color: red; border: 1px solid"', False),
    ('reason = "The volume has no voxels at all."', True), ('logging.info("The volume has no voxels at all.")', False),
    ('w.connect("currentNodeChanged(vtkMRMLNode*)", f)', False), ('qt.QPushButton("OK")', True),
])
def test_the_check_sees_texts(tmp_path, line, seen):
    path = tmp_path / "Panel.py"
    path.write_text(line + "\n", "utf-8")
    assert bool([*visible_texts(path), *sentences(path)]) is seen
