"""What a machine did while a launch was measured: one record, JSON as docs/thor-telemetry.md describes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pytest_thor.host.series import Level, Series, Window

Table: TypeAlias = Mapping[str, Any]

ENOUGH = 0.9
"""The share of a window that readings must cover before a sum over it (energy) is given."""

SHORTEST_S = 1.0
"""The shortest timed part whose energy is given per token."""

_BOARD = ("VIN", "VDD_IN", "VIN_SYS_5V0")
"""Rails that everything on a Jetson is fed through, the outermost first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """The readings of one launch's timed part; a table's values are JSON, by the channel's name.

    ``duration_s`` is the windows' length together, ``samples`` the readings of the fastest source in them, ``covered``
    the share of the windows between readings of that source. Levels are ``{min, mean, max}``; ``throttle`` is
    ``{share, max}``. Energy is in joules: counted by the device where it counts, else the integral of the power;
    ``total_energy`` names the rails that together feed the device, without counting anything twice.
    """

    started_at: str
    duration_s: float
    windows: int
    samples: int
    rate_hz: float | None
    covered: float
    power_w: Table = field(default_factory=dict)
    energy_j: Table = field(default_factory=dict)
    total_energy: Table | None = None
    temperature_c: Table = field(default_factory=dict)
    clock_hz: Table = field(default_factory=dict)
    busy: Table = field(default_factory=dict)
    throttle: Table = field(default_factory=dict)
    throttle_events: Table = field(default_factory=dict)
    memory_bytes: Table = field(default_factory=dict)
    moved_bytes: Table = field(default_factory=dict)
    load: Table = field(default_factory=dict)
    cpu: Table = field(default_factory=dict)
    gpu_processes: Sequence[Table] | None = None
    settings: Mapping[str, str | None] = field(default_factory=dict)
    settings_changed: Mapping[str, Sequence[str | None]] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def energy_j_per_token(self, tokens: int) -> float | None:
        """Return the joules per token that the device took in, or None where its sensors cannot tell.

        Sensors average over 0.1 s and more, so that a shorter timed part than ``SHORTEST_S`` would be another's energy.
        """
        if self.total_energy is None or tokens <= 0 or self.duration_s < SHORTEST_S:
            return None
        return float(self.total_energy["j"]) / tokens

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {name: _plain(getattr(self, name)) for name in self.__slots__}


def tables(serieses: Iterable[Series], windows: Sequence[Window]) -> dict[str, dict[str, Any]]:
    """Return every channel's summary, by group and name; a channel that told nothing is None."""
    found: dict[str, dict[str, Any]] = {}
    duration_s = sum(end - start for start, end in windows)
    for series in serieses:
        for index, channel in enumerate(series.channels):
            summary: Any = None
            if channel.kind == "gauge":
                level = series.level(index, windows)
                summary = _level(level)
                if channel.group == "power_w":
                    energy = found.setdefault("energy_j", {})
                    energy.setdefault(channel.name, _energy_j(level, duration_s))
            elif channel.kind == "counter":
                summary = series.growth(index, windows)
            elif channel.kind == "events":
                summary = series.events(index, windows)
            elif (active := series.active(index, windows)) is not None:
                summary = {"share": active[0], "max": active[1]}
            table = found.setdefault(channel.group, {})
            if summary is not None or channel.name not in table:
                table[channel.name] = summary
    return found


def total_energy(energy_j: Mapping[str, float | None]) -> dict[str, Any] | None:
    """Return the rails that feed all that is measured, with their joules, or None where none is known.

    A board's input where it is measured; else all GPUs; else the processor's packages (with their memory, where that is
    counted apart).
    """
    known = {name: value for name, value in energy_j.items() if value is not None}
    board = next((rail for rail in _BOARD if rail in known), None)
    gpus = [name for name in known if name.startswith("gpu")]
    packages = [name for name in known if name.startswith("cpu ") and name.split()[-1].startswith(("package", "dram"))]
    rails = [board] if board else gpus or packages
    return {"rails": sorted(rails), "j": sum(known[rail] for rail in rails)} if rails else None


def _level(level: Level | None) -> dict[str, float] | None:
    return None if level is None else {"min": level.minimum, "mean": level.mean, "max": level.maximum}


def _energy_j(level: Level | None, duration_s: float) -> float | None:
    if level is None or level.covered_s < ENOUGH * duration_s:
        return None
    return level.mean * duration_s


def _plain(value: Any) -> Any:  # noqa: ANN401 - a field of any kind, and its JSON
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
