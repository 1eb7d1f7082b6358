"""Installs what the worker is missing. Always on the main thread: pip from a thread has crashed Slicer."""

import qt
import slicer
from slicer.i18n import tr as _

INTERNET, FOLDER = "internet", "folder"
TORCH = "torch"


class RepairFailure(Exception):
    """The packages could not be installed; str() says why and what to do."""


def missingText(missing):
    """One line for the status line.

    Args:
        missing: rows of the worker's hello: package, requirement, problem ("not installed" or an error message).
    """
    parts = [row["package"] if _absent(row) else _("{package} (does not start: {problem})").format(**row)
             for row in missing]
    return _("Missing: {packages}").format(packages=", ".join(parts))


def askHow(missing):
    """Asks where from; INTERNET, FOLDER or None for not at all."""
    box = qt.QMessageBox(slicer.util.mainWindow())
    box.setWindowTitle(_("Install what is missing"))
    box.setText(_("The model needs Python packages that Slicer does not have yet:\n\n{packages}\n\nPyTorch is a "
                  "download of about 200 MB, with support of graphics cards up to 3 GB.").format(
                      packages="\n".join(row["requirement"] for row in missing)))
    internet = box.addButton(_("Download and install"), qt.QMessageBox.AcceptRole)
    folder = box.addButton(_("From a folder…"), qt.QMessageBox.ActionRole)
    box.addButton(qt.QMessageBox.Cancel)
    folder.setToolTip(_("For a computer without internet: a folder with the wheels (.whl) of these packages."))
    box.exec_()
    clicked = box.clickedButton()
    return INTERNET if clicked == internet else FOLDER if clicked == folder else None


def install(missing, folder=None):
    """Installs the packages that a worker is missing, from the internet or from a folder of wheels.

    Blocks with Slicer's own progress window. Nothing is asked here, except by PyTorchUtils.

    Args:
        missing: rows of the worker's hello.
        folder: of wheels; None for the internet.

    Raises:
        RepairFailure: with the reason and a way on.
    """
    try:
        if folder is not None:
            _fromFolder(missing, folder)
            return
        for row in missing:
            if row["package"] == TORCH:
                _installTorch(row)
        others = [row for row in missing if row["package"] != TORCH]
        absent = [row["requirement"] for row in others if _absent(row)]
        broken = [row["requirement"] for row in others if not _absent(row)]
        if absent:
            from slicer.packaging import pip_ensure

            pip_ensure(absent, prompt_install=False, requester="UVLM", skip_in_testing=False)
        if broken:  # pip_ensure would think that they are there
            from slicer.packaging import pip_install

            pip_install(["--force-reinstall", "--no-deps", *broken], requester="UVLM")
    except RepairFailure:
        raise
    except Exception as error:  # pip fails in many ways: no network, no space, a file in use
        raise RepairFailure(_("The installation did not work: {error}. Check the internet connection and the space on "
                              "the disk, restart Slicer and try again; or install from a folder of wheels.").format(
                                  error=error)) from error


def _absent(row):
    return row["problem"] == "not installed"


def _installTorch(row):
    """Through the extension PyTorch, which finds the build that fits the graphics card."""
    try:
        import PyTorchUtils
    except ImportError as error:
        raise RepairFailure(_("PyTorch is installed by the extension 'PyTorch', which is not there. Install it in the "
                              "Extensions Manager, restart Slicer and click Repair again; or install from a folder of "
                              "wheels.")) from error
    logic = PyTorchUtils.PyTorchUtilsLogic()
    if not _absent(row):
        logic.uninstallTorch()  # half-installed: pip would think that it is there
    requirement = row["requirement"].removeprefix(TORCH)
    if logic.installTorch(askConfirmation=False, torchVersionRequirement=requirement or None) is None:
        raise RepairFailure(_("PyTorch was not installed."))


def _fromFolder(missing, folder):
    from slicer.packaging import pip_install

    broken = [row["package"] for row in missing if not _absent(row)]
    options = ["--no-index", "--find-links", folder] + (["--force-reinstall", "--no-deps"] if broken else [])
    pip_install(options + [row["requirement"] for row in missing], requester="UVLM")
