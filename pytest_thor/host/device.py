"""What machine this is, as far as it tells without root.

Sources: /proc/cpuinfo, /proc/meminfo, /proc/device-tree, /etc/nv_tegra_release, /sys, ``nvpmodel -q``, and NVML where a
driver is present. A recorded tree of another machine is read from its files alone. What cannot be read is None, never a
guess. docs/thor-telemetry.md says where each fact comes from.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pytest_thor.cores import cpu_quota
from pytest_thor.errors import DeviceError
from pytest_thor.host.cpu import policies
from pytest_thor.host.nvml import Library, close_library, open_library
from pytest_thor.host.part import NO_MIG, Part, check_part, ranges, visible_gpus
from pytest_thor.host.power_mode import clocks, power_mode
from pytest_thor.host.sensor_file import text_of

HERE = Path("/")
"""Where the file tree of this very machine starts."""

_JETPACK = {"38.2": "7.0", "38.4": "7.1", "39": "7.2"}
_CONTAINERS = {".dockerenv": "docker", "run/.containerenv": "podman"}
_IN_CGROUP = re.compile(r"docker|kubepods|containerd|lxc|libpod")
_TEGRA = re.compile(r"# R(?P<major>\d+) \(release\), REVISION: (?P<revision>[\d.]+)")
_BOILERPLATE = re.compile(r"nvidia|developer kit|\(r\)|\(tm\)|processor|cpu @.*|\d+-core", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One NVIDIA GPU; memory in bytes, None where NVML does not tell (unified memory); the power limit in W.

    ``index`` is that of ``nvidia-smi``; ``uuid`` is the same also where a container sees others or fewer. ``divided``
    says that it is in MIG mode, where CUDA sees a part of it only.
    """

    name: str
    memory_bytes: int | None
    power_limit_w: float | None = None
    index: int = 0
    uuid: str | None = None
    divided: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The machine that measures, or the part of it; ``slug`` names its folder in the baseline store.

    ``part`` is None for all of it, as far as this process may use it: without the GPUs that ``$CUDA_VISIBLE_DEVICES``
    keeps from it. ``gpus`` and ``logical_cpus`` are the part's.
    ``clocks`` says between which clocks it may move, ``container`` which kind this runs in (``none``), ``virtual``
    whether a hypervisor lies below, ``cpu_quota`` how many CPUs' worth of time its container gets where that is less.
    """

    slug: str
    name: str
    cpu: str
    logical_cpus: int
    memory_bytes: int | None
    gpus: tuple[Gpu, ...]
    power_mode: str | None
    l4t: str | None
    driver: str | None
    cuda: str | None
    kernel: str
    machine: str
    soc: str | None = None
    jetpack: str | None = None
    clocks: str | None = None
    cpu_governor: str | None = None
    swap_bytes: int | None = None
    container: str | None = None
    virtual: bool | None = None
    cpu_quota: float | None = None
    part: Part | None = None


def identify(root: Path = HERE, *, part: Part | None = None) -> Device:
    """Read what this machine is, or a part of it; ``root`` is where its file tree starts, or that of a recorded one.

    Raises:
        DeviceError: the part is not there, or not for this process.
    """
    live = root == HERE
    gpus, driver, cuda = _nvml() if live else (_recorded_gpus(root), _recorded_driver(root), None)
    if live:
        gpus = _usable(gpus, part)
    board = text_of(root / "proc/device-tree/model") or ""
    cpu = _cpu_model(root)
    logical = _available_cpus(None if live else root)
    l4t = _l4t(root)
    name = board or (gpus[0].name if gpus else cpu)
    count = f"-{len(gpus)}x" if len(gpus) > 1 else ""
    slug = _slug(name) + (count if gpus and not board else "" if board else f"-{logical}c")
    if part is not None:
        logical = len(part.cpus) or logical
        name = board or (gpus[0].name if gpus else cpu)
        slug = part.name or "-".join([_slug(name), *_part_words(part)])
    quota = cpu_quota(root)
    return Device(
        slug=slug,
        name=name,
        cpu=cpu,
        logical_cpus=logical,
        memory_bytes=_meminfo_bytes(root, "MemTotal"),
        gpus=gpus,
        power_mode=power_mode(root),
        l4t=l4t,
        driver=driver or _recorded_driver(root),
        cuda=cuda or _toolkit(root),
        kernel=platform.release() if live else text_of(root / "proc/sys/kernel/osrelease") or "unknown",
        machine=platform.machine() if live else _recorded_machine(root),
        soc=_soc(root),
        jetpack=_jetpack(l4t),
        clocks=clocks(root),
        cpu_governor=next((text_of(policy / "scaling_governor") for policy in policies(root)), None),
        swap_bytes=_meminfo_bytes(root, "SwapTotal"),
        container=_container(root),
        virtual=_is_virtual(root),
        cpu_quota=quota if quota is not None and quota < logical else None,
        part=part,
    )


def check_gpus(device: Device) -> None:
    """Make sure that the GPUs of a device are those that CUDA will use, whole.

    Raises:
        DeviceError: they are not, or nobody can tell.
    """
    if device.part is None:
        visible_gpus([gpu.uuid for gpu in device.gpus], alike=_are_alike(device.gpus))
    divided = [gpu.index for gpu in device.gpus if gpu.divided]
    if divided:
        raise DeviceError(f"gpu:{','.join(map(str, divided))} is divided: {NO_MIG}")


def _are_alike(gpus: Sequence[Gpu]) -> bool:
    return len({gpu.name for gpu in gpus}) < 2


def _usable(gpus: tuple[Gpu, ...], part: Part | None) -> tuple[Gpu, ...]:
    """Return the GPUs that CUDA will use, of this machine or of a part of it."""
    uuids, alike = [gpu.uuid for gpu in gpus], _are_alike(gpus)
    chosen: Sequence[int] = range(len(gpus))
    if part is not None:
        check_part(part, uuids, alike=alike)
        chosen = part.gpus
    else:
        with suppress(DeviceError):  # which check_gpus raises again
            chosen = sorted(visible_gpus(uuids, alike=alike))
    return tuple(gpus[index] for index in chosen)


def _part_words(part: Part) -> Iterator[str]:
    """Yield the words that tell a part from another of the same machine, as a folder's name can hold them."""
    for word, numbers in (("gpu", part.gpus), ("cpus", part.cpus)):
        if numbers:
            yield word + ranges(numbers).replace(",", ".")


