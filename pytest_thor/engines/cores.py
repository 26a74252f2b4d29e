"""How many cores an engine may use, where it would not ask itself."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")


def default_threads() -> dict[str, int]:
    """Return the setting that keeps llama.cpp's threads as few as the cores it may use; {} where it may use all.

    Its default is a thread for each core of the machine, whatever the process may use: on a few of many CPUs they would
    get into each other's way.
    """
    return {} if len(os.sched_getaffinity(0)) >= (os.cpu_count() or 1) else {"threads": cores()}


def cores(cpus: Path = _CPUS) -> int:
    """Return how many cores this process may run on; as for llama.cpp, CPUs that share a core count once."""
    found = set()
    for number in os.sched_getaffinity(0):
        siblings = str(number)
        with suppress(OSError):
            siblings = (cpus / f"cpu{number}/topology/thread_siblings").read_text(encoding="ascii")
        found.add(siblings)
    return len(found)
