"""Finds the package uvlm_core, which lies beside this one: among the installed modules, or in a checkout."""

import sys
from functools import cache
from pathlib import Path


@cache
def coreRoot():
    """The folder that holds `uvlm_core` (str).

    Raises:
        ImportError: it is not there, though an installation and a checkout have it there.
    """
    place = Path(__file__).resolve().parents[1]
    if (place / "uvlm_core" / "__init__.py").is_file():
        return str(place)
    raise ImportError(f"The package uvlm_core of the extension UVLM is missing; looked in {place}. "
                      "Install the extension again.")


def makeCoreImportable():
    """Puts `coreRoot` on sys.path, once. Importing uvlm_core.report, .labels, .errors then costs no torch."""
    root = coreRoot()
    if root not in sys.path:
        sys.path.append(root)