def _slug(name: str) -> str:
    words = re.findall(r"[a-z0-9]+(?:\.[a-z0-9]+)*", _BOILERPLATE.sub(" ", name).lower())
    return "-".join(words) or "unknown"


def _read(path: Path) -> str:
    return text_of(path) or ""


def _cpu_model(root: Path) -> str:
    text = _read(root / "proc/cpuinfo")
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    if match:
        return match[1].strip()
    # Arm kernels name no model: the implementer's and part's numbers are the identity there.
    parts = sorted(set(re.findall(r"^CPU part\s*:\s*(\S+)$", text, re.MULTILINE)))
    return f"{_recorded_machine(root) if parts else platform.machine()} {'+'.join(parts)}".strip()


def _available_cpus(recorded: Path | None) -> int:
    listed = len(re.findall(r"^processor\s*:", _read(recorded / "proc/cpuinfo"), re.MULTILINE)) if recorded else 0
    return listed or len(os.sched_getaffinity(0))


def _meminfo_bytes(root: Path, name: str) -> int | None:
    match = re.search(rf"^{name}:\s+([0-9]{{1,15}}) kB", _read(root / "proc/meminfo"), re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def _l4t(root: Path) -> str | None:
    match = _TEGRA.search(_read(root / "etc/nv_tegra_release"))
    return f"{match['major']}.{match['revision']}" if match else None


def _jetpack(l4t: str | None) -> str | None:
    """Return the JetPack release that an L4T release belongs to, where that is known."""
    words = (l4t or "").split(".")
    return _JETPACK.get(".".join(words[:2])) or _JETPACK.get(words[0])


def _soc(root: Path) -> str | None:
    """Return the system on chip: the last name of the device tree's ``compatible``, such as ``tegra264``."""
    names = (text_of(root / "proc/device-tree/compatible") or "").replace("\0", "\n").split()
    return names[-1].rpartition(",")[2] if names else None


def _container(root: Path) -> str | None:
    for file, kind in _CONTAINERS.items():
        if (root / file).exists():
            return kind
    groups = text_of(root / "proc/1/cgroup")
    if groups is None:
        return None
    match = _IN_CGROUP.search(groups)
    return match[0] if match else "none"


def _is_virtual(root: Path) -> bool | None:
    flags = re.search(r"^flags\s*:(.*)$", _read(root / "proc/cpuinfo"), re.MULTILINE)
    return " hypervisor" in flags[1] if flags else None


def _toolkit(root: Path) -> str | None:
    """Return the version of the CUDA toolkit that is installed, where no driver says which it supports."""
    match = re.search(r'"cuda"\s*:\s*{[^}]*"version"\s*:\s*"(\d+\.\d+)', _read(root / "usr/local/cuda/version.json"))
    return match[1] if match else None


def _recorded_gpus(root: Path) -> tuple[Gpu, ...]:
    folder = root / "proc/driver/nvidia/gpus"
    texts = [_read(path) for path in sorted(folder.glob("*/information"))]
    return tuple(
        Gpu(name=match[1], memory_bytes=None, index=index)
        for index, match in enumerate(re.search(r"^Model:\s*(.+?)\s*$", text, re.MULTILINE) for text in texts)
        if match
    )


def _recorded_driver(root: Path) -> str | None:
    match = re.search(r"NVRM version:.*?\s(\d+\.\d[\d.]*)\s", _read(root / "proc/driver/nvidia/version"))
    return match[1] if match else None


def _recorded_machine(root: Path) -> str:
    text = _read(root / "proc/cpuinfo")
    return "aarch64" if "CPU implementer" in text else "x86_64" if "vendor_id" in text else "unknown"


def _nvml() -> tuple[tuple[Gpu, ...], str | None, str | None]:
    """Return the GPUs, the driver's version and the CUDA version that it supports."""
    library = open_library()
    if library is None:
        return (), None, None
    with suppress(library.NVMLError):
        try:
            return tuple(_gpus(library)), _text(library.nvmlSystemGetDriverVersion()), _cuda_version(library)
        finally:
            close_library(library)
    return (), None, None


def _gpus(library: Library) -> Iterator[Gpu]:
    for index in range(library.nvmlDeviceGetCount()):
        handle = library.nvmlDeviceGetHandleByIndex(index)
        memory_bytes = power_limit_w = uuid = None
        divided = False
        with suppress(library.NVMLError):  # NotSupported where memory is unified
            memory_bytes = int(library.nvmlDeviceGetMemoryInfo(handle).total)
        with suppress(library.NVMLError):
            power_limit_w = library.nvmlDeviceGetEnforcedPowerLimit(handle) / 1e3
        with suppress(library.NVMLError):
            uuid = _text(library.nvmlDeviceGetUUID(handle))
        with suppress(library.NVMLError):  # NotSupported on a GPU that cannot be divided
            divided = library.nvmlDeviceGetMigMode(handle)[0] == 1
        name = _text(library.nvmlDeviceGetName(handle))
        yield Gpu(
            name=name,
            memory_bytes=memory_bytes,
            power_limit_w=power_limit_w,
            index=index,
            uuid=uuid,
            divided=divided,
        )


def _cuda_version(library: Library) -> str | None:
    with suppress(library.NVMLError):
        version = library.nvmlSystemGetCudaDriverVersion()
        return f"{version // 1000}.{version % 1000 // 10}"
    return None


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
