"""What stands between a machine and a trusted measurement, as far as its files tell; each with its remedy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from pytest_thor.cores import with_siblings
from pytest_thor.errors import DeviceError
from pytest_thor.host.cpu import policies
from pytest_thor.host.device import HERE, Device, check_gpus
from pytest_thor.host.hygiene import DROP_CACHES
from pytest_thor.host.jetson import gpu_clock, memory_clock
from pytest_thor.host.lock import claim_of, held_by, lock_folder
from pytest_thor.host.nvml import Library
from pytest_thor.host.part import ranges
from pytest_thor.host.power_mode import clocks_are_locked
from pytest_thor.host.sensor_file import text_of
from pytest_thor.host.source import Source
from pytest_thor.units import format_bytes

Level: TypeAlias = Literal["note", "spoils"]

_HOT_C = 75.0
_SLOW_GOVERNORS = frozenset({"powersave", "conservative", "userspace"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing about the machine: a ``note`` makes figures less steady or less complete, what ``spoils`` wrong.

    ``remedy`` is a command, or None where none helps.
    """

    topic: str
    level: Level
    sentence: str
    remedy: str | None = None


def findings(
    device: Device, sources: list[Source], *, root: Path = HERE, library: Library | None = None
) -> list[Finding]:
    """Return what a machine's files (or a recorded tree's) tell against measuring on it, the worst first."""
    found = [
        *_held(device, root),
        *_gpus(device, root),
        *_shared_cores(device, root),
        *_quota(device),
        *_lock_of_a_container(device, root),
        *_throttling(sources),
        *_heat(sources),
        *_clocks(device, root),
        *_governor(root),
        *_memory(device, root),
        *_power_readings(device, sources, root),
        *_caches(device, root),
        *(_persistence(library) if library else ()),
        *_surroundings(device),
    ]
    return sorted(found, key=lambda finding: finding.level != "spoils")


def is_jetson(device: Device) -> bool:
    """Say whether a machine is a Jetson: it has an L4T release."""
    return device.l4t is not None


def _held(device: Device, root: Path) -> Iterator[Finding]:
    if root != HERE:
        return
    try:
        holder = held_by(claim_of(device))
    except DeviceError as error:
        yield Finding(topic="lock", level="spoils", sentence=str(error))
        return
    if holder:
        yield Finding(topic="lock", level="spoils", sentence=f"the device is being measured by {holder}", remedy="wait")


def _gpus(device: Device, root: Path) -> Iterator[Finding]:
    try:
        if root == HERE:
            check_gpus(device)
    except DeviceError as error:
        yield Finding(topic="gpu", level="spoils", sentence=str(error))


def _shared_cores(device: Device, root: Path) -> Iterator[Finding]:
    """Tell of cores of which a part has one CPU only: the lock keeps other measurements off, and nobody else."""
    own = device.part.cpus if device.part else ()
    rest = sorted(set(with_siblings(own, root)) - set(own))
    if rest:
        yield Finding(
            topic="cores",
            level="note",
            sentence=f"CPU {ranges(rest)} are on the cores of cpus:{ranges(own)}: who computes there slows these down",
            remedy=f"--device cpus:{ranges(sorted({*own, *rest}))}",
        )


def _quota(device: Device) -> Iterator[Finding]:
    if device.cpu_quota is not None:
        yield Finding(
            topic="quota",
            level="note",
            sentence=f"this process gets the time of {device.cpu_quota:.3g} CPUs and may run on {device.logical_cpus}: "
            "threads beyond are stopped in turns, and llama.cpp gets no more by default",
            remedy="docker run --cpuset-cpus=FIRST-LAST …  # whole CPUs, in place of --cpus",
        )


def _lock_of_a_container(device: Device, root: Path) -> Iterator[Finding]:
    """Tell of a container that keeps its locks to itself: nothing outside it would wait."""
    if root != HERE or device.container in {None, "none"}:
        return
    folder = lock_folder()
    mounted = (place for place in (folder, *folder.parents) if place.is_mount())
    if next(mounted, HERE) in {HERE, Path("/run"), Path("/tmp")}:  # noqa: S108 - which containers have of their own
        yield Finding(
            topic="lock",
            level="note",
            sentence=f"locks in {folder} hold in this container only: who measures outside it does not wait for it",
            remedy="docker run -v /run/lock:/run/lock …",
        )


def _throttling(sources: list[Source]) -> Iterator[Finding]:
    hot = [name for name, value in _readings(sources, "throttle") if value > 0 and not name.endswith("power cap")]
    if hot:
        yield Finding(
            topic="throttling",
            level="spoils",
            sentence=f"the hardware throttles now: {', '.join(hot)}",
            remedy="sudo jetson_clocks --fan  # and let it cool" if "alert" in hot[0] else "let it cool",
        )


def _heat(sources: list[Source]) -> Iterator[Finding]:
    warm = [(value, name) for name, value in _readings(sources, "temperature_c") if value >= _HOT_C]
    if warm:
        value, name = max(warm)
        yield Finding(
            topic="temperature",
            level="spoils",
            sentence=f"{name} is at {value:.0f} °C before anything was measured: a launch will soon throttle",
            remedy="let it cool, and look at its fan",
        )


