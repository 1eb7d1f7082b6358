"""Bytes of a file, unpacked on the way where it is gzip-compressed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

from uvlm_core.errors import VolumeError

GZIP_MAGIC = b"\x1f\x8b"
MOST_RATIO = 1100  # deflate cannot pack better than about 1030 : 1
CHUNK = 1 << 20


def is_gzip(path: Path) -> bool:
    """Whether the file is gzip-compressed, whatever its name says."""
    with open(path, "rb") as file:
        return file.read(2) == GZIP_MAGIC


def unpacked(path: Path) -> Iterator[bytes]:
    """The file's bytes in chunks.

    Raises:
        VolumeError: the compressed data are cut off or fail their checksum.
    """
    if not is_gzip(path):
        with open(path, "rb") as file:
            while chunk := file.read(4 * CHUNK):
                yield chunk
        return
    with open(path, "rb") as file:
        yield from _gunzip(file, path.name)


def _gunzip(file, name: str) -> Iterator[bytes]:
    """Also for files of several gzip members, as parallel packers write them."""
    engine, error = _engine()
    member, started = engine.decompressobj(31), False
    while chunk := file.read(CHUNK):
        while chunk:
            if member.eof:
                if chunk.strip(b"\0") == b"":
                    break  # some writers pad with zeros
                member = engine.decompressobj(31)
            started = True
            try:
                out = member.decompress(chunk)
            except error as problem:
                raise VolumeError(f"{name} is damaged: its compressed data cannot be unpacked ({problem}). "
                                  "Copy or export the file again.") from problem
            chunk = member.unused_data if member.eof else b""
            if out:
                yield out
    if not started or not member.eof:
        raise VolumeError(f"{name} is cut off: its compressed data end too early. Copy or download the file again.")


def _engine():
    """isal unpacks about three times as fast where it is installed; the result is the same."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib, zlib.error
    return isal_zlib, (zlib.error, isal_zlib.error)
