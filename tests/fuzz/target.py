"""A reader of data from outside, in the one shape in which every test and every fuzzer can drive it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "golden"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """``read`` is given what a file or a server holds, and an empty folder of its own.

    It takes the errors that the reader declares; any other, and any promise about the result that does not hold, comes
    out of it. ``seeds`` are sound contents.
    """

    name: str
    read: Callable[[bytes, Path], None]
    seeds: tuple[bytes, ...]


def golden(*patterns: str) -> tuple[bytes, ...]:
    """Return the contents of recorded files."""
    found = tuple(path.read_bytes() for pattern in patterns for path in sorted(GOLDEN.glob(pattern)))
    assert found, patterns
    return found


def written(folder: Path, name: str, content: bytes) -> Path:
    """Write a file for a reader of files, and return it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
