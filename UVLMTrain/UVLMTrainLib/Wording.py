"""Numbers and names as words for the panel."""

import os

from slicer.i18n import tr as _


def duration(seconds):
    """\"8 s", "12 min", "5.1 h", "12 days"."""
    if seconds < 90:
        return _("{seconds} s").format(seconds=max(1, round(seconds)))
    if seconds < 5400:
        return _("{minutes} min").format(minutes=round(seconds / 60))
    if seconds < 172800:
        return _("{hours:.1f} h").format(hours=seconds / 3600)
    return _("{days:.0f} days").format(days=seconds / 86400)


def size(count):
    """A number of bytes, for example "900 MB" or "4.5 GB"."""
    if count < 1e9:
        return _("{size:.0f} MB").format(size=max(1, count / 1e6))
    return _("{size:.1f} GB").format(size=count / 1e9)


def stageTitle(kind):
    """A stage by what it learns."""
    titles = {"segmentation": _("masks"), "classification": _("findings"), "report": _("report")}
    return titles.get(kind, kind)


def severityTitle(severity):
    """How grave a problem is; "" is none."""
    titles = {"error": _("error"), "warning": _("warning"), "note": _("note"), "": _("good")}
    return titles.get(severity, severity)


def plain(name):
    """A name of the core for a reader: "validation_organ_dice" is "organ dice"."""
    return name.removeprefix("validation_").replace("_", " ")


def modelTitle(path):
    """The name of a file or model for a reader; that of its run folder where a run has made it."""
    folder, name = os.path.split(os.path.normpath(path))
    return os.path.basename(folder) or name if name == "bundle" else name
