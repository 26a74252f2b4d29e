"""Reads the lines of tegrastats, which tells what /sys tells where that is not visible (in a container, say).

The lines of L4T R38 and R39 differ and fields come and go, so each is looked for by itself: percent signs are
optional, a unit has one to three clocks, ``off`` is one that is switched off, temperatures and powers may be followed
by their peak or mean. The first number of each is the one of now.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from statistics import fmean
from typing import TypeAlias

from pytest_thor.host.source import MISSING, Channel

Reading: TypeAlias = Mapping[Channel, float]

_MIB = 2.0**20
_MEMORY = re.compile(r"\bRAM ([0-9]{1,12})/([0-9]{1,12})MB")
_SWAP = re.compile(r"\bSWAP ([0-9]{1,12})/[0-9]+MB")
_CPUS = re.compile(r"\bCPU \[([^][]*)\]")
_CPU = re.compile(r"(?<![0-9])([0-9]{1,3})%?@([0-9]{1,9})(?![0-9])")
_UNIT = re.compile(r"\b(EMC_FREQ|GR3D_FREQ) (?:([0-9]{1,3})%?)?@\[?([0-9,]{1,80})(?![0-9,])")
_TEMPERATURE = re.compile(r"(?:^|\s)([\w.-]+)@(-?[0-9]{1,6}(?:\.[0-9]+)?)C\b")
_POWER = re.compile(r"(?:^|\s)([A-Z][\w+]*) ([0-9]{1,12})mW\b")
_UNIT_NAMES = {"EMC_FREQ": "memory", "GR3D_FREQ": "gpu"}
_OFF_C = -256.0  # what a sensor in a powered-down block reads
_LONGEST_LINE = 1 << 14  # bytes; real ones have some hundred
_PATIENCE_S = 5.0


def parse(line: str) -> Reading:
    """Return what a line tells, by channel; a line of something else tells nothing."""
    found: dict[Channel, float] = {}
    match = _MEMORY.search(line)
    if match and int(match[1]) <= int(match[2]):
        found[Channel(group="memory_bytes", name="available")] = (int(match[2]) - int(match[1])) * _MIB
    if match := _SWAP.search(line):
        found[Channel(group="memory_bytes", name="swap_used")] = int(match[1]) * _MIB
    cpus = _CPU.findall(match[1]) if (match := _CPUS.search(line)) else []
    if cpus:
        found[Channel(group="busy", name="cpu")] = fmean(int(share) for share, _ in cpus) / 100
        found[Channel(group="clock_hz", name="cpu")] = fmean(int(clock) for _, clock in cpus) * 1e6
    for unit, share, clocks in _UNIT.findall(line):
        name = _UNIT_NAMES[unit]
        if share:
            found[Channel(group="busy", name=name)] = int(share) / 100
        numbers = [int(clock) for clock in clocks.split(",") if clock]
        if numbers:
            found[Channel(group="clock_hz", name=name)] = fmean(numbers) * 1e6
    for name, number in _TEMPERATURE.findall(line):
        if float(number) > _OFF_C:
            found[Channel(group="temperature_c", name=name.removesuffix("-thermal"))] = float(number)
    for rail, number in _POWER.findall(line):
        found[Channel(group="power_w", name=rail)] = int(number) / 1e3
    return found


class TegrastatsSource:
    """A running tegrastats; its channels are those of its first line, a reading is its last whole line.

    Making one starts the program and waits for its first line, a few seconds at most.

    Raises:
        FileNotFoundError: there is no tegrastats.
    """

    def __init__(self, program: str | None = None, *, interval_s: float = 0.1) -> None:
        path = program or shutil.which("tegrastats")
        if path is None:
            raise FileNotFoundError("there is no tegrastats on PATH")
        self.interval_s = interval_s
        self._process = subprocess.Popen(
            [path, "--interval", str(round(interval_s * 1000))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        self._fd = self._process.stdout.fileno()
        os.set_blocking(self._fd, False)
        self._begun = b""
        self._reading: Reading = {}
        deadline = time.monotonic() + _PATIENCE_S
        while not self._reading and (left_s := deadline - time.monotonic()) > 0:
            if select.select([self._fd], [], [], left_s)[0] and not self._take():
                break
        self.channels = tuple(self._reading)

    def read(self) -> Sequence[float]:
        """Return the last line's readings; ``MISSING`` once the program has ended, or for a field that it left out."""
        with suppress(BlockingIOError):
            self._take()
        return self._values()

    def trouble(self) -> str | None:
        """Say that it ended, or that its first line told nothing."""
        code = self._process.poll()
        if code is not None:
            return f"tegrastats ended with exit status {code}"
        return None if self.channels else "tegrastats wrote no line that tells anything"

    def close(self) -> None:
        """End the program."""
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _take(self) -> bool:
        """Take what it wrote; return whether it may write more.

        Raises:
            BlockingIOError: it wrote nothing.
        """
        data = os.read(self._fd, 1 << 16)
        if not data:
            self._reading = {}
            return False
        *lines, begun = (self._begun + data).split(b"\n")
        self._begun = begun[:_LONGEST_LINE]  # of a longer line, whose rest would be read as another one
        whole = [line for line in lines if len(line) < _LONGEST_LINE]
        if whole:
            self._reading = parse(whole[-1].decode(errors="replace"))
        return True

    def _values(self) -> list[float]:
        return [self._reading.get(channel, MISSING) for channel in self.channels]
