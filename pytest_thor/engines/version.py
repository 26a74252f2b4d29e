"""Reads what a llama.cpp program prints for ``--version``."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_thor.engines.process import run_briefly
from pytest_thor.errors import EngineMissing

_VERSION = re.compile(r"^version:[ \t]*(\S.{0,200})", re.MULTILINE)
_COMMIT = re.compile(r"(?:\bcommit\s+|\()([0-9a-f]{7,40})\b")


def ask_version(path: Path) -> tuple[str | None, str | None]:
    """Return version and commit as a program tells them for ``--version``; None where it does not know the option.

    Raises:
        EngineMissing: it was killed before it could tell; as an unknown build it would compare with nothing.
    """
    printed, ending = run_briefly([str(path), "--version"])
    if ending.code is None or ending.code < 0:
        raise EngineMissing(f"{path} could not say which build it is: {ending.sentence('its --version', 60)}")
    return parse_version(printed) if ending.ok else (None, None)


def parse_version(printed: str) -> tuple[str | None, str | None]:
    """Return version and commit: ``version: 6123 (79c1160b)`` gives ("6123", "79c1160b")."""
    match = _VERSION.search(printed)
    if match is None:
        return None, None
    version = match[1].rstrip()
    commit = _COMMIT.search(version)
    if commit is not None:
        version = re.sub(rf"\s*\({commit[1]}\)|,?\s*commit {commit[1]}", "", version)
    return version, commit and commit[1]
