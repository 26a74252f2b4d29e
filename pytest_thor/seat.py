"""Where a worker measures: a device, told apart from every other one in the run."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_thor.errors import DeviceError
from pytest_thor.host.device import identify
from pytest_thor.host.lock import claim_of
from pytest_thor.host.part import Part, parse_part

VARIABLE = "THOR_DEVICE"
"""The environment variable by which a worker elsewhere is told which part of its machine it measures on."""

ASSIGNED = "thor_device"
"""In what pytest-xdist tells a worker at its start: the part of its machine that it measures on, empty for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A device by its ``slug``; ``key`` is the same for two workers exactly where they share one device.

    ``part`` is as the user writes it, empty for the whole machine.
    """

    slug: str
    key: str
    part: str


def seat_on(part: Part | None) -> Seat:
    """Return the seat on this machine, or on a part of it.

    Raises:
        DeviceError: the part is not there.
    """
    device = identify(part=part)
    key = json.dumps([_machine(), claim_of(device).parts])
    return Seat(slug=device.slug, key=key, part=part.written if part else "")


def part_of_environment(environ: Mapping[str, str]) -> Part | None:
    """Return the part that ``$THOR_DEVICE`` names, or None.

    Raises:
        DeviceError: it cannot be read.
    """
    text = environ.get(VARIABLE, "").strip()
    try:
        return parse_part(text) if text else None
    except ValueError as error:
        raise DeviceError(f"{VARIABLE}={text}: {error}") from None


def brought_seat() -> dict[str, str]:
    """Return the seat of a worker that brings its own device, as plain words: asked for from another machine.

    ``error`` says why there is none.
    """
    try:
        seat = seat_on(part_of_environment(os.environ))
    except DeviceError as error:
        return {"error": str(error)}
    return {"slug": seat.slug, "key": seat.key, "part": seat.part}


def _machine() -> str:
    """Return what tells this machine, as it runs now, from every other; containers on it share it."""
    try:
        told = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        told = platform.node()
    return hashlib.sha256(told.encode()).hexdigest()[:16]
