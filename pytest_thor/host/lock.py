"""One device, one measurement at a time: a lock that every session on this machine respects.

The operating system releases it when its holder dies, however that happens. Who holds it stands in a file
beside the lock, for the message only.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

import filelock

from pytest_thor.redaction import redacted

_PLACES = (Path("/run/lock"), Path("/tmp"))  # noqa: S108 - shared by every user of the machine on purpose


def lock_folder() -> Path:
    """Return where locks live: ``$THOR_LOCK_DIR``, else the first shared folder that can be written."""
    if given := os.environ.get("THOR_LOCK_DIR"):
        return Path(given)
    return next((place for place in _PLACES if os.access(place, os.W_OK)), _PLACES[-1])


@contextmanager
def exclusive(device: str, *, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Hold the device for the duration of the block, waiting as long as it takes.

    ``on_wait`` is called once with who holds it, if anyone does.
    """
    path = _path_of(device)
    holder = path.with_suffix(".holder")
    # The mode lets another user's session wait for the lock instead of failing to open it.
    lock = filelock.FileLock(path, mode=0o666)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        on_wait(f"{device} is being measured by {_describe(holder)}; waiting for it to finish")
        lock.acquire(poll_interval=0.1)
    try:
        with suppress(OSError):  # it informs; the lock itself is what protects
            holder.write_text(json.dumps(_myself()), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            holder.unlink()
        lock.release()


def held_by(device: str) -> str | None:
    """Say who measures on the device now, or return None where nobody does."""
    path = _path_of(device)
    lock = filelock.FileLock(path, mode=0o666)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return _describe(path.with_suffix(".holder"))
    lock.release()
    return None


def _path_of(device: str) -> Path:
    return lock_folder() / f"pytest-thor-{device}.lock"


def _myself() -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": redacted(" ".join(sys.argv))[:500],
    }


def _describe(holder: Path) -> str:
    try:
        content = json.loads(holder.read_text(encoding="utf-8"))
        return f"process {int(content['pid'])} since {content['since']} ({content['command']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another session"
