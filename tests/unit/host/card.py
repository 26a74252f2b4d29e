"""A GPU as NVML tells of it, which supports some things and not others."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


class NVMLError(Exception):
    """As pynvml's."""


@dataclass
class Card:
    """Speaks as pynvml does, of one GPU; what is not in ``facts`` is not supported."""

    facts: dict[str, Any] = field(default_factory=dict)
    NVMLError = NVMLError
    NVML_CLOCK_SM = 1
    NVML_CLOCK_MEM = 2
    NVML_TEMPERATURE_GPU = 0

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802 - its name
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: int) -> Any:
            key = f"{name}{arguments[1]}" if len(arguments) > 1 else name
            if key not in self.facts:
                raise NVMLError("Not Supported")
            return self.facts[key]

        return call


FULL = {
    "nvmlDeviceGetPowerUsage": 350_000,
    "nvmlDeviceGetTotalEnergyConsumption": 9_000_000,
    "nvmlDeviceGetClockInfo1": 1980,
    "nvmlDeviceGetClockInfo2": 3201,
    "nvmlDeviceGetCurrentClocksEventReasons": 0x4 | 0x40,
    "nvmlDeviceGetTemperature0": 55,
    "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=2**30, total=2**37),
    "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=97, memory=40),
    "nvmlDeviceGetComputeRunningProcesses": [SimpleNamespace(pid=42, usedGpuMemory=None)],
}
