"""Numbers that the kernel keeps in files: opened once, read again and again."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pytest_thor.host.source import MISSING, Channel

_BYTES = 64


class SensorFile:
    """One number in a file, times ``scale``.

    A sensor that is busy (EAGAIN, which thermal zones say while their block is powered down) is missing this once; one
    whose driver is gone (ENODEV) stays missing, and ``problem`` says so.
    """

    def __init__(self, path: Path, scale: float = 1.0) -> None:
        self.path = path
        self.problem: str | None = None
        self._scale = scale
        self._fd: int | None = None
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            self.problem = error.strerror

    def read(self) -> float:
        """Return the number now, or ``MISSING``."""
        if self._fd is None:
            return MISSING
        try:
            return int(os.pread(self._fd, _BYTES, 0)) * self._scale
        except OSError as error:
            if error.errno != errno.EAGAIN:
                self.problem = error.strerror
        except ValueError:
            self.problem = "it holds no number"
        return MISSING

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class ProductFile:
    """The product of two numbers, such as a current and a voltage, where no file gives the power."""

    def __init__(self, first: SensorFile, second: SensorFile) -> None:
        self._factors = (first, second)

    @property
    def problem(self) -> str | None:
        """Why it gives nothing."""
        return self._factors[0].problem or self._factors[1].problem

    def read(self) -> float:
        """Return the product now, or ``MISSING`` where a factor is."""
        return self._factors[0].read() * self._factors[1].read()

    def close(self) -> None:
        """Close both files."""
        for factor in self._factors:
            factor.close()


class FileSource:
    """A source whose every channel is a file."""

    def __init__(self, files: Iterable[tuple[Channel, SensorFile | ProductFile]], *, interval_s: float = 0.1) -> None:
        pairs = tuple(files)
        self.channels = tuple(channel for channel, _ in pairs)
        self.interval_s = interval_s
        self._files = tuple(file for _, file in pairs)

    def read(self) -> Sequence[float]:
        """Read every file."""
        return [file.read() for file in self._files]

    def trouble(self) -> str | None:
        """Name the files that failed otherwise than by being busy."""
        failed = [
            f"{channel.group}.{channel.name}: {file.problem}"
            for channel, file in zip(self.channels, self._files, strict=True)
            if file.problem
        ]
        return "; ".join(failed) or None

    def close(self) -> None:
        """Close every file."""
        for file in self._files:
            file.close()


def text_of(path: Path) -> str | None:
    """Return a small file's text without its end, or None where it cannot be read."""
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    return None


def whole_of(path: Path) -> int | None:
    """Return the whole number that a file holds, or None."""
    try:
        return int(text_of(path) or "")
    except ValueError:
        return None


def folders(parent: Path, pattern: str) -> list[Path]:
    """Return what matches below a folder, in the order of the numbers in their names; none where it cannot be read."""
    try:
        found = list(parent.glob(pattern))
    except OSError:
        return []
    return sorted(found, key=lambda path: (int("".join(re.findall("[0-9]", path.name)) or 0), path.name))
