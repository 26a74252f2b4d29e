"""Samples the machine beside a launch, in one light thread, and sums up what it did in the launch's timed part.

The thread sleeps nearly always. A source is read every ``interval_s`` of its own, or less often where its reading costs
more than ``BUDGET`` of a core: the sampler slows itself down rather than the measurement.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, final

from pytest_thor.host import cpu, jetson, nvml, proc, rapl
from pytest_thor.host.part import Part
from pytest_thor.host.processes import ProcessWatch
from pytest_thor.host.sensor_file import text_of
from pytest_thor.host.series import Series, Window
from pytest_thor.host.settings import SettingsWatch
from pytest_thor.host.source import Source
from pytest_thor.host.tegrastats import TegrastatsSource
from pytest_thor.host.telemetry_summary import Telemetry, tables, total_energy

BUDGET = 0.0015
"""The share of one core that reading one source may cost; with five sources all of them stay below 1 %."""

KEEP_S = 3600.0
"""Seconds of readings that are kept."""


class _Watch(Protocol):
    interval_s: float

    def look(self, time_s: float) -> None: ...
    def drop_before(self, time_s: float) -> None: ...


def local_sources(
    root: Path = Path("/"), library: nvml.Library | None = None, *, part: Part | None = None
) -> list[Source]:
    """Return every source that this machine (or a recorded tree below ``root``) has; ``library`` is an open NVML.

    Of a ``part`` only its own GPUs and CPUs are read; a processor's power is that of others too, and left out.
    """
    gpus = part.gpus if part else None
    found: list[Source] = [*jetson.sources(root), *(nvml.sources(library, gpus) if library else [])]
    if part is None and not any(channel.group == "power_w" for source in found for channel in source.channels):
        found += rapl.sources(root)
        if root == Path("/"):
            with suppress(OSError):
                found.append(TegrastatsSource())
    return [*found, *cpu.sources(root), *proc.sources(root, cpus=part.cpus if part else ())]


class _Slot:
    """When something is read next: after its interval, or later where it costs too much."""

    def __init__(self, read: Callable[[], None], interval_s: float, series: Series | None = None) -> None:
        self.due_s = 0.0
        self._wanted_s = interval_s
        self._series = series
        self._read = read
        self._cost_s = 0.0

    def read(self, now_s: float) -> None:
        """Read it and say when the next time is; a single dear reading (a cold cache) changes nothing."""
        begin = time.thread_time()
        self._read()
        cost_s = time.thread_time() - begin
        interval_s = max(self._wanted_s, min(cost_s, self._cost_s) / BUDGET)
        self._cost_s = cost_s
        self.due_s = now_s + interval_s
        if self._series is not None:
            self._series.interval_s = interval_s


@final
class Sampler:
    """Samples from ``with`` until its end; ``between`` sums up any part of that, also while it runs.

    ``sources`` are closed with it. ``watch_processes`` looks at who uses the processor, once a second; ``library`` is
    an open NVML, for who uses the GPU. ``part`` is what is measured on where that is not the whole machine.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        root: Path = Path("/"),
        library: nvml.Library | None = None,
        watch_processes: bool = True,
        part: Part | None = None,
    ) -> None:
        self._part = part
        self._sources = tuple(sources)
        self._series = tuple(Series(source.channels, interval_s=source.interval_s) for source in self._sources)
        self._processes = ProcessWatch(root, cpus=part.cpus if part else ())
        self._settings = SettingsWatch(root)
        self._gpu = _GpuWatch(library, self._processes, root, part.gpus if part else None) if library else None
        watches: list[_Watch] = [self._settings]
        if watch_processes:
            watches += [self._processes, *([self._gpu] if self._gpu else [])]
        self._slots = [
            *(_Slot(self._reader(source, series), source.interval_s, series) for source, series in self._pairs()),
            *(_Slot(_looker(watch), watch.interval_s) for watch in watches),
        ]
        self._watches = watches
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pytest-thor telemetry", daemon=True)
        self._wall_offset_s = time.time() - time.monotonic()
        self._cpu_s = 0.0
        self._began_s = 0.0
        self._dropped_s = 0.0

    def __enter__(self) -> Sampler:
        self._began_s = self._dropped_s = time.monotonic()
        self._read_due(everything=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        for source in self._sources:
            source.close()

    @property
    def cost(self) -> float:
        """The share of one core that the thread has used so far."""
        return self._cpu_s / max(time.monotonic() - self._began_s, 1e-9)

    def between(self, start: float, end: float) -> Telemetry:
        """Sum up one window, given in seconds of ``time.monotonic()``."""
        return self.over([(start, end)])

    def over(self, windows: Sequence[Window]) -> Telemetry:
        """Sum up several windows as one: the repetitions of a test without what lies between them.

        Raises:
            ValueError: there is none, or one ends before it starts.
        """
        if not windows or any(end < start for start, end in windows):
            raise ValueError(f"no windows of time: {list(windows)}")
        start, end = min(first for first, _ in windows), max(last for _, last in windows)
        self._read_until(end)
        with self._lock:
            found = tables(self._series, windows)
            known: dict[str, Any] = {name: found.get(name, {}) for name in _TABLES} | self._density(windows)
            return Telemetry(
                **known,
                started_at=self._wall(start),
                duration_s=sum(last - first for first, last in windows),
                windows=len(windows),
                total_energy=total_energy(self._own_rails(found.get("energy_j", {}))),
                cpu=self._cpu(found.get("cpu_s", {}), windows, start, end),
                gpu_processes=self._gpu.between(start, end) if self._gpu else None,
                settings=dict(self._settings.values),
                settings_changed={
                    change.name: (change.before, change.after) for change in self._settings.between(start, end)
                },
                notes=tuple(filter(None, (source.trouble() for source in self._sources))),
            )

    def _own_rails(self, energy_j: Mapping[str, float | None]) -> Mapping[str, float | None]:
        """Leave out the rails that feed others too, where a part of the machine is measured."""
        if self._part is None:
            return energy_j
        own = {f"gpu{index}" for index in self._part.gpus}
        return {rail: joules for rail, joules in energy_j.items() if rail in own}

    def _read_until(self, end: float) -> None:
        """Have a reading after the end of a window, so that its last part is known."""
        now = time.monotonic()
        if now >= end and self._thread.is_alive():
            self._read_due(everything=any(series.times and series.times[-1] < end for series in self._series))

    def _density(self, windows: Sequence[Window]) -> dict[str, Any]:
        """Say how dense the readings are, by the source that was read most often."""
        if not self._series:
            return {"samples": 0, "rate_hz": None, "covered": 0.0}
        samples, fastest = max(((series.count(windows), series) for series in self._series), key=lambda pair: pair[0])
        duration_s = sum(end - start for start, end in windows)
        times = fastest.times
        known_s = sum(max(min(end, times[-1]) - max(start, times[0]), 0.0) for start, end in windows) if times else 0.0
        share = known_s / duration_s if duration_s else 0.0
        return {"samples": samples, "rate_hz": samples / duration_s if duration_s else None, "covered": share}

    def _cpu(self, seconds: Mapping[str, Any], windows: Sequence[Window], start: float, end: float) -> dict[str, Any]:
        duration_s = sum(last - first for first, last in windows)
        shares = self._processes.between(start, end)
        cores = {
            f"{name}_cores": None if seconds.get(name) is None or not duration_s else seconds[name] / duration_s
            for name in ("busy", "steal")
        }
        return {"sampler_cores": self.cost, **cores, **(asdict(shares) if shares else {})}

    def _wall(self, time_s: float) -> str:
        moment = datetime.fromtimestamp(time_s + self._wall_offset_s, timezone.utc)
        return moment.isoformat(timespec="milliseconds")

    def _run(self) -> None:
        begin = time.thread_time()
        while not self._stop.wait(max(min(slot.due_s for slot in self._slots) - time.monotonic(), 0.001)):
            self._read_due()
            self._cpu_s = time.thread_time() - begin

    def _read_due(self, *, everything: bool = False) -> None:
        with self._lock:
            now = time.monotonic()
            for slot in self._slots:
                if everything or slot.due_s <= now:
                    slot.read(now)
            if now - self._dropped_s > KEEP_S / 4:
                self._dropped_s = now
                for series in self._series:
                    series.drop_before(now - KEEP_S)
                for watch in self._watches:
                    watch.drop_before(now - KEEP_S)

    def _pairs(self) -> zip[tuple[Source, Series]]:
        return zip(self._sources, self._series, strict=True)

    @staticmethod
    def _reader(source: Source, series: Series) -> Callable[[], None]:
        def read() -> None:
            begin = time.monotonic()
            values = source.read()
            series.add((begin + time.monotonic()) / 2, values)

        return read


def _looker(watch: _Watch) -> Callable[[], None]:
    return lambda: watch.look(time.monotonic())


class _GpuWatch:
    """Who computes on the GPUs, now and then."""

    interval_s = 1.0

    def __init__(
        self, library: nvml.Library, processes: ProcessWatch, root: Path, gpus: Collection[int] | None = None
    ) -> None:
        self._library = library
        self._gpus = gpus
        self._processes = processes
        self._proc = root / "proc"
        self._seen: list[tuple[float, nvml.GpuProcess, bool | None, str | None]] = []

    def look(self, time_s: float) -> None:
        for process in nvml.gpu_processes(self._library):
            if self._gpus is not None and process.gpu not in self._gpus:
                continue
            name = text_of(self._proc / str(process.pid) / "comm")
            ours = process.pid in self._processes.ours if name is not None else None
            self._seen.append((time_s, process, ours, name))

    def drop_before(self, time_s: float) -> None:
        self._seen = [seen for seen in self._seen if seen[0] >= time_s]

    def between(self, start: float, end: float) -> list[dict[str, Any]]:
        """Return everybody seen on a GPU in a window or within a look of it; ``ours`` is None where nobody can tell."""
        found: dict[tuple[int, int], dict[str, Any]] = {}
        for time_s, process, ours, name in self._seen:
            if start - self.interval_s <= time_s <= end + self.interval_s:
                found[process.gpu, process.pid] = {**asdict(process), "name": name, "ours": ours}
        return list(found.values())


_TABLES = (
    "power_w",
    "energy_j",
    "temperature_c",
    "clock_hz",
    "busy",
    "throttle",
    "throttle_events",
    "memory_bytes",
    "moved_bytes",
    "load",
)
