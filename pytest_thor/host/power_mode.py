"""The power mode of a Jetson, and how its clocks are held."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pytest_thor.host.cpu import policies
from pytest_thor.host.jetson import gpu_clock, memory_clock
from pytest_thor.host.sensor_file import text_of, whole_of
from pytest_thor.host.settings import NVPMODEL_STATUS

_MODEL = re.compile(r"<\s*POWER_MODEL\s+ID=([0-9]{1,9})\s+NAME=(\S+?)\s*>")


def power_mode(root: Path = Path("/")) -> str | None:
    """Return the name of the power mode, or None where there is none or it is not told.

    Here and now ``nvpmodel -q`` says it, which needs no root; in a recorded tree, the file in which nvpmodel keeps the
    number of the mode, with the names from its configuration.
    """
    asked = _ask() if root == Path("/") else None
    return asked or _kept(root)


def clocks(root: Path = Path("/")) -> str | None:
    """Say between which clocks GPU, memory and CPU may move, or at which they are locked; None where none is told."""
    return ", ".join(_held(root)) or None


def clocks_are_locked(root: Path = Path("/")) -> bool | None:
    """Say whether the GPU's clock is held at its highest (``jetson_clocks``), or None where nothing tells."""
    folder = gpu_clock(root)
    if folder is None:
        return None
    low, high = whole_of(folder / "min_freq"), whole_of(folder / "max_freq")
    return None if low is None or high is None else low == high


def _ask() -> str | None:
    program = shutil.which("nvpmodel")
    if program is None:
        return None
    with suppress(OSError, subprocess.SubprocessError):
        answer = subprocess.run([program, "-q"], capture_output=True, text=True, timeout=10, check=False)
        match = re.search(r"NV Power Mode:\s*(\S+)", answer.stdout)
        return match[1] if match else None
    return None


def _kept(root: Path) -> str | None:
    match = re.search(r"pmode:([0-9]{1,9})(?![0-9])", text_of(root / NVPMODEL_STATUS) or "")
    if match is None:
        return None
    names: dict[int, str] = {
        int(number): name for number, name in _MODEL.findall(text_of(root / "etc/nvpmodel.conf") or "")
    }
    return names.get(int(match[1]), str(int(match[1])))


def _held(root: Path) -> Iterator[str]:
    for name, folder in (("gpu", gpu_clock(root)), ("memory", memory_clock(root))):
        if folder is not None:
            yield from _range(name, folder / "min_freq", folder / "max_freq", per_mhz=1_000_000)
    for policy in policies(root)[:1]:
        yield from _range("cpu", policy / "scaling_min_freq", policy / "scaling_max_freq", per_mhz=1_000)


def _range(name: str, lowest: Path, highest: Path, *, per_mhz: int) -> Iterator[str]:
    low, high = whole_of(lowest), whole_of(highest)
    if low is not None and high is not None:
        held = f"locked at {high // per_mhz}" if low == high else f"{low // per_mhz} to {high // per_mhz}"
        yield f"{name} {held} MHz"
