"""Reads what a llama.cpp program prints for ``--version``."""

from __future__ import annotations

import re

_VERSION = re.compile(r"^version:\s*(.+?)\s*$", re.MULTILINE)
_COMMIT = re.compile(r"(?:\bcommit\s+|\()([0-9a-f]{7,40})\b")


def parse_version(printed: str) -> tuple[str | None, str | None]:
    """Return version and commit: ``version: 6123 (79c1160b)`` gives ("6123", "79c1160b")."""
    match = _VERSION.search(printed)
    if match is None:
        return None, None
    commit = _COMMIT.search(match[1])
    version = match[1]
    if commit is not None:
        version = re.sub(rf"\s*\({commit[1]}\)|,?\s*commit {commit[1]}", "", version)
    return version, commit and commit[1]
