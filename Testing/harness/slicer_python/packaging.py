"""Stand-in for `slicer.packaging`: says what is missing, and never installs from a network.

`pip_install` with --no-index, from a folder of wheels, is carried out.
"""

from __future__ import annotations

import importlib.metadata
import shlex
import subprocess
import sys

import slicer
from packaging.requirements import Requirement


class NetworkRefused(RuntimeError):
    """Something was to be installed from a network in a test."""


def load_requirements(path):
    """The requirements of a file, without comments and pip's options."""
    with open(path, encoding="utf-8") as file:
        lines = [line.strip() for line in file]
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def pip_check(req):
    """Whether a requirement, or all of a list, is met."""
    if isinstance(req, (list, tuple)):
        return all(pip_check(one) for one in req)
    req = req if isinstance(req, Requirement) else Requirement(req)
    if req.marker is not None and not req.marker.evaluate():
        return True
    try:
        return req.specifier.contains(importlib.metadata.version(req.name), prereleases=True)
    except importlib.metadata.PackageNotFoundError:
        return False


def pip_ensure(requirements, constraints=None, skip_packages=None, prompt_install=True, prompt_restart=True,
               requester=None, skip_in_testing=True, show_progress=True):
    """Ask and install what is missing.

    Raises:
        RuntimeError: the user said no.
        NetworkRefused: the user said yes.
    """
    if isinstance(requirements, str):
        requirements = requirements.split()
    elif isinstance(requirements, Requirement):
        requirements = [requirements]
    missing = [str(one) for one in requirements if not pip_check(one)]
    if not missing or (skip_in_testing and slicer.app.testingEnabled()):
        return None
    if prompt_install and not slicer.util.confirmOkCancelDisplay(
            f"{len(missing)} Python packages need to be installed.", f"{requester} - Install Python Packages",
            detailedText="\n".join(missing)):
        raise RuntimeError("User declined package installation")
    return pip_install(missing, constraints=constraints, requester=requester)


def pip_install(requirements, constraints=None, no_deps_requirements=None, skip_packages=None, blocking=True,
                show_progress=True, requester=None, logCallback=None, completedCallback=None):
    """Run pip where it needs no network.

    Raises:
        NetworkRefused: without --no-index.
        subprocess.CalledProcessError: pip failed.
    """
    arguments = shlex.split(requirements) if isinstance(requirements, str) else [str(one) for one in requirements]
    if "--no-index" not in arguments:
        raise NetworkRefused(f"tests install nothing from a network: {arguments}")
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, "pip install", done.stdout, done.stderr)


def pip_uninstall(requirements, **options):
    """Nothing is uninstalled in tests."""
    raise NetworkRefused(f"tests uninstall nothing: {requirements}")
