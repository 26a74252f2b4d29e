"""Writing files so that a crash, a full disk or a pulled plug leaves the old content or the new, never a half."""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path


def atomic_write(path: Path, content: bytes | bytearray) -> None:
    """Replace ``path`` with ``content`` in one step, making its folder where needed.

    Raises:
        OSError: it could not be written; what stood there before still stands.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name[:80]}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def atomic_write_text(path: Path, text: str) -> None:
    """Replace ``path`` with ``text`` as UTF-8, as :func:`atomic_write` does."""
    atomic_write(path, text.encode())


def append_line(path: Path, line: str) -> None:
    """Add one line to a journal, whole or not at all, and wait until the disk has it.

    Writers take turns by a lock on the file. A line that a crash cut short is ended first, so that it spoils no other.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = line.rstrip("\n").encode() + b"\n"
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # closing the file releases it
        if os.fstat(file.fileno()).st_size and not _ends_with_newline(file.fileno()):
            data = b"\n" + data
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def shown(path: Path, here: Path) -> Path:
    """Return a path as a person standing in ``here`` reads it best."""
    return path.relative_to(here) if path.is_relative_to(here) else path


def cache_folder() -> Path:
    """Return the folder for what is made or measured once and reused: ``$THOR_CACHE``, else the user's own."""
    if given := os.environ.get("THOR_CACHE"):
        return Path(given).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pytest-thor"


def _ends_with_newline(descriptor: int) -> bool:
    return os.pread(descriptor, 1, os.fstat(descriptor).st_size - 1) == b"\n"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
