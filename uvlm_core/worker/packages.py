"""Which Python packages a run needs, and whether they can be used here; PyTorch is imported in the background."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import threading

# (distribution, module, requirement); the same as in pyproject.toml, without what only the command line needs
NEEDED = (
    ("torch", "torch", "torch>=2.6"), ("numpy", "numpy", "numpy>=1.26"), ("scipy", "scipy", "scipy>=1.11"),
    ("nibabel", "nibabel", "nibabel>=5.2"), ("SimpleITK", "SimpleITK", "SimpleITK>=2.3"),
    ("pydicom", "pydicom", "pydicom>=3.0"), ("safetensors", "safetensors", "safetensors>=0.4.5"),
    ("tokenizers", "tokenizers", "tokenizers>=0.20"), ("jinja2", "jinja2", "jinja2>=3.1"),
)


class Packages:
    """Imports PyTorch as soon as it is made, which takes seconds, so that the first job need not wait for it."""

    def __init__(self):
        self._problem: str | None = None
        self._thread = threading.Thread(target=self._import_torch, daemon=True, name="uvlm_torch")
        self._thread.start()

    def _import_torch(self) -> None:
        try:
            importlib.import_module("torch")
            gc.collect()
            gc.freeze()  # its many objects live as long as the process: looking for cycles among them costs 0.1 s
        except Exception as error:  # a half-installed one raises anything
            if importlib.util.find_spec("torch") is None:
                self._problem = "not installed"
            else:
                self._problem = f"cannot be imported: {type(error).__name__}: {error}"[:500]

    def missing(self) -> list[dict]:
        """`missing` of hello; waits for PyTorch."""
        self._thread.join()
        rows = []
        for package, module, requirement in NEEDED:
            problem = self._problem if module == "torch" else _problem(module)
            if problem is not None:
                rows.append({"package": package, "requirement": requirement, "problem": problem})
        return rows


def _problem(module: str) -> str | None:
    try:
        return None if importlib.util.find_spec(module) is not None else "not installed"
    except (ImportError, ValueError) as error:
        return f"cannot be imported: {error}"
