"""Whose processor time it was: this process with all that it started, or somebody else's.

Every process of /proc is looked at about once a second. A process's time with that of its children that ended
(``cutime``) only moves upwards when a child ends, so the sum over the living also holds what short-lived processes
(a compiler's, say) used, and differences between two looks are whole.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_STAT_BYTES = 1024
_KERNEL_THREADS = 2


@dataclass(frozen=True, slots=True)
class Process:
    """One process: its parent, name, CPU seconds of itself, and of itself with its ended children."""

    pid: int
    parent: int
    name: str
    own_s: float
    total_s: float
    cpu: int = 0
    """The CPU that it ran on last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """Another process that ran: CPU seconds per second."""

    pid: int
    name: str
    cores: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuShares:
    """CPU seconds per second: of this process and what it started, of other processes, and of the busiest of those.

    ``kernel_cores`` is kernel threads, which work for anybody. Over ``covered_s`` seconds, which enclose the window.
    """

    ours_cores: float
    others_cores: float
    kernel_cores: float
    busiest: tuple[Neighbour, ...]
    covered_s: float


@dataclass(frozen=True, slots=True)
class _Look:
    time_s: float
    ours_s: float
    others_s: float
    kernel_s: float
    ran: Mapping[tuple[int, str], float]


class ProcessWatch:
    """Looks at all processes now and then; ``pid`` is the root of those that are ours.

    With ``cpus`` another process counts where it ran on one of these last, and short-lived ones do not count.
    """

    interval_s = 1.0

    def __init__(self, root: Path = Path("/"), *, pid: int | None = None, cpus: Collection[int] = ()) -> None:
        self._proc = root / "proc"
        self._cpus = frozenset(cpus)
        self._near_s = 0.0
        self.pid = os.getpid() if pid is None else pid
        self._last: dict[int, float] = {}
        self._looks: list[_Look] = []
        self.ours: frozenset[int] = frozenset()
        """The ids of this process and its descendants at the last look."""

    def look(self, time_s: float) -> None:
        """Look at all processes now."""
        found = {process.pid: process for process in read_all(self._proc)}
        ours = family(found.values(), self.pid)
        ran: dict[tuple[int, str], float] = {}
        sums = [0.0, 0.0, 0.0]
        for process in found.values():
            kernel = _KERNEL_THREADS in (process.pid, process.parent)
            sums[0 if process.pid in ours else 2 if kernel else 1] += process.total_s
            grown = process.own_s - self._last.get(process.pid, process.own_s)
            if grown > 0 and process.pid not in ours and not kernel and self._is_near(process):
                ran[process.pid, process.name] = grown
        if self._cpus:
            self._near_s += sum(ran.values())
            sums[1] = self._near_s
        self._last = {pid: process.own_s for pid, process in found.items()}
        self.ours = frozenset(ours)
        self._looks.append(_Look(time_s, sums[0], sums[1], sums[2], ran))

    def _is_near(self, process: Process) -> bool:
        return not self._cpus or process.cpu in self._cpus

    def drop_before(self, time_s: float) -> None:
        """Forget the looks before a time."""
        self._looks = [look for look in self._looks if look.time_s >= time_s]

    def between(self, start: float, end: float) -> CpuShares | None:
        """Return the shares between the looks that enclose a window, or None where fewer than two do."""
        before = [look for look in self._looks if look.time_s <= start]
        after = [look for look in self._looks if look.time_s >= end]
        first = before[-1] if before else next(iter(self._looks), None)
        last = after[0] if after else next(reversed(self._looks), None)
        if first is None or last is None or last.time_s <= first.time_s:
            return None
        covered_s = last.time_s - first.time_s
        ran: defaultdict[tuple[int, str], float] = defaultdict(float)
        for look in self._looks:
            if first.time_s < look.time_s <= last.time_s:
                for who, grown in look.ran.items():
                    ran[who] += grown
        busiest = sorted(ran.items(), key=lambda item: -item[1])[:3]
        return CpuShares(
            ours_cores=max(last.ours_s - first.ours_s, 0.0) / covered_s,
            others_cores=max(last.others_s - first.others_s, 0.0) / covered_s,
            kernel_cores=max(last.kernel_s - first.kernel_s, 0.0) / covered_s,
            busiest=tuple(Neighbour(pid=pid, name=name, cores=grown / covered_s) for (pid, name), grown in busiest),
            covered_s=covered_s,
        )


def read_all(proc: Path) -> Iterator[Process]:
    """Yield every process that is there, apart from those that end while they are looked at."""
    try:
        names = os.listdir(proc)  # noqa: PTH208 - a Path for each of hundreds of names costs more than reading them
    except OSError:
        return
    for name in names:
        if name.isdigit():
            process = _read(f"{proc}/{name}/stat")
            if process is not None:
                yield process


def family(processes: Iterable[Process], pid: int) -> set[int]:
    """Return the ids of a process and all its descendants."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for process in processes:
        children[process.parent].append(process.pid)
    found, waiting = set(), [pid]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting.extend(children[one])
    return found


def _read(path: str) -> Process | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            text = os.read(fd, _STAT_BYTES)
        finally:
            os.close(fd)
        begin, end = text.index(b"("), text.rindex(b")")
        # proc(5), from field 3: state ppid … utime(14) stime cutime cstime … processor(39)
        fields = text[end + 2 :].split(None, 37)
        user, system, user_ended, system_ended = (int(word) for word in fields[11:15])
        return Process(
            pid=int(text[:begin]),
            parent=int(fields[1]),
            name=text[begin + 1 : end].decode(errors="replace"),
            own_s=(user + system) / _TICKS,
            total_s=(user + system + user_ended + system_ended) / _TICKS,
            cpu=int(fields[36]) if len(fields) > 36 else 0,
        )
    except (OSError, ValueError, IndexError, OverflowError):
        return None
