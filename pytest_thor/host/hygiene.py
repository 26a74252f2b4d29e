"""Between launches: the last engine is really gone, caches are dropped where that is permitted, the machine is at rest.

Everything works without root and says what root would give. What was done and what was not reached is a record.
"""

from __future__ import annotations

import math
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pytest_thor.host import cpu, nvml, proc
from pytest_thor.host.part import Part
from pytest_thor.host.processes import ProcessWatch
from pytest_thor.host.sensor_file import FileSource, text_of
from pytest_thor.units import format_bytes

DROP_CACHES = ("/usr/sbin/sysctl", "-q", "vm.drop_caches=1")
"""The one command that root has to permit for clean caches; docs/thor-telemetry.md has the line for sudoers."""

CacheOutcome: TypeAlias = Literal["dropped", "not permitted", "not asked for"]

_POLL_S = 0.5
_STILL = 0.9  # memory that came back, as a share of what was there before the launch


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What a machine should be at before the next launch; None does not matter.

    ``hottest_c`` is the warmest sensor, ``busy`` the share of all CPUs that is in use by anybody. ``deadline_s`` bounds
    the wait for all of it.
    """

    hottest_c: float | None = None
    busy: float | None = None
    drop_caches: bool = False
    deadline_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The machine now: bytes that a program could have, bytes used on GPUs, its warmest sensor, its load.

    ``engines`` are processes that this one started and that still run, by name.
    """

    available_bytes: float | None
    gpu_used_bytes: float | None
    hottest_c: float | None
    busy: float | None
    engines: Mapping[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What was done between two launches, and what was ``unmet`` when the deadline came, as sentences."""

    waited_s: float
    caches: CacheOutcome
    unmet: tuple[str, ...]
    before: State
    after: State

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        record = asdict(self)
        for state in ("before", "after"):
            record[state]["engines"] = {str(pid): name for pid, name in record[state]["engines"].items()}
        return {**record, "unmet": list(self.unmet)}


class Hygiene:
    """Looks at one machine between launches; ``library`` is an open NVML, ``pid`` the root of what is ours.

    Of a ``part`` only its own GPUs are looked at. Others measure beside it: how much memory is left tells nothing.
    """

    def __init__(
        self,
        root: Path = Path("/"),
        *,
        library: nvml.Library | None = None,
        pid: int | None = None,
        part: Part | None = None,
    ) -> None:
        self._root = root
        self._part = part
        self._library = library
        self._is_jetson = (root / "etc/nv_tegra_release").exists()
        self._own = ProcessWatch(root, pid=pid)
        self._cpus = max(_count_cpus(root), 1)
        self._cpu_s: tuple[float, float] | None = None
        self._may_drop = True

    def look(self, time_s: float | None = None) -> State:
        """Return the machine's state now; its load is that since the last look, None at the first."""
        time_s = time.monotonic() if time_s is None else time_s
        known = _numbers(self._root)
        before, self._cpu_s = self._cpu_s, None
        busy = None
        if (seconds := known.get("cpu_s.busy")) is not None:
            self._cpu_s = (time_s, seconds)
            if before is not None and time_s > before[0]:
                busy = (seconds - before[1]) / (time_s - before[0]) / self._cpus
        gpus = self._read_gpus()
        # What a Jetson's GPU counts as used are the machine's pages, those of files too.
        used = [] if self._is_jetson else gpus.get("memory_bytes", [])
        return State(
            available_bytes=known.get("memory_bytes.available") if self._part is None else None,
            gpu_used_bytes=sum(used) if used else None,
            hottest_c=max([*_temperatures_c(self._root), *gpus.get("temperature_c", [])], default=None),
            busy=busy,
            engines=self._engines(),
        )

    def settle(
        self,
        rest: Rest,
        *,
        before: State,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Settled:
        """Wait until the engine that ran is gone and the machine is at rest, or the deadline has come.

        ``before`` is the state before that engine was started: its memory has to come back.
        """
        started = clock()
        first = state = self.look(started)
        caches: CacheOutcome = "not asked for"
        if rest.drop_caches and not state.engines:
            caches = self._drop_caches()
            state = self.look(clock())
        while (unmet := _unmet(rest, before, state)) and clock() - started < rest.deadline_s:
            sleep(min(_POLL_S, max(rest.deadline_s - (clock() - started), 0.0)))
            state = self.look(clock())
        return Settled(waited_s=clock() - started, caches=caches, unmet=unmet, before=first, after=state)

    def _drop_caches(self) -> CacheOutcome:
        """Drop clean pages of files: by hand where this process may, else by the command that sudoers permits."""
        file = self._root / "proc/sys/vm/drop_caches"
        try:
            file.write_text("1\n", encoding="ascii")
        except OSError:
            pass
        else:
            return "dropped"
        if self._root == Path("/") and self._may_drop and shutil.which("sudo"):
            command = ["sudo", "-n", *DROP_CACHES]
            answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
            if answer.returncode == 0:
                return "dropped"
            self._may_drop = False  # asked once: each refusal is a line in root's log
        return "not permitted"

    def _read_gpus(self) -> dict[str, list[float]]:
        """Return what the GPUs tell now, by group of channels."""
        found: dict[str, list[float]] = {}
        gpus = self._part.gpus if self._part else None
        for source in nvml.sources(self._library, gpus) if self._library is not None else ():
            for channel, value in zip(source.channels, source.read(), strict=True):
                if not math.isnan(value):
                    found.setdefault(channel.group, []).append(value)
        return found

    def _engines(self) -> dict[int, str]:
        """Return what this process started and still runs; itself left out."""
        self._own.look(0.0)
        self._own.drop_before(1.0)
        pids = sorted(self._own.ours - {self._own.pid})
        names = {pid: text_of(self._root / f"proc/{pid}/comm") for pid in pids}
        return {pid: name for pid, name in names.items() if name is not None}


def _unmet(rest: Rest, before: State, state: State) -> tuple[str, ...]:
    found = []
    new = {pid: name for pid, name in state.engines.items() if pid not in before.engines}
    if new:
        found.append("still running: " + ", ".join(f"{name} (process {pid})" for pid, name in new.items()))
    if before.available_bytes is not None and state.available_bytes is not None:
        missing = before.available_bytes * _STILL - state.available_bytes
        if missing > 0:
            found.append(f"memory has not come back: {format_bytes(before.available_bytes - state.available_bytes)}")
    if before.gpu_used_bytes is not None and state.gpu_used_bytes is not None:
        more = state.gpu_used_bytes - before.gpu_used_bytes
        if more > (1 - _STILL) * max(before.gpu_used_bytes, 2.0**30):
            found.append(f"GPU memory has not come back: {format_bytes(more)}")
    if rest.hottest_c is not None and state.hottest_c is not None and state.hottest_c > rest.hottest_c:
        found.append(f"warmer than {rest.hottest_c:g} °C: {state.hottest_c:.1f} °C")
    if rest.busy is not None and (state.busy is None or state.busy > rest.busy):
        load = "not known yet" if state.busy is None else f"{state.busy:.0%}"
        found.append(f"busier than {rest.busy:.0%} of its CPUs: {load}")
    return tuple(found)


def _numbers(root: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    for source in proc.sources(root):
        for channel, value in zip(source.channels, source.read(), strict=True):
            if not math.isnan(value):
                found[f"{channel.group}.{channel.name}"] = value
        source.close()
    return found


def _temperatures_c(root: Path) -> list[float]:
    source = FileSource(cpu.temperatures(root))
    values = [value for value in source.read() if not math.isnan(value)]
    source.close()
    return values


def _count_cpus(root: Path) -> int:
    text = text_of(root / "proc/stat") or ""
    return sum(line.startswith("cpu") and line[3:4].isdigit() for line in text.splitlines())
