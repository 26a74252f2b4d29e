"""What the kernel tells of any machine's processor in /sys: clocks, temperatures, thermal throttling.

Zones and chips are found by their names; a machine without them (a virtual one) has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pytest_thor.host.sensor_file import FileSource, SensorFile, folders, text_of
from pytest_thor.host.source import Channel

_MILLI = 1e-3
_KILO = 1e3
_CHIPS = frozenset({"coretemp", "k10temp", "zenpower"})
_MOST_CLOCKS = 16
_SLOW_S = 0.5


def sources(root: Path = Path("/")) -> list[FileSource]:
    """Return the processor's clocks, temperatures and throttle counters, as far as there are any."""
    found = [
        FileSource(temperatures(root), interval_s=_SLOW_S),
        FileSource([*_clocks(root), *_throttle_counts(root)], interval_s=_SLOW_S),
    ]
    return [source for source in found if source.channels]


def temperatures(root: Path) -> Iterator[tuple[Channel, SensorFile]]:
    """Yield every thermal zone, then the processor's own sensor chip, in °C."""
    named: set[str] = set()
    for name, path in (*_zones(root), *_chips(root)):
        if name not in named:
            named.add(name)
            yield Channel(group="temperature_c", name=name), SensorFile(path, _MILLI)


def policies(root: Path) -> list[Path]:
    """Return the folders of the CPU's frequency policies: CPUs that share one clock."""
    return folders(root / "sys/devices/system/cpu/cpufreq", "policy*")


def _zones(root: Path) -> Iterator[tuple[str, Path]]:
    for zone in folders(root / "sys/class/thermal", "thermal_zone*"):
        yield (text_of(zone / "type") or zone.name).removesuffix("-thermal"), zone / "temp"


def _chips(root: Path) -> Iterator[tuple[str, Path]]:
    for chip in folders(root / "sys/class/hwmon", "hwmon*"):
        name = text_of(chip / "name") or ""
        if name in _CHIPS and (chip / "temp1_input").exists():
            yield name, chip / "temp1_input"


def _clocks(root: Path) -> Iterator[tuple[Channel, SensorFile]]:
    """Yield the CPU's clocks; of very many (a policy per CPU) some spread over all, for each reading costs time."""
    found = policies(root)
    step = -(-len(found) // _MOST_CLOCKS) or 1
    for policy in found[::step]:
        number = policy.name.removeprefix("policy")
        yield Channel(group="clock_hz", name=f"cpu{number}"), SensorFile(policy / "scaling_cur_freq", _KILO)


def _throttle_counts(root: Path) -> Iterator[tuple[Channel, SensorFile]]:
    path = root / "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count"
    if path.exists():
        yield Channel(group="throttle_events", name="cpu thermal", kind="events"), SensorFile(path)
