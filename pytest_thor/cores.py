"""The processor as far as this process may use it: its cores, who shares one, and the time that a container gets."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

_ROOT = Path("/")


def default_threads(root: Path = _ROOT) -> dict[str, int]:
    """Return the setting that keeps llama.cpp's threads as few as the cores it may use; {} where it may use all.

    Its default is a thread for each core of the machine, whatever the process may use: on a few of many CPUs they would
    get into each other's way, and in a container that gets the time of a few they would be stopped in turns.
    """
    may_use_all = len(os.sched_getaffinity(0)) >= (os.cpu_count() or 1)
    usable = cores(root)
    return {} if may_use_all and usable == _cores_allowed(root) else {"threads": usable}


def cores(root: Path = _ROOT) -> int:
    """Return how many cores' worth of work this process may do at once: whole ones, one at least."""
    allowed = _cores_allowed(root)
    quota = cpu_quota(root)
    return allowed if quota is None else max(1, min(allowed, int(quota)))


def with_siblings(cpus: Collection[int], root: Path = _ROOT) -> tuple[int, ...]:
    """Return CPUs with those that share a core with one of them, sorted."""
    found = set(cpus)
    for number in cpus:
        found |= _siblings(number, root)
    return tuple(sorted(found))


def cpu_quota(root: Path = _ROOT) -> float | None:
    """Return how many CPUs' worth of time the control groups of this process get, None where they are not limited.

    Sources: ``cpu.max``, in the older hierarchy ``cpu.cfs_quota_us``; of a group and those above it the least counts.
    """
    limits = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        for folder in _groups(controllers, path, root):
            if controllers:
                words = [_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
            else:
                words = _text(folder / "cpu.max").split()
            if len(words) == 2 and all(re.fullmatch(r"[1-9][0-9]{0,14}", word) for word in words):
                limits.append(int(words[0]) / int(words[1]))
    return min(limits, default=None)


def _groups(controllers: str, path: str, root: Path) -> Iterator[Path]:
    """Yield the folders of a control group and of all above it, as far as they are shown here.

    A container may show its own group as the top, while the kernel names it by a path of the host.
    """
    mounts = root / "sys/fs/cgroup"
    if controllers and "cpu" not in controllers.split(","):
        return
    for top in [mounts / controllers, mounts / "cpu"] if controllers else [mounts, mounts / "unified"]:
        below = Path(path.lstrip("/"))
        yield from (top / each for each in (below, *below.parents) if ".." not in each.parts)


def _cores_allowed(root: Path) -> int:
    """Return how many cores this process may run on; as for llama.cpp, CPUs that share a core count once."""
    return len({_siblings(number, root) for number in os.sched_getaffinity(0)})


def _siblings(number: int, root: Path) -> frozenset[int]:
    """Return the CPUs of one core, the number itself where the kernel does not tell."""
    mask = _text(root / f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings").strip().replace(",", "")
    if not re.fullmatch(r"[0-9a-f]{1,1024}", mask):
        return frozenset({number})
    bits = int(mask, 16)
    return frozenset({number, *(bit for bit in range(bits.bit_length()) if bits >> bit & 1)})


def _text(path: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="ascii")
    return ""
