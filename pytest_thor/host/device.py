"""What machine this is, as far as it tells without root.

Sources: /proc/cpuinfo, /proc/meminfo, /proc/device-tree/model, /etc/nv_tegra_release, ``nvpmodel -q``, and NVML
where a driver is present. What cannot be read is None, never a guess.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TEGRA = re.compile(r"# R(?P<major>\d+) \(release\), REVISION: (?P<revision>[\d.]+)")
_BOILERPLATE = re.compile(r"nvidia|developer kit|\(r\)|\(tm\)|processor|cpu @.*|\d+-core", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One NVIDIA GPU; memory in bytes, None where NVML does not tell (unified memory)."""

    name: str
    memory_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The machine that measures; ``slug`` names its folder in the baseline store."""

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


def identify(root: Path = Path("/")) -> Device:
    """Read what this machine is; ``root`` is where its file tree starts."""
    gpus, driver, cuda = _nvml()
    board = _read(root / "proc/device-tree/model").strip("\0\n ")
    cpu = _cpu_model(root)
    logical = _available_cpus()
    name = board or (gpus[0].name if gpus else cpu)
    count = f"-{len(gpus)}x" if len(gpus) > 1 else ""
    return Device(
        slug=_slug(name) + (count if gpus and not board else "" if board else f"-{logical}c"),
        name=name,
        cpu=cpu,
        logical_cpus=logical,
        memory_bytes=_memory_bytes(root),
        gpus=gpus,
        power_mode=_power_mode(),
        l4t=_l4t(root),
        driver=driver,
        cuda=cuda,
        kernel=platform.release(),
        machine=platform.machine(),
    )


def _slug(name: str) -> str:
    words = re.findall(r"[a-z0-9]+(?:\.[a-z0-9]+)*", _BOILERPLATE.sub(" ", name).lower())
    return "-".join(words) or "unknown"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _cpu_model(root: Path) -> str:
    text = _read(root / "proc/cpuinfo")
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    if match:
        return match[1].strip()
    # Arm kernels name no model: the implementer's and part's numbers are the identity there.
    parts = sorted(set(re.findall(r"^CPU part\s*:\s*(\S+)$", text, re.MULTILINE)))
    return f"{platform.machine()} {'+'.join(parts)}".strip()


def _available_cpus() -> int:
    return len(os.sched_getaffinity(0))


def _memory_bytes(root: Path) -> int | None:
    match = re.search(r"^MemTotal:\s+(\d+) kB", _read(root / "proc/meminfo"), re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def _l4t(root: Path) -> str | None:
    match = _TEGRA.search(_read(root / "etc/nv_tegra_release"))
    return f"{match['major']}.{match['revision']}" if match else None


def _power_mode() -> str | None:
    program = shutil.which("nvpmodel")
    if program is None:
        return None
    with suppress(OSError, subprocess.SubprocessError):
        answer = subprocess.run([program, "-q"], capture_output=True, text=True, timeout=10, check=False)
        match = re.search(r"NV Power Mode:\s*(\S+)", answer.stdout)
        return match[1] if match else None
    return None


def _nvml() -> tuple[tuple[Gpu, ...], str | None, str | None]:
    """Return the GPUs, the driver's version and the CUDA version that it supports."""
    if not any(Path(place).exists() for place in ("/dev/nvidiactl", "/dev/nvgpu", "/proc/driver/nvidia")):
        return (), None, None
    import pynvml

    with suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        try:
            return tuple(_gpus()), _text(pynvml.nvmlSystemGetDriverVersion()), _cuda_version()
        finally:
            pynvml.nvmlShutdown()
    return (), None, None


def _gpus() -> Iterator[Gpu]:
    import pynvml

    for index in range(pynvml.nvmlDeviceGetCount()):
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        memory_bytes = None
        with suppress(pynvml.NVMLError):  # NotSupported where memory is unified
            memory_bytes = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
        yield Gpu(name=_text(pynvml.nvmlDeviceGetName(handle)), memory_bytes=memory_bytes)


def _cuda_version() -> str | None:
    import pynvml

    with suppress(pynvml.NVMLError):
        version = pynvml.nvmlSystemGetCudaDriverVersion()
        return f"{version // 1000}.{version % 1000 // 10}"
    return None


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
