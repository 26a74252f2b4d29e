"""The energy counters that x86 processors keep of themselves (RAPL), in /sys/class/powercap.

Most kernels let only root read them; without that they are missing, and ``trouble`` says why.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from pytest_thor.host.sensor_file import FileSource, ProductFile, SensorFile, folders, text_of, whole_of
from pytest_thor.host.source import Channel

_MICRO = 1e-6


class WrappingCounter(SensorFile):
    """A counter in µJ that begins anew at ``range_uj``, read as joules that only grow."""

    def __init__(self, path: Path, range_uj: int | None) -> None:
        super().__init__(path, _MICRO)
        self._range_j = (range_uj or 0) * _MICRO
        self._turns_j = 0.0
        self._last_j = 0.0

    def read(self) -> float:
        """Return the joules now, or ``MISSING``."""
        value = super().read()
        if math.isnan(value):
            return value
        if value < self._last_j:
            self._turns_j += self._range_j
        self._last_j = value
        return self._turns_j + value


def sources(root: Path = Path("/")) -> list[FileSource]:
    """Return the counters as one source; none where the machine has none."""
    files: list[tuple[Channel, SensorFile | ProductFile]] = [
        (Channel(group="energy_j", name=name, kind="counter"), file) for name, file in _counters(root)
    ]
    return [FileSource(files)] if files else []


def _counters(root: Path) -> Iterator[tuple[str, WrappingCounter]]:
    for zone in folders(root / "sys/class/powercap", "intel-rapl:*"):
        name = text_of(zone / "name")
        if name is None:
            continue
        _, *numbers = zone.name.split(":")
        parent = text_of(zone.parent / f"intel-rapl:{numbers[0]}/name") if len(numbers) > 1 else None
        counter = WrappingCounter(zone / "energy_uj", whole_of(zone / "max_energy_range_uj"))
        yield f"cpu {parent} {name}" if parent else f"cpu {name}", counter