def _clocks(device: Device, root: Path) -> Iterator[Finding]:
    if not is_jetson(device):
        return
    if device.power_mode is None:
        yield Finding(
            topic="power mode",
            level="spoils",
            sentence="the power mode is not told, so baselines of other modes cannot be told apart",
            remedy="sudo nvpmodel -q",
        )
    elif not device.power_mode.startswith("MAXN"):
        yield Finding(
            topic="power mode",
            level="note",
            sentence=f"the power mode is {device.power_mode}, not the fastest; figures are compared within it",
            remedy="sudo nvpmodel -m 0",
        )
    if clocks_are_locked(root) is False:
        yield Finding(
            topic="clocks",
            level="note",
            sentence=f"clocks move with the load ({device.clocks}): launches will scatter more",
            remedy="sudo jetson_clocks",
        )
    if gpu_clock(root) is not None and memory_clock(root) is None:
        yield Finding(
            topic="clocks",
            level="note",
            sentence="this release shows the memory's clock to root only: it is missing in the telemetry",
        )


def _governor(root: Path) -> Iterator[Finding]:
    governors = {text_of(policy / "scaling_governor") for policy in policies(root)}
    slow = sorted(name for name in governors if name in _SLOW_GOVERNORS)
    # With intel_pstate or amd-pstate-epp, powersave is the name of scaling with the load.
    active = text_of(root / "sys/devices/system/cpu/intel_pstate/status") == "active"
    active = active or text_of(root / "sys/devices/system/cpu/amd_pstate/status") == "active"
    if slow:
        sentence = f"the CPU's governor is {', '.join(slow)}"
        yield Finding(
            topic="governor",
            level="note" if active else "spoils",
            sentence=sentence + (": clocks move with the load" if active else ": it keeps clocks low"),
            remedy="sudo cpupower frequency-set -g performance",
        )


def _memory(device: Device, root: Path) -> Iterator[Finding]:
    found = dict(_meminfo(root))
    available, total = found.get("MemAvailable"), device.memory_bytes
    if available is not None and total and available < total / 10:
        yield Finding(
            topic="memory",
            level="spoils",
            sentence=f"only {format_bytes(available)} of {format_bytes(total)} of memory are left",
            remedy="ps aux --sort=-rss | head  # then end what holds it",
        )
    swapped = found.get("SwapTotal", 0) - found.get("SwapFree", 0)
    if swapped > 0:
        yield Finding(
            topic="swap",
            level="note",
            sentence=f"{format_bytes(swapped)} are swapped out, and may come back in mid-measurement",
            remedy="sudo swapoff -a",
        )


def _power_readings(device: Device, sources: list[Source], root: Path) -> Iterator[Finding]:
    groups = {channel.group for source in sources for channel in source.channels}
    closed = [
        file
        for file in sorted((root / "sys/class/powercap").glob("intel-rapl:*/energy_uj"))
        if not os.access(file, os.R_OK)
    ]
    if groups & {"power_w", "energy_j"} and not closed:
        return
    if closed:
        yield Finding(
            topic="energy",
            level="note",
            sentence="the processor's energy counters are for root only: no energy per token",
            remedy="sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj  # until the next boot",
        )
    elif is_jetson(device):
        yield Finding(
            topic="energy",
            level="note",
            sentence="no power rail is visible: no energy per token",
            remedy="docker run -v /sys:/sys:ro …  # in a container, show it the sensors",
        )
    else:
        sentence = "nothing here measures power: no energy per token"
        yield Finding(topic="energy", level="note", sentence=sentence)


def _caches(device: Device, root: Path) -> Iterator[Finding]:
    if is_jetson(device) and not os.access(root / "proc/sys/vm/drop_caches", os.W_OK):
        yield Finding(
            topic="caches",
            level="note",
            sentence="the page cache counts as used GPU memory here, and only root may drop it between launches",
            remedy=f'echo "$USER ALL=(root) NOPASSWD: {" ".join(DROP_CACHES)}" | sudo tee /etc/sudoers.d/pytest-thor',
        )


def _persistence(library: Library) -> Iterator[Finding]:
    with suppress(library.NVMLError):
        for index in range(library.nvmlDeviceGetCount()):
            with suppress(library.NVMLError):
                if not library.nvmlDeviceGetPersistenceMode(library.nvmlDeviceGetHandleByIndex(index)):
                    yield Finding(
                        topic="persistence",
                        level="note",
                        sentence=f"gpu{index} forgets its state between engines: load times hold the driver's start",
                        remedy="sudo nvidia-smi -pm 1",
                    )


def _surroundings(device: Device) -> Iterator[Finding]:
    if device.virtual:
        sentence = "this is a virtual machine: what its neighbours do is visible as stolen time only"
        yield Finding(topic="virtual", level="note", sentence=sentence)


def _readings(sources: list[Source], group: str) -> Iterator[tuple[str, float]]:
    for source in sources:
        if any(channel.group == group for channel in source.channels):
            for channel, value in zip(source.channels, source.read(), strict=True):
                if channel.group == group:
                    yield channel.name, value


def _meminfo(root: Path) -> Iterator[tuple[str, int]]:
    for line in (text_of(root / "proc/meminfo") or "").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            yield name, int(words[0]) * 1024
