"""Looks over a machine before it is measured: what it is, which engines it has, what would spoil a figure."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pytest_thor.engines import ENGINES, SERVING_ENGINES
from pytest_thor.engines.process import run_briefly
from pytest_thor.errors import DeviceError, EngineError
from pytest_thor.files import cache_folder
from pytest_thor.host.device import HERE, Device, identify
from pytest_thor.host.findings import Finding, findings
from pytest_thor.host.limits import limits_in_use
from pytest_thor.host.lock import lock_folder
from pytest_thor.host.measured_roof import measured_roof
from pytest_thor.host.nvml import close_library, open_library
from pytest_thor.host.part import Part, bound_to
from pytest_thor.host.source import Source
from pytest_thor.host.telemetry import Sampler, local_sources
from pytest_thor.judge.conditions import conditions
from pytest_thor.measurement import EngineBuild
from pytest_thor.roofline import Roof

SCHEMA: Literal["pytest-thor/doctor/1"] = "pytest-thor/doctor/1"
"""The version of ``pytest-thor doctor --json``. History: 1, the first; later came ``limits``, then ``lock``."""

Status: TypeAlias = Literal[0, 1, 2]

WATCH_S = 2.0
"""Seconds that the running machine is watched for what disturbs it."""

_LIST_DEVICES = ("llama-bench", "llama-server")
_REMEDIES = {
    "neighbours": "top -o %CPU  # then end them, or wait",
    "steal": "none from here: the host is shared",
    "memory": "ps aux --sort=-rss | head  # then end what holds it",
    "swap": "free -h",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFound:
    """An engine by name: its build, or why there is none; ``needs_nothing``: it attaches to a server that runs."""

    name: str
    build: EngineBuild | None
    problem: str | None = None
    needs_nothing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    """What was found. ``engines`` is None for a recorded tree, which runs none.

    ``channels`` are the telemetry's, by group, with what they read now; ``trouble`` says what is not readable.
    ``roof`` is what figures are held against, or None with ``roofless``, the reason; ``processor`` is what the
    processor was measured to reach, where that was asked for. ``lock`` is the folder of the locks, None for a recorded
    tree.
    """

    device: Device
    engines: tuple[EngineFound, ...] | None
    channels: Mapping[str, Mapping[str, float | None]]
    trouble: tuple[str, ...]
    findings: tuple[Finding, ...]
    roof: Roof | None = None
    roofless: str | None = None
    processor: Roof | None = None
    lock: str | None = None

    @property
    def status(self) -> Status:
        """0 ready, 1 something would spoil a measurement, 2 nothing can be measured."""
        if self.engines is not None and not any(one.build and not one.needs_nothing for one in self.engines):
            return 2
        return 1 if any(finding.level == "spoils" for finding in self.findings) else 0

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        engines = None
        if self.engines is not None:
            engines = [
                {
                    "name": one.name,
                    "found": one.build is not None,
                    "version": one.build.version if one.build else None,
                    "commit": one.build.commit if one.build else None,
                    "path": (one.build.path or None) if one.build else None,
                    "problem": one.problem,
                }
                for one in self.engines
            ]
        return {
            "schema": SCHEMA,
            "status": self.status,
            "device": asdict(self.device),
            "lock": self.lock,
            "limits": {**_limits(self.roof), "unknown_because": self.roofless},
            "processor_limits": None if self.processor is None else _limits(self.processor),
            "engines": engines,
            "telemetry": {"channels": self.channels, "trouble": list(self.trouble)},
            "findings": [asdict(finding) for finding in self.findings],
        }


def _limits(roof: Roof | None) -> dict[str, Any]:
    """Return bandwidth in B/s, the cache in bytes and peaks in operations per second, None where not known."""
    return {
        "name": roof.name if roof else None,
        "read_bytes_per_s": roof.bandwidth if roof else None,
        "cache_bytes": roof.cache_bytes if roof else None,
        "operations_per_s": dict(roof.peaks) if roof else None,
        "measured": roof.measured if roof else None,
        "tolerance": roof.tolerance if roof else None,
        "source": roof.source if roof else None,
    }


def check(
    root: Path = HERE,
    *,
    part: Part | None = None,
    engines: Mapping[str, Path] | None = None,
    watch_s: float = WATCH_S,
    cache: Path | None = None,
    measure: Callable[[Device], AbstractContextManager[None]] | None = None,
) -> Checkup:
    """Look over this machine, or a recorded tree of another one; ``engines`` are the programs that the user chose.

    Of a ``part`` only its own GPUs and CPUs are watched, measured and told of.

    This machine is watched for ``watch_s`` seconds; a recorded tree shows one moment. Its limits are looked up, also
    among those kept in the folder ``cache``, and measured only with ``measure``, which holds the device meanwhile.

    Raises:
        DeviceError: the part is not there; or the limits were to be measured, and cannot be.
    """
    device = identify(root, part=part)
    with bound_to(part):
        return _check(device, root, engines=engines or {}, watch_s=watch_s, cache=cache, measure=measure)


def _check(
    device: Device,
    root: Path,
    *,
    engines: Mapping[str, Path],
    watch_s: float,
    cache: Path | None,
    measure: Callable[[Device], AbstractContextManager[None]] | None,
) -> Checkup:
    live = root == HERE
    found = _engines(engines) if live else None
    library = open_library(root) if live else None
    sources = local_sources(root, library, part=device.part)
    try:
        said = findings(device, sources, root=root, library=library)
        if live:
            said += _blind_engines(device, found or ())
            with Sampler(sources, root=root, library=library, part=device.part) as sampler:
                time.sleep(watch_s)
                now = time.monotonic()
                telemetry = sampler.between(now - watch_s, now).to_json()
            said += _disturbances(telemetry, device, {finding.topic for finding in said}, watch_s)
            channels = {group: table for group, table in telemetry.items() if group in _GROUPS and table}
            shown = {group: {name: _mean(value) for name, value in table.items()} for group, table in channels.items()}
        else:
            shown = _readings(sources)
        trouble = tuple(filter(None, (source.trouble() for source in sources)))
    finally:
        if not live:
            for source in sources:
                source.close()
        if library:
            close_library(library)
    ordered = sorted(said, key=lambda finding: finding.level != "spoils")
    kept = (cache or cache_folder()) if live else None
    processor = None
    if measure is not None and kept is not None:
        with measure(device):
            processor = measured_roof(device, cache=kept, again=True)
        if processor is None:
            raise DeviceError("measuring the limits needs numpy: pip install 'pytest-thor[synthetic]'")
    roof, roofless = limits_in_use(device, cache=kept)
    return Checkup(
        device=device,
        engines=found,
        channels=shown,
        trouble=trouble,
        findings=tuple(ordered),
        roof=roof,
        roofless=roofless,
        processor=processor,
        lock=str(lock_folder()) if live else None,
    )


_GROUPS = ("power_w", "energy_j", "temperature_c", "clock_hz", "busy", "throttle", "throttle_events", "memory_bytes")


def _engines(chosen: Mapping[str, Path]) -> tuple[EngineFound, ...]:
    return tuple(_engine(name, chosen.get(name)) for name in ENGINES)


def _engine(name: str, override: Path | None) -> EngineFound:
    engine = ENGINES[name](override)
    attaches = name in SERVING_ENGINES and not engine.traits.needs_artifact
    try:
        return EngineFound(name=name, build=engine.identify(), needs_nothing=attaches)
    except EngineError as error:
        return EngineFound(name=name, build=None, problem=str(error), needs_nothing=attaches)


def _blind_engines(device: Device, found: tuple[EngineFound, ...]) -> list[Finding]:
    """Name the builds of llama.cpp that do not see the GPU which this machine has."""
    if not device.gpus and device.l4t is None:
        return []
    blind = []
    for one in found:
        if one.build is not None and one.name in _LIST_DEVICES:
            printed, ending = run_briefly([one.build.path, "--list-devices"])
            if ending.ok and not re.search(r"^[ \t]+\S+\d:", printed, re.MULTILINE):
                blind.append(
                    Finding(
                        topic="gpu",
                        level="spoils",
                        sentence=f"{one.name} ({one.build.path}) sees no GPU: it was built without CUDA",
                        remedy=f"make bench CUDA_ARCH={'110' if device.soc == 'tegra264' else 'NN'}",
                    )
                )
    return blind


def _disturbances(telemetry: dict[str, Any], device: Device, known: set[str], watch_s: float) -> list[Finding]:
    told = conditions(telemetry, cpus=device.logical_cpus, period=f"the last {watch_s:g} s")
    return [
        Finding(
            topic=condition.name,
            level="spoils",
            sentence=condition.sentence,
            remedy=_REMEDIES.get(condition.name) or _end_of(condition.name),
        )
        for condition in told
        if condition.name not in known and not (condition.name.startswith("throttled") and "throttling" in known)
    ]


def _end_of(name: str) -> str | None:
    return f"kill {name.rpartition(' ')[2]}  # if it is yours" if name.startswith("gpu neighbour") else None


def _mean(value: Any) -> float | None:  # noqa: ANN401 - a channel's summary of any kind
    if isinstance(value, dict):
        found = value.get("mean", value.get("max"))
        return None if found is None else float(found)
    return value if isinstance(value, int | float) else None


def _readings(sources: list[Source]) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {}
    for source in sources:
        for channel, value in zip(source.channels, source.read(), strict=True):
            if channel.group in _GROUPS:
                found.setdefault(channel.group, {})[channel.name] = None if math.isnan(value) else value
    return found
