"""What the user chose for good, in Slicer's settings under UVLM/, for both modules."""

import os

import qt

LONGEST_RECENT = 8


def value(name, default=""):
    """A setting; a number or bool comes back as the kind of the default."""
    found = qt.QSettings().value(f"UVLM/{name}", default)
    if found is None:
        return default
    if isinstance(default, bool):
        return found if isinstance(found, bool) else str(found).lower() == "true"
    return type(default)(found) if isinstance(default, (int, float, str)) else found


def setValue(name, newValue):
    """Remembers a setting."""
    qt.QSettings().setValue(f"UVLM/{name}", newValue)


def recentModels():
    """Folders of the models that UVLMReport offers, the latest first; those that are gone are left out."""
    kept = value("recentModels", ()) or ()
    paths = [kept] if isinstance(kept, str) else [str(path) for path in kept]
    return [path for path in paths if os.path.isfile(os.path.join(path, "bundle.json"))]


def addRecentModel(path):
    """Puts a folder first among the models that UVLMReport offers."""
    setValue("recentModels", ([path] + [known for known in recentModels() if known != path])[:LONGEST_RECENT])
