"""The settings that decide how fast a machine may run, watched for changes: power mode, governors, clock limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_thor.host.cpu import policies
from pytest_thor.host.jetson import gpu_clock, memory_clock
from pytest_thor.host.sensor_file import text_of

NVPMODEL_STATUS = "var/lib/nvpmodel/status"
"""Where nvpmodel keeps the number of the mode that it set, as ``pmode:0001``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingChange:
    """A setting that was another one later."""

    name: str
    before: str | None
    after: str | None


def files(root: Path) -> dict[str, Path]:
    """Return where each setting stands, by name; only what is there."""
    cpu = root / "sys/devices/system/cpu"
    found = {
        "nvpmodel": root / NVPMODEL_STATUS,
        "cpu boost": cpu / "cpufreq/boost",
        "intel no_turbo": cpu / "intel_pstate/no_turbo",
    }
    for policy in policies(root)[:1]:
        found["cpu governor"] = policy / "scaling_governor"
        found["cpu lowest clock"] = policy / "scaling_min_freq"
        found["cpu highest clock"] = policy / "scaling_max_freq"
    for name, folder in (("gpu", gpu_clock(root)), ("memory", memory_clock(root))):
        if folder is not None:
            found[f"{name} governor"] = folder / "governor"
            found[f"{name} lowest clock"] = folder / "min_freq"
            found[f"{name} highest clock"] = folder / "max_freq"
    return {name: path for name, path in found.items() if path.exists()}


class SettingsWatch:
    """Reads the settings now and then, and keeps those that changed."""

    interval_s = 1.0

    def __init__(self, root: Path = Path("/")) -> None:
        self._files = files(root)
        self._last_s = 0.0
        self._changes: list[tuple[float, float, SettingChange]] = []
        self.values: Mapping[str, str | None] = {name: text_of(path) for name, path in self._files.items()}
        """What they are as of the last look."""

    def look(self, time_s: float) -> None:
        """Read them all."""
        now = {name: text_of(path) for name, path in self._files.items()}
        for name, value in now.items():
            if value != self.values[name]:
                change = SettingChange(name=name, before=self.values[name], after=value)
                self._changes.append((self._last_s, time_s, change))
        self.values, self._last_s = now, time_s

    def drop_before(self, time_s: float) -> None:
        """Forget the changes before a time."""
        self._changes = [change for change in self._changes if change[1] >= time_s]

    def between(self, start: float, end: float) -> tuple[SettingChange, ...]:
        """Return what may have changed in a window: seen so by a look in it or by the first one after it."""
        return tuple(change for before, after, change in self._changes if after > start and before < end)
