"""The version of UVLM: written here once; the package, the command and every study take it from here."""

from __future__ import annotations

VERSION = "0.1.0"
