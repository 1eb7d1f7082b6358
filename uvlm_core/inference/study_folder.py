"""A study folder appears complete or not at all: it is written beside its place and moved there at the end.

`.NAME.uvlm-writing-*` is a run's unfinished folder, held by a lock as long as the run lives; `.NAME.uvlm-before-*` is
the study that is being replaced, for the moment between two renames. What a killed run leaves is cleaned at the next.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from uvlm_core.errors import StudyError

SCHEMA = "uvlm-study/1"
STUDY_FILES = ("study.json", "run.json", "segmentation.nii.gz", "attribution.npz", "report.html", "report.txt")
LOCK = ".lock"
JUST_MADE_SECONDS = 60  # a folder without a lock that was ever held: its run may be about to lock it
ABANDONED_SECONDS = 86400  # where the file system knows no locks: an unfinished folder of that age has no owner


def check_place(out: str | Path) -> Path:
    """The absolute path of a study to be written.

    Raises:
        StudyError: there is a file, a folder that is no study, or a study with somebody else's files in it.
    """
    out = Path(out).expanduser().absolute()
    if out.is_symlink():
        out = out.resolve()
    if out.exists() and not out.is_dir():
        raise StudyError(f"{out} is a file; a study is a folder. Choose another name for the output.")
    if out.is_dir():
        _check_replaceable(out)
    return out


def _check_replaceable(out: Path) -> None:
    names = sorted(path.name for path in out.iterdir())
    if not names:
        return
    if not is_study(out):
        raise StudyError(f"{out} is a folder with other things in it ({', '.join(names[:3])}"
                         f"{', …' if len(names) > 3 else ''}), not a study of UVLM, and will not be overwritten. "
                         "Choose another output folder.")
    foreign = [name for name in names if name not in STUDY_FILES]
    if foreign:
        raise StudyError(f"The study in {out} also holds {', '.join(foreign[:3])}{', …' if len(foreign) > 3 else ''}, "
                         "which UVLM did not write; replacing the study would delete that. "
                         "Choose another output folder, or move these files away.")


def is_study(folder: Path) -> bool:
    """True for a folder whose study.json says so."""
    try:
        content = json.loads((folder / "study.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and str(content.get("schema", "")).startswith("uvlm-study/")


@contextmanager
def writing(out: str | Path) -> Iterator[Path]:
    """A folder to fill; it becomes `out` when the block ends, and vanishes if the block raises anything.

    Raises:
        StudyError: see `check_place`; or the place cannot be written to.
    """
    out = check_place(out)
    new = [parent for parent in out.parents if not parent.exists()]  # the innermost first
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        clean_up(out)
        beside = Path(tempfile.mkdtemp(prefix=f".{out.name}.uvlm-writing-", dir=out.parent))
    except OSError as error:
        _remove_empty(new)
        raise StudyError(f"No study can be written to {out}: {error.strerror}. Choose a folder on a disk with space "
                         "where you may write.") from error
    lock = _Lock(beside / LOCK)
    try:
        yield beside
        lock.release()
        (beside / LOCK).unlink(missing_ok=True)
        _move_into_place(beside, out)
    except BrokenPipeError:  # of the progress that nobody reads any more, not of the folder
        raise
    except OSError as error:
        raise StudyError(f"The study could not be written to {out}: {error.strerror or error}. "
                         "Nothing was left there.") from error
    finally:
        lock.release()
        shutil.rmtree(beside, ignore_errors=True)
        _remove_empty(new)


def _remove_empty(folders: Sequence[Path]) -> None:
    """Removes folders that were made around a study, innermost first, unless something is in them."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _move_into_place(beside: Path, out: Path) -> None:
    beside.chmod(0o777 & ~_umask())  # mkdtemp made it private
    if not out.exists():
        os.rename(beside, out)
        return
    _check_replaceable(out)  # again: it may have changed during the run
    before = Path(tempfile.mkdtemp(prefix=f".{out.name}.uvlm-before-", dir=out.parent))
    os.rename(out, before / out.name)
    try:
        os.rename(beside, out)
    except OSError:
        os.rename(before / out.name, out)
        raise
    finally:
        shutil.rmtree(before, ignore_errors=True)


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def clean_up(out: Path) -> None:
    """Removes what killed runs left beside `out`, and puts back a study that was being replaced when one was killed."""
    for before in out.parent.glob(f".{_plain(out.name)}.uvlm-before-*"):
        if not out.exists() and (before / out.name).exists():
            os.rename(before / out.name, out)
        shutil.rmtree(before, ignore_errors=True)
    for folder in out.parent.glob(f".{_plain(out.name)}.uvlm-writing-*"):
        if not _in_use(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _plain(name: str) -> str:
    """The name with glob's special characters taken literally."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _in_use(folder: Path) -> bool:
    try:
        with open(folder / LOCK, "r+b") as file:
            _lock_file(file)
            if file.read():
                return False  # it was locked, and is not any more
    except FileNotFoundError:
        pass
    except BlockingIOError:
        return True
    except OSError:
        return _age(folder) < ABANDONED_SECONDS
    return _age(folder) < JUST_MADE_SECONDS  # not locked yet


def _age(folder: Path) -> float:
    """Seconds since something was made in it; endless for a folder that somebody else has removed by now."""
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:
        return float("inf")


class _Lock:
    """Holds a lock file open; the system frees it when the process ends, however it ends.

    The file is empty until it is locked: who finds it free in between must not take its owner for dead.
    """

    def __init__(self, path: Path):
        self._file = open(path, "w+b")  # noqa: SIM115
        with suppress(OSError):  # a file system without locks: age decides instead
            self._lock()
            self._file.write(b"locked")
            self._file.flush()

    def _lock(self) -> None:
        for _ in range(100):
            try:
                return _lock_file(self._file)
            except BlockingIOError:  # another run looks whether somebody holds it
                time.sleep(0.01)
        raise BlockingIOError

    def release(self) -> None:
        self._file.close()


def _lock_file(file) -> None:
    """Raises BlockingIOError if another process holds it."""
    if os.name == "nt":
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError(str(error)) from error
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
