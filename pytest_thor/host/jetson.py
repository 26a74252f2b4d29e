"""A Jetson's own sensors in /sys, none of which needs root: power rails, clocks, throttling.

Found by what they are called, never by number: hwmon chips and cooling devices are numbered anew at each boot.
docs/thor-telemetry.md lists them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pytest_thor.host.sensor_file import FileSource, ProductFile, SensorFile, folders, text_of
from pytest_thor.host.source import Channel

_MICRO = 1e-6
_MILLI = 1e-3
_NO_RAIL = frozenset({"", "NC", "sum of shunt voltages"})
_NUMBER = re.compile(r"(?:power|curr)(\d+)_input")
_GPU_CLOCK = re.compile(r"gpu-gpc-\d+|.*\.(?:gpu|ga10b|gv11b)")


def gpu_clock(root: Path) -> Path | None:
    """Return the devfreq folder of the GPU's clock: ``gpu-gpc-0`` on Thor, ``17000000.gpu`` on Orin."""
    found = [folder for folder in folders(root / "sys/class/devfreq", "*") if _GPU_CLOCK.fullmatch(folder.name)]
    return found[0] if found else None


def memory_clock(root: Path) -> Path | None:
    """Return the devfreq folder of the memory's clock, where this release shows it without root."""
    folder = root / "sys/class/devfreq/bwmgr"
    return folder if (folder / "cur_freq").exists() else None


def sources(root: Path = Path("/")) -> list[FileSource]:
    """Return what a Jetson tells of itself; empty on another machine."""
    found = [
        FileSource(power_rails(root)),
        FileSource([*_clocks(root), *_alerts(root), *_overcurrent(root)]),
    ]
    return [source for source in found if source.channels]


def power_rails(root: Path) -> Iterator[tuple[Channel, SensorFile | ProductFile]]:
    """Yield the rails that the board's ina* monitors measure, in W.

    An INA238 has ``power1_input`` in µW and no label: it stands at the board's input, VIN. An INA3221 has a label per
    channel, and a current (mA) and a voltage (mV) whose product is the power.
    """
    named: set[str] = set()
    for chip in folders(root / "sys/class/hwmon", "hwmon*"):
        kind = text_of(chip / "name") or ""
        if not kind.startswith("ina"):
            continue
        for rail, file in _rails_of(chip, kind):
            name = rail if rail not in named else f"{rail} ({kind})"
            named.add(name)
            yield Channel(group="power_w", name=name), file


def _rails_of(chip: Path, kind: str) -> Iterator[tuple[str, SensorFile | ProductFile]]:
    numbers = sorted({int(match[1]) for path in chip.glob("*_input") if (match := _NUMBER.match(path.name))})
    for number in numbers:
        power = chip / f"power{number}_input"
        current, voltage = chip / f"curr{number}_input", chip / f"in{number}_input"
        label = text_of(chip / f"in{number}_label") or text_of(chip / f"power{number}_label")
        if power.exists():
            yield label or ("VIN" if number == 1 else f"{kind}-{number}"), SensorFile(power, _MICRO)
        elif current.exists() and voltage.exists() and (label is None or label not in _NO_RAIL):
            product = ProductFile(SensorFile(current, _MILLI), SensorFile(voltage, _MILLI))
            yield label or f"{kind}-{number}", product


def _clocks(root: Path) -> Iterator[tuple[Channel, SensorFile]]:
    for name, folder in (("gpu", gpu_clock(root)), ("memory", memory_clock(root))):
        if folder is not None:
            yield Channel(group="clock_hz", name=name), SensorFile(folder / "cur_freq")


def _alerts(root: Path) -> Iterator[tuple[Channel, SensorFile]]:
    """Yield the cooling devices that stand above 0 while the hardware throttles for heat."""
    for device in folders(root / "sys/class/thermal", "cooling_device*"):
        kind = text_of(device / "type") or ""
        if kind.endswith("-throttle-alert"):
            yield Channel(group="throttle", name=kind, kind="state"), SensorFile(device / "cur_state")


def _overcurrent(root: Path) -> Iterator[tuple[Channel, SensorFile]]:
    """Yield the counters of over-current and under-voltage events: at each the hardware lowers clocks for a moment."""
    for chip in folders(root / "sys/class/hwmon", "hwmon*"):
        for path in folders(chip, "oc*_event_cnt"):
            name = path.name.removesuffix("_event_cnt")
            yield Channel(group="throttle_events", name=name, kind="events"), SensorFile(path)
