"""The peak of a server's host memory, as the kernel keeps it: looked at between loads only, never during one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_KIB = re.compile(rb"^(VmHWM|Rss|Pss):\s+(\d+) kB", re.MULTILINE)
_RESET_PEAK = "5"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessMemory:
    """One process: the most it has held, what it holds, and its share of that, in bytes."""

    peak_bytes: int
    resident_bytes: int
    proportional_bytes: int


def look(pid: int) -> ProcessMemory | None:
    """Read what the kernel says of one process, or None where it does not tell."""
    folder = Path(f"/proc/{pid}")
    try:
        text = (folder / "status").read_bytes() + (folder / "smaps_rollup").read_bytes()
    except OSError:
        return None
    found = {name.decode(): int(number) * 1024 for name, number in _KIB.findall(text)}
    if not {"VmHWM", "Rss", "Pss"} <= found.keys():
        return None
    return ProcessMemory(peak_bytes=found["VmHWM"], resident_bytes=found["Rss"], proportional_bytes=found["Pss"])


def peak_bytes(processes: Iterable[ProcessMemory]) -> int | None:
    """Return the most that processes have held since their peaks were last forgotten, or None of none.

    One process: its own peak. Several: the sum of their peaks (which need not have come at the same moment) less
    what they share, so that the pages of forked workers count once.
    """
    looked = list(processes)
    if len(looked) < 2:
        return looked[0].peak_bytes if looked else None
    proportional = sum(each.proportional_bytes for each in looked)
    shared = sum(each.resident_bytes for each in looked) - proportional
    return max(sum(each.peak_bytes for each in looked) - shared, proportional)


def forget_peak(pid: int) -> bool:
    """Let the kernel count a process's peak from now on; whether it does."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text(_RESET_PEAK, encoding="ascii")
    except OSError:
        return False
    return True
