"""What this machine can reach at most: from the table of devices, or measured here (docs/limits.md)."""

from __future__ import annotations

from pathlib import Path

from pytest_thor.host.datasheets import Datasheet, find
from pytest_thor.host.device import Device
from pytest_thor.host.measured_roof import measured_roof
from pytest_thor.roofline import Arithmetic, Roof

TOLERANCE = 0.05
"""How far beyond a data sheet's limit a figure may lie: the sheets round, and so do published figures."""


def roof_of(device: Device, *, cache: Path, measure: bool = False) -> Roof | None:
    """Return the limits of a machine, None where nothing is known of it.

    A GPU or a board is looked up in the table; several equal GPUs count together. A machine without one is measured
    once and remembered below the folder ``cache``; ``measure`` asks for the processor's measured limits anywhere.
    """
    found = None if measure else table_roof(device)
    if found is not None or (device.gpus and not measure):
        return found
    return measured_roof(device, cache=cache)


def table_roof(device: Device) -> Roof | None:
    """Return the limits of a machine's board or GPUs, None where the table has none of them."""
    found = known_roof(device.name, memory_bytes=device.memory_bytes)
    if found is None and device.gpus and len({gpu.name for gpu in device.gpus}) == 1:
        first = device.gpus[0]
        found = known_roof(first.name, memory_bytes=first.memory_bytes, count=len(device.gpus))
    return found


def known_roof(identity: str, *, memory_bytes: int | None = None, count: int = 1) -> Roof | None:
    """Return the limits of ``count`` devices by their name or slug, None where the table has no such device.

    ``memory_bytes`` tells apart what bears one name; without it the largest of the name is meant.
    """
    row = find(identity, memory_bytes)
    return None if row is None else _roof(row, count)


def _roof(row: Datasheet, count: int) -> Roof:
    figures: tuple[tuple[Arithmetic, float | None], ...] = (
        ("fp32", row.fp32),
        ("bf16", row.bf16),
        ("fp16", row.fp16),
        ("fp8", row.fp8),
        ("int8", row.int8),
        ("fp4", row.fp4),
    )
    return Roof(
        name=row.title if count == 1 else f"{count} × {row.title}",
        bandwidth=row.bandwidth * 1e9 * count,
        peaks={name: peak * 1e12 * row.headroom * count for name, peak in figures if peak is not None},
        cache_bytes=round(row.cache_mib * count * 2**20),
        source=row.source,
        tolerance=TOLERANCE,
    )
