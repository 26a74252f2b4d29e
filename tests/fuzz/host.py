"""The readers of the machine: tegrastats, the trees of /proc and /sys, and what was measured and kept of it."""

from __future__ import annotations

import json
import math
from array import array
from pathlib import Path

from pytest_thor.host import cpu, jetson, proc, rapl
from pytest_thor.host.device import identify
from pytest_thor.host.measured_roof import cache_bytes
from pytest_thor.host.power_mode import clocks_are_locked
from pytest_thor.host.processes import family, read_all
from pytest_thor.host.source import Source
from pytest_thor.host.tegrastats import parse
from tests.fuzz.target import Target, golden, written

_LONGEST_PATH = 200


def read_tegrastats(content: bytes, folder: Path) -> None:
    for line in content.decode("utf-8", errors="replace").split("\n"):
        for channel, value in parse(line).items():
            assert math.isfinite(value), channel
            assert channel.group != "memory_bytes" or value >= 0


def read_tree(content: bytes, folder: Path) -> None:
    """Lay out a recorded machine, damaged, and read everything that is read of a machine."""
    for line in content.decode("utf-8", errors="replace").split("\n"):
        path, equals, text = line.partition(" = ")
        if equals and _is_safe(path):
            try:
                written(folder, path, text.replace("\\n", "\n").replace("\\t", "\t").replace("\\0", "\0").encode())
            except OSError:  # one path stands where another has a folder, or a name is too long
                continue
    device = identify(folder)
    assert device.slug
    assert "/" not in device.slug
    assert str(device).encode()
    clocks_are_locked(folder)
    assert cache_bytes(folder) >= 0
    sources: list[Source] = [
        *jetson.sources(folder),
        *cpu.sources(folder),
        *rapl.sources(folder),
        *proc.sources(folder),
    ]
    for source in sources:
        for _ in range(2):
            assert len(array("d", source.read())) == len(source.channels)
        source.trouble()
        source.close()


def _is_safe(path: str) -> bool:
    parts = Path(path).parts
    return (
        bool(parts)
        and not path.startswith("/")
        and ".." not in parts
        and "\0" not in path
        and len(path) < _LONGEST_PATH
    )


_PROC = (
    b"cpu  1000 0 500 90000 10 20 30 0 0 0\ncpu0 500 0 250 45000 5 10 15 0 0 0\n",
    b"MemTotal: 128790528 kB\nMemAvailable: 62914560 kB\nSwapTotal: 100 kB\nSwapFree: 90 kB\n",
    b"pgpgin 4096\npgpgout 1\npswpin 0\npswpout 0\n",
    b"0.52 0.40 0.31 2/611 4242\n",
    b"7 (a (b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 10 5 20 0 1 0 100 0 0 0 0 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0\n",
)


def read_proc(content: bytes, folder: Path) -> None:
    for name in ("stat", "meminfo", "vmstat", "loadavg"):
        written(folder, f"proc/{name}", content)
    for source in proc.sources(folder):
        assert len(array("d", source.read())) == len(source.channels)
        source.close()
    written(folder, "proc/7/stat", content)
    found = list(read_all(folder / "proc"))
    assert all(math.isfinite(process.own_s) and math.isfinite(process.total_s) for process in found)
    family(found, 7)
    json.dumps([process.name for process in found], ensure_ascii=False).encode()


TARGETS = (
    Target(name="tegrastats", read=read_tegrastats, seeds=golden("host/tegrastats-*.txt")),
    Target(name="sysfs-tree", read=read_tree, seeds=golden("host/*.tree")),
    Target(name="proc", read=read_proc, seeds=_PROC),
)
