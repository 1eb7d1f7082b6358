"""Numbers and stages as words for the panel."""

from slicer.i18n import tr as _


def stageTitle(stage):
    """A stage of the worker's progress (docs/worker-protocol.md) as a reader understands it."""
    titles = {
        "read": _("Reading the scan"), "check": _("Checking the scan"), "load model": _("Loading the model"),
        "grid": _("Preparing the scan"), "encode": _("Looking at the scan"), "segment": _("Drawing the masks"),
        "classify": _("Judging the findings"), "measure": _("Measuring"), "write report": _("Writing the report"),
        "save": _("Saving"), "copy": _("Copying the scan"), "scene": _("Showing the result"),
    }
    return titles.get(stage, stage[:1].upper() + stage[1:])


def duration(seconds):
    """\"8 s", "1 min 20 s", "12 min\"."""
    seconds = max(1, round(seconds))
    if seconds < 60:
        return _("{seconds} s").format(seconds=seconds)
    if seconds < 600:
        return _("{minutes} min {seconds} s").format(minutes=seconds // 60, seconds=seconds % 60)
    return _("{minutes} min").format(minutes=round(seconds / 60))


def memory(mib):
    """A number of MiB, for example "900 MB" or "4.5 GB", for a reader."""
    if mib < 1000:
        return _("{size} MB").format(size=round(mib / 10) * 10)
    return _("{size:.1f} GB").format(size=mib / 1024)


def stateTitle(state):
    """The state of a finding."""
    titles = {"present": _("present"), "absent": _("absent"), "uncertain": _("uncertain"),
              "not imaged": _("not imaged"), "not assessed": _("not assessed")}
    return titles.get(state, state)


def sideTitle(side):
    """left, right, bilateral; "" for none."""
    return {"left": _("left"), "right": _("right"), "bilateral": _("both")}.get(side, "")
