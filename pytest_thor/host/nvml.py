"""NVIDIA GPUs through NVML: power, energy, clocks, why they are lowered, temperature, memory, who computes.

What a GPU does not support (on a Jetson memory, power and clocks) is no channel: the Jetson's own sensors tell it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pytest_thor.host.source import MISSING, Channel

Library: TypeAlias = Any
"""The module pynvml (it is untyped), or what speaks as it does."""

_PLACES = ("dev/nvidiactl", "dev/nvgpu", "dev/nvhost-gpu", "proc/driver/nvidia")
_THERMAL = 0x20 | 0x40  # nvml.h: SwThermalSlowdown, HwThermalSlowdown
_POWER_BRAKE = 0x80  # HwPowerBrakeSlowdown
_HARDWARE = 0x08  # HwSlowdown; set with either of the hardware's own reasons, and alone by old drivers
_POWER_CAP = 0x04  # SwPowerCap
_REASONS = (
    ("thermal", _THERMAL),
    ("power brake", _POWER_BRAKE),
    ("hardware slowdown", _HARDWARE),
    ("power cap", _POWER_CAP),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuProcess:
    """A process that computes on a GPU; memory in bytes, None where NVML does not tell."""

    gpu: int
    pid: int
    memory_bytes: int | None


def open_library(root: Path = Path("/")) -> Library | None:
    """Return NVML, initialized, or None where no driver is present; ``close_library`` ends it."""
    if not any((root / place).exists() for place in _PLACES):
        return None
    import pynvml

    with suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        return pynvml
    return None


def close_library(library: Library) -> None:
    """End what ``open_library`` began."""
    with suppress(library.NVMLError):
        library.nvmlShutdown()


class NvmlSource:
    """One GPU as a source; what it does not support when it is asked first is left out, and told as trouble."""

    interval_s = 0.1

    def __init__(self, library: Library, index: int) -> None:
        self._error: type[Exception] = library.NVMLError
        self._unsupported: list[str] = []
        handle = library.nvmlDeviceGetHandleByIndex(index)
        gpu = f"gpu{index}"
        reason = getattr(library, "nvmlDeviceGetCurrentClocksEventReasons", None)
        reason = reason or library.nvmlDeviceGetCurrentClocksThrottleReasons
        asked: list[tuple[tuple[Channel, ...], Callable[[], Sequence[float]]]] = [
            (
                (Channel(group="power_w", name=gpu),),
                lambda: (library.nvmlDeviceGetPowerUsage(handle) / 1e3,),
            ),
            (
                (Channel(group="energy_j", name=gpu, kind="counter"),),
                lambda: (library.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3,),
            ),
            (
                (Channel(group="clock_hz", name=gpu),),
                lambda: (library.nvmlDeviceGetClockInfo(handle, library.NVML_CLOCK_SM) * 1e6,),
            ),
            (
                (Channel(group="clock_hz", name=f"{gpu} memory"),),
                lambda: (library.nvmlDeviceGetClockInfo(handle, library.NVML_CLOCK_MEM) * 1e6,),
            ),
            (
                tuple(Channel(group="throttle", name=f"{gpu} {name}", kind="state") for name, _ in _REASONS),
                lambda: _states(int(reason(handle))),
            ),
            (
                (Channel(group="temperature_c", name=gpu),),
                lambda: (library.nvmlDeviceGetTemperature(handle, library.NVML_TEMPERATURE_GPU),),
            ),
            (
                (Channel(group="memory_bytes", name=f"{gpu} used"),),
                lambda: (library.nvmlDeviceGetMemoryInfo(handle).used,),
            ),
            (
                (Channel(group="busy", name=gpu),),
                lambda: (library.nvmlDeviceGetUtilizationRates(handle).gpu / 100,),
            ),
        ]
        self._calls = [(channels, call) for channels, call in asked if self._supports(channels, call)]
        self.channels = tuple(channel for channels, _ in self._calls for channel in channels)

    def read(self) -> Sequence[float]:
        """Ask for everything that is supported."""
        return [value for channels, call in self._calls for value in self._ask(channels, call)]

    def trouble(self) -> str | None:
        """Name what NVML does not support here."""
        return "; ".join(self._unsupported) or None

    def close(self) -> None:
        """Nothing is open but the library."""

    def _ask(self, channels: Sequence[Channel], call: Callable[[], Sequence[float]]) -> Sequence[float]:
        try:
            return call()
        except self._error:
            return (MISSING,) * len(channels)

    def _supports(self, channels: Sequence[Channel], call: Callable[[], Sequence[float]]) -> bool:
        try:
            call()
        except self._error as error:
            self._unsupported.append(f"{channels[0].group}.{channels[0].name}: NVML: {error}")
            return False
        return True


def sources(library: Library, gpus: Collection[int] | None = None) -> list[NvmlSource]:
    """Return a source for every GPU that tells anything; ``gpus`` are the indices of those that are asked."""
    with suppress(library.NVMLError):
        indices = [index for index in range(library.nvmlDeviceGetCount()) if gpus is None or index in gpus]
        found = [NvmlSource(library, index) for index in indices]
        return [source for source in found if source.channels]
    return []


def gpu_processes(library: Library) -> tuple[GpuProcess, ...]:
    """Return who computes on a GPU now; process ids are the host's, also where this process is in a container."""
    found: list[GpuProcess] = []
    with suppress(library.NVMLError):
        for index in range(library.nvmlDeviceGetCount()):
            with suppress(library.NVMLError):
                handle = library.nvmlDeviceGetHandleByIndex(index)
                found += [
                    GpuProcess(gpu=index, pid=int(process.pid), memory_bytes=process.usedGpuMemory)
                    for process in library.nvmlDeviceGetComputeRunningProcesses(handle)
                ]
    return tuple(found)


def _states(reasons: int) -> list[float]:
    return [float(bool(reasons & mask)) for _, mask in _REASONS]
