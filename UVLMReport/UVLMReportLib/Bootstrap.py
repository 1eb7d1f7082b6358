"""Finds the package uvlm_core: beside the installed modules, or in the checkout they are developed in."""

import sys
from functools import cache
from pathlib import Path


@cache
def coreRoot():
    """The folder that holds `uvlm_core` (str).

    Raises:
        ImportError: it is in none of the places where an installation or a checkout has it.
    """
    here = Path(__file__).resolve()
    places = [here.parents[1], here.parents[2]]  # built or installed; checkout
    for place in places:
        if (place / "uvlm_core" / "__init__.py").is_file():
            return str(place)
    looked = ", ".join(str(place) for place in places)
    raise ImportError(f"The package uvlm_core of the extension UVLM is missing; looked in {looked}. "
                      "Install the extension again.")


def makeCoreImportable():
    """Puts `coreRoot` on sys.path, once. Importing uvlm_core.report, .labels, .errors then costs no torch."""
    root = coreRoot()
    if root not in sys.path:
        sys.path.append(root)
