"""Descriptors that an engine and its supervisor hold open too: the locks of the device that they run on.

The operating system releases a lock when the last of those who hold its descriptor is gone. So a device is free when
the engine is, not when pytest was killed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_DESCRIPTORS: set[int] = set()


@contextmanager
def handed_on(descriptor: int) -> Iterator[None]:
    """Hand a descriptor on to every engine that is started within the block."""
    _DESCRIPTORS.add(descriptor)
    try:
        yield
    finally:
        _DESCRIPTORS.remove(descriptor)


def inherited() -> tuple[int, ...]:
    """Return the descriptors that an engine started now should hold open."""
    return tuple(sorted(_DESCRIPTORS))
