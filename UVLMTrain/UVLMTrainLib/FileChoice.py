"""Asking for files and folders, starting where the user was the last time."""

import os

import qt
import slicer

from UVLMShared import Settings


def askFolder(title, setting, start=""):
    """A folder, "" where the user did not choose."""
    chosen = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title, start or Settings.value(setting))
    if chosen:
        Settings.setValue(setting, chosen)
    return chosen or ""


def askFile(title, setting, kinds):
    """A file that is there, "" where the user did not choose. `kinds`: as "Recipes (*.json)"."""
    chosen = qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), title, Settings.value(setting), kinds)
    return _kept(chosen, setting)


def askNewFile(title, setting, name, kinds):
    """A file to write, "" where the user did not choose."""
    start = os.path.join(Settings.value(setting) or os.path.expanduser("~"), name)
    return _kept(qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, start, kinds), setting)


def _kept(chosen, setting):
    if chosen:
        Settings.setValue(setting, os.path.dirname(chosen))
    return chosen or ""
