"""The whole machine's processor time, memory and paging, from /proc."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from pytest_thor.host.source import MISSING, Channel

_BYTES = 1 << 17  # /proc/stat has a line per CPU
_KIB = 1024
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class ProcFile:
    """A source of one file of /proc whose text ``parse`` turns into one reading per channel."""

    def __init__(
        self, path: Path, channels: Sequence[Channel], parse: Callable[[bytes], Sequence[float]], *, interval_s: float
    ) -> None:
        self.channels = tuple(channels)
        self.interval_s = interval_s
        self._path = path
        self._parse = parse
        self._missing = (MISSING,) * len(self.channels)
        self._problem: str | None = None
        self._fd: int | None = None
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            self._problem = error.strerror

    def read(self) -> Sequence[float]:
        """Read and parse the file."""
        if self._fd is None:
            return self._missing
        try:
            return self._parse(os.pread(self._fd, _BYTES, 0))
        except OSError as error:
            self._problem = error.strerror
        except (ValueError, IndexError, OverflowError):
            self._problem = "not in the form that Linux writes"
        return self._missing

    def trouble(self) -> str | None:
        """Say why it gives nothing."""
        return f"{self._path}: {self._problem}" if self._problem else None

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def sources(root: Path = Path("/"), *, cpus: Collection[int] = ()) -> list[ProcFile]:
    """Return the processor's time (``cpus``: of these alone), the memory, and the paging with the load."""
    proc = root / "proc"
    cpu = [Channel(group="cpu_s", name=name, kind="counter") for name in ("busy", "steal")]
    memory = [Channel(group="memory_bytes", name=name) for name in ("available", "swap_used")]
    moved = [Channel(group="moved_bytes", name=name, kind="counter") for name, _, _ in _PAGING]
    return [
        ProcFile(proc / "stat", cpu, lambda text: cpu_seconds(text, cpus), interval_s=0.1),
        ProcFile(proc / "meminfo", memory, memory_bytes, interval_s=0.1),
        ProcFile(proc / "vmstat", moved, _paging, interval_s=0.5),
        ProcFile(proc / "loadavg", [Channel(group="load", name="1min")], _load, interval_s=1.0),
    ]


def cpu_seconds(text: bytes, cpus: Collection[int] = ()) -> tuple[float, float]:
    """Return the seconds that all CPUs, or these, were busy since boot, and those that the hypervisor gave to others.

    Busy is user, nice, system, irq and softirq; a guest's time is in user already.
    """
    if not cpus:
        return _busy_and_steal(text[: text.index(b"\n")])
    wanted = {b"cpu%d" % number for number in cpus}
    lines = [line for line in text.splitlines() if line.split(None, 1)[:1] and line.split(None, 1)[0] in wanted]
    if len(lines) != len(wanted):
        return MISSING, MISSING
    busy, steal = zip(*map(_busy_and_steal, lines), strict=True)
    return sum(busy), sum(steal)


def _busy_and_steal(line: bytes) -> tuple[float, float]:
    fields = [int(word) for word in line.split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq = fields[:7]
    steal = fields[7] / _TICKS if len(fields) > 7 else MISSING
    return (user + nice + system + irq + softirq) / _TICKS, steal


def memory_bytes(text: bytes) -> tuple[float, float]:
    """Return the bytes that a new program could have, and those that are swapped out."""
    total, free = _kib(text, b"SwapTotal:"), _kib(text, b"SwapFree:")
    return _kib(text, b"MemAvailable:") * _KIB, (total - free) * _KIB


def _kib(text: bytes, name: bytes) -> float:
    start = text.find(name)
    return float(int(text[start + len(name) :].split(None, 1)[0])) if start >= 0 else MISSING


_PAGING = (
    ("swapped_in", re.compile(rb"^pswpin (\d+)", re.MULTILINE), _PAGE),
    ("swapped_out", re.compile(rb"^pswpout (\d+)", re.MULTILINE), _PAGE),
    ("read_from_disk", re.compile(rb"^pgpgin (\d+)", re.MULTILINE), _KIB),
)


def _paging(text: bytes) -> list[float]:
    matches = [(pattern.search(text), size) for _, pattern, size in _PAGING]
    return [float(int(match[1])) * size if match else MISSING for match, size in matches]


def _load(text: bytes) -> tuple[float]:
    return (float(text.split()[0]),)
