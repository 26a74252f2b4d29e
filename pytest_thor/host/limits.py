"""What this machine can reach at most: from the table of devices, or measured here (docs/limits.md)."""

from __future__ import annotations

from pathlib import Path

from pytest_thor.host.datasheets import Datasheet, find
from pytest_thor.host.device import Device
from pytest_thor.host.measured_roof import can_measure, kept_roof, measured_roof
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


def limits_in_use(device: Device, *, cache: Path | None) -> tuple[Roof | None, str | None]:
    """Return the limits that a machine's figures are held against now, or None with the reason; measures nothing.

    ``cache`` is where measured ones are kept, None for a machine that is not this one.
    """
    found = table_roof(device)
    if found is not None:
        return found, None
    if device.gpus:
        names = ", ".join(dict.fromkeys(gpu.name for gpu in device.gpus))
        return None, f"not known: no data sheet of {names} is in the table, so no figure is held against a limit"
    if cache is None:
        return None, "not known: measured on the machine itself"
    kept = kept_roof(device, cache=cache)
    if kept is None and not can_measure():
        return None, "not known: a processor's are measured with numpy (pip install 'pytest-thor[synthetic]')"
    return kept, "not known yet: measured when a cell first needs them, in about two seconds" if kept is None else None


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
