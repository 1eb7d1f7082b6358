"""One training at a time in a run folder: two would write the same checkpoints.

The lock file is the one that UVLMTrain looks at, so the panel sees a run that a script or a shell has started. The
system gives the lock back when the process ends, however it ends.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from uvlm_core.errors import RecipeError

LOCK = "run.lock"
HELD_BY_STARTER = "UVLM_RUN_LOCKED"  # the folder that whoever started this process in it has locked already
_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


@contextmanager
def only_training(run: Path) -> Iterator[None]:
    """Holds the run folder's lock.

    Raises:
        RecipeError: another process trains there.
    """
    if os.environ.get(HELD_BY_STARTER) == str(run.absolute()):
        yield
        return
    with (run / LOCK).open("a+b") as file:
        try:
            _lock(file)
        except OSError as error:
            if error.errno in _TAKEN:
                raise RecipeError(f"Another process trains in {run}. Wait until it has ended, or choose another "
                                  "run folder.") from error
            # some network folders know no locks: then nobody is told, as before
        yield


def _lock(file: IO[bytes]) -> None:
    if os.name == "nt":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
