"""The model that is kept warm, and what a bundle says about itself before it is loaded."""

from __future__ import annotations

import hashlib
import json
import struct
import threading
from math import prod
from pathlib import Path

from uvlm_core.model.bundle import MANIFEST, WEIGHTS, read_info
from uvlm_core.resources import resource

LONGEST_HEADER = 100 << 20  # of a safetensors file, as its own library limits it


def bundle_folder(bundle: str | None) -> Path:
    """The folder of a model; None is the demo model."""
    return Path(bundle) if bundle is not None else resource("Models", "demo")


def bundle_sha256(folder: Path) -> str:
    """sha256 of bundle.json, which holds those of all other files.

    Raises:
        BundleError: the folder is no bundle.
    """
    read_info(folder)
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def describe_bundle(folder: Path) -> dict:
    """What `bundle_info` tells without loading weights.

    Raises:
        BundleError: the folder is no bundle.
    """
    info = read_info(folder)
    return {"folder": str(folder), "name": info.name, "version": info.version, "licence": info.licence,
            "intended_use": info.intended_use, "training_data": info.training_data, "created": info.created,
            "findings": list(info.assessed), "parameters": count_parameters(folder), "sha256": bundle_sha256(folder),
            "figures": {name: value for name, value in info.figures.items() if value == value}}  # JSON has no NaN


def count_parameters(folder: Path) -> int | None:
    """Numbers in the weights, from the header of the file alone; None where it is damaged (loading will say how)."""
    try:
        with open(folder / WEIGHTS, "rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]  # safetensors: length of the header, then JSON
            if length > LONGEST_HEADER:
                return None
            rows = json.loads(file.read(length))
        return sum(prod(row["shape"]) for name, row in rows.items() if name != "__metadata__")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error):
        return None


class WarmModel:
    """One loaded model, loaded again only where another one, device or precision is asked for, or its files changed."""

    def __init__(self):
        self._lock = threading.Lock()
        self._key, self._ready = None, None

    def get(self, bundle: str | None, device: str, precision: str) -> tuple[tuple, bool]:
        """((bundle, placement), whether it was loaded now) as `pipeline.load_model` gives them.

        Raises:
            BundleError, UVLMError: it cannot be loaded; then none is warm.
        """
        from uvlm_core.inference.pipeline import load_model

        folder = bundle_folder(bundle)
        with self._lock:
            key = _key(folder, device, precision)
            if key == self._key:
                return self._ready, False
            self._key = self._ready = None  # the old one goes first: two need not fit into the memory
            self._ready = load_model(folder, device, precision)
            self._key = key
            return self._ready, True

    def holds(self, bundle: str | None, device: str, precision: str) -> bool:
        """Whether `get` would load nothing."""
        key = self._key  # without the lock, which is held while a model loads
        return key is not None and key == _key(bundle_folder(bundle), device, precision)


def _key(folder: Path, device: str, precision: str) -> tuple:
    """What a loaded model was made of; the files' sizes and times stand for their hashes, which loading checks."""
    files = []
    for name in sorted(read_info(folder).files):
        try:
            facts = (folder / name).stat()
            files.append((name, facts.st_size, facts.st_mtime_ns))
        except OSError:
            files.append((name, None, None))
    return (str(folder.resolve()), bundle_sha256(folder), tuple(files), device, precision)
