"""Where the files of `Resources/` are, in a checkout, in an installed wheel and inside a Slicer extension."""

from __future__ import annotations

from pathlib import Path


def resource(*parts: str) -> Path:
    """Path of a file or folder of `Resources/`, for example ``resource("Labels", "labels.json")``.

    Raises:
        FileNotFoundError: the file is in none of the places where an installation can have put it.
    """
    here = Path(__file__).resolve().parent
    # checkout and Slicer extension: beside the package; wheel: inside it
    candidates = [root.joinpath(*parts) for root in (here.parent / "Resources", here / "_resources")]
    for candidate in candidates:
        if candidate.exists():
            return candidate
    looked = ", ".join(str(candidate) for candidate in candidates)
    raise FileNotFoundError(f"UVLM's own file {'/'.join(parts)} is missing; looked at {looked}. Install UVLM again.")
