"""The limits of a processor, measured: reading arrays far larger than its cache, and a matrix product.

Measured once for a machine and kept; measuring again only ever raises what is kept, since noise makes a machine look
slower than it is and never faster. Needs numpy (the extra ``pytest-thor[synthetic]`` brings it).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from pytest_thor.files import atomic_write_text
from pytest_thor.host.device import Device
from pytest_thor.roofline import Arithmetic, Roof

TOLERANCE = 0.15
"""How far beyond a measured limit a figure may lie: short loops do not find the last of a machine."""

UNKNOWN_CACHE_BYTES = 256 << 20
"""What a processor's last cache is taken to hold where it does not say: more than most have."""

_SCHEMA = "pytest-thor/measured-limits/1"
_TRIES = 5
_ROUNDS = 3  # with arrays of their own: the pages that one gets decide half of its speed
_LEAST_ARRAY_BYTES = 256 << 20
_LEAST_PRODUCT_S = 0.02

# How many times the operations of a product in 32 bits the instructions do, by the flag that tells of them.
_FASTER: tuple[tuple[str, Arithmetic, float], ...] = (
    ("amx_int8", "int8", 32),
    ("amx_bf16", "bf16", 16),
    ("amx_fp16", "fp16", 16),
    ("i8mm", "int8", 8),
    ("avx512_vnni", "int8", 4),
    ("avx_vnni", "int8", 4),
    ("asimddp", "int8", 4),
    ("bf16", "bf16", 4),
    ("avx512_bf16", "bf16", 2),
    ("avx512_fp16", "fp16", 2),
    ("asimdhp", "fp16", 2),
)
_PLAIN_INT8 = 2.0  # multiply-add of bytes in AVX2 and its like


def measured_roof(device: Device, *, cache: Path, again: bool = False, root: Path = Path("/")) -> Roof | None:
    """Return the limits of the processor, measured where they are not yet kept below ``cache``; about a second.

    With ``again`` they are measured once more, and the higher figures are kept: do so before a figure is called
    impossible. None is returned where numpy is not installed.
    """
    path = _place(device, cache)
    kept = _load(path)
    if kept is None or again:
        if not can_measure():
            return None
        found = _measure(max(_LEAST_ARRAY_BYTES, 4 * cache_bytes(root)), device.memory_bytes, device.logical_cpus)
        kept = (max(found[0], kept[0]), max(found[1], kept[1])) if kept else found
        _keep(path, kept)
    return _roof(device, kept, root)


def kept_roof(device: Device, *, cache: Path) -> Roof | None:
    """Return the limits that were measured before and kept below ``cache``, None where none were; measures nothing."""
    kept = _load(_place(device, cache))
    return None if kept is None else _roof(device, kept, Path("/"))


def can_measure() -> bool:
    """Tell whether there is what measuring needs."""
    return importlib.util.find_spec("numpy") is not None


def _roof(device: Device, kept: tuple[float, float], root: Path) -> Roof:
    bandwidth, single = kept
    return Roof(
        name=device.cpu,
        bandwidth=bandwidth,
        peaks=_peaks(single, root),
        cache_bytes=cache_bytes(root),
        source="measured here: reading arrays beyond the cache, and a product of 32-bit matrices",
        tolerance=TOLERANCE,
        measured=True,
    )


def cache_bytes(root: Path = Path("/")) -> int:
    """Return what the last level of the processor's caches holds in all, or a generous guess where it does not say."""
    caches: dict[tuple[int, str], int] = {}
    for index in root.glob("sys/devices/system/cpu/cpu[0-9]*/cache/index[0-9]*"):
        level, shared = _read(index / "level"), _read(index / "shared_cpu_list")
        size = re.fullmatch(r"([0-9]{1,9})([KM])", _read(index / "size"))
        if re.fullmatch("[0-9]", level) and size and _read(index / "type") != "Instruction":
            caches[int(level), shared] = int(size[1]) << (10 if size[2] == "K" else 20)
    last = max((level for level, _ in caches), default=0)
    return sum(size for (level, _), size in caches.items() if level == last) if last > 2 else UNKNOWN_CACHE_BYTES


def _peaks(single: float, root: Path) -> dict[Arithmetic, float]:
    match = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", _read(root / "proc/cpuinfo"), re.MULTILINE)
    flags = set(match[1].split()) if match else set()
    factors: dict[Arithmetic, float] = {"fp32": 1.0, "bf16": 1.0, "fp16": 1.0, "int8": _PLAIN_INT8}
    for flag, arithmetic, factor in _FASTER:
        if flag in flags:
            factors[arithmetic] = max(factors[arithmetic], factor)
    return {arithmetic: single * factor for arithmetic, factor in factors.items()}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _measure(size_bytes: int, memory_bytes: int | None, threads: int) -> tuple[float, float]:
    """Return bytes read per second and operations per second in 32 bits, the best of several tries."""
    if memory_bytes is not None:
        size_bytes = min(size_bytes, memory_bytes // 8)
    return max(_reading(size_bytes, threads) for _ in range(_ROUNDS)), _multiplying()


def _reading(size_bytes: int, threads: int) -> float:
    import numpy as np

    count = size_bytes // 4 // threads * threads
    first, second = np.ones(count, np.float32), np.ones(count, np.float32)
    step = count // threads
    parts = [slice(start, start + step) for start in range(0, count, step)]

    def largest(part: slice) -> None:
        first[part].max()

    def add(part: slice) -> None:
        np.add(first[part], second[part], out=second[part])  # what it reads is counted, as a token only reads

    with ThreadPoolExecutor(threads) as pool:

        def run(loop: Callable[[slice], None]) -> float:
            started = time.perf_counter()
            list(pool.map(loop, parts))
            return time.perf_counter() - started

        rates = [size / run(loop) for loop, size in ((largest, 4 * count), (add, 8 * count)) for _ in range(_TRIES)]
        return max(rates)


def _multiplying() -> float:
    import numpy as np

    size, best = 512, 0.0
    while True:
        left, right = np.ones((size, size), np.float32), np.ones((size, size), np.float32)
        times = []
        for _ in range(_TRIES):
            started = time.perf_counter()
            left @ right
            times.append(time.perf_counter() - started)
        best = max(best, 2 * size**3 / min(times))
        if min(times) >= _LEAST_PRODUCT_S or size >= 8192:
            return best
        size *= 2


def _place(device: Device, cache: Path) -> Path:
    kept_from = [each for each in (device.part and str(device.part), device.cpu_quota) if each is not None]
    identity = json.dumps([device.cpu, device.logical_cpus, device.memory_bytes, *kept_from])
    return cache / "limits" / f"{device.slug}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}.json"


def _load(path: Path) -> tuple[float, float] | None:
    """Return what is kept, None where there is nothing sound: it is measured again then."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = float(content["read_bytes_per_s"]), float(content["fp32_per_s"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return found if content.get("schema") == _SCHEMA and all(math.isfinite(x) and x > 0 for x in found) else None


def _keep(path: Path, found: tuple[float, float]) -> None:
    text = json.dumps({"schema": _SCHEMA, "read_bytes_per_s": found[0], "fp32_per_s": found[1]}, indent=1)
    with suppress(OSError):  # it is measured again then
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, text + "\n")
