"""What the user chose for good, in Slicer's settings under UVLM/, which UVLMReport shares."""

import os

import qt

LONGEST_RECENT = 8


def value(name, default=""):
    """A setting as text; `default` where it is not there."""
    found = qt.QSettings().value(f"UVLM/{name}", default)
    return default if found is None else str(found)


def setValue(name, newValue):
    """Remembers a setting."""
    qt.QSettings().setValue(f"UVLM/{name}", newValue)


def recentModels():
    """Folders of the models that UVLMReport offers, the latest first; those that are gone are left out."""
    kept = qt.QSettings().value("UVLM/recentModels", ()) or ()
    paths = [kept] if isinstance(kept, str) else [str(path) for path in kept]
    return [path for path in paths if os.path.isfile(os.path.join(path, "bundle.json"))]


def addRecentModel(path):
    """Puts a folder first among the models that UVLMReport offers."""
    setValue("recentModels", ([path] + [known for known in recentModels() if known != path])[:LONGEST_RECENT])
