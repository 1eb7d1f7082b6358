"""Parts of the module UVLMReport. Nothing here imports torch or nibabel: the worker, a child process, does."""

import sys
from pathlib import Path

for folder in Path(__file__).resolve().parents[1:3]:  # built or installed; checkout
    if (folder / "UVLMShared").is_dir() and str(folder) not in sys.path:
        sys.path.append(str(folder))

from UVLMShared.Bootstrap import makeCoreImportable  # noqa: E402

makeCoreImportable()
