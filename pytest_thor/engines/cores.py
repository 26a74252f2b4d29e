"""How many cores an engine may use, where it would not ask itself."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")


def default_threads() -> dict[str, int]:
    """Return the setting that keeps llama.cpp's threads as few as the cores it may use; {} where it may use all."""
    cores = allowed_cores()
    return {} if cores is None else {"threads": cores}


def allowed_cores(cpus: Path = _CPUS) -> int | None:
    """Return how many cores this process may run on, or None where it may run on all of the machine's.

    llama.cpp's default is a thread for each core of the machine, whatever the process may use: on a few of many CPUs
    its threads would get into each other's way. As there, CPUs that share a core count once.
    """
    allowed = os.sched_getaffinity(0)
    if len(allowed) >= (os.cpu_count() or 1):
        return None
    found = set()
    for number in allowed:
        siblings = str(number)
        with suppress(OSError):
            siblings = (cpus / f"cpu{number}/topology/thread_siblings").read_text(encoding="ascii")
        found.add(siblings)
    return len(found)
