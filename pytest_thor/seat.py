"""Where a worker measures: a device, told apart from every other one in the run."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pytest_thor.errors import DeviceError
from pytest_thor.host.device import check_gpus, identify
from pytest_thor.host.lock import claim_of
from pytest_thor.host.part import Part, parse_part

VARIABLE = "THOR_DEVICE"
"""The environment variable by which a worker elsewhere is told which part of its machine it measures on."""

ASSIGNED = "thor_device"
"""In what pytest-xdist tells a worker at its start: the part of its machine that it measures on, empty for all."""

SUCCEEDS = "thor_succeeds"
"""As above: whether it takes the place of one that was lost, whose launches of this run are in the journal here."""


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
        DeviceError: the part is not there, or cannot be measured on.
    """
    device = identify(part=part)
    check_gpus(device)
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


def part_chosen(text: str | None) -> Part | None:
    """Return the part that a command's ``--device`` names, else that of the environment.

    Raises:
        DeviceError: it cannot be read.
    """
    if text is None:
        return part_of_environment(os.environ)
    try:
        return parse_part(text)
    except ValueError as error:
        raise DeviceError(f"--device {text}: {error}") from None


def told_seat(text: str) -> Seat:
    """Read the seat that a worker's machine tells, by ``python -m pytest_thor.seat`` there.

    Raises:
        DeviceError: there is none; it says why.
    """
    said = text.strip().rpartition("\n")[2]  # what an interpreter's own start prints stands before it
    try:
        told = json.loads(said)
        if "error" in told:
            raise DeviceError(str(told["error"]))
        return Seat(slug=str(told["slug"]), key=str(told["key"]), part=str(told["part"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DeviceError(f"its device cannot be told from {said[:200]!r}") from None


def tell() -> None:
    """Print the seat of a worker that brings its own device, for another machine to read."""
    try:
        told = asdict(seat_on(part_of_environment(os.environ)))
    except DeviceError as error:
        told = {"error": str(error)}
    print(json.dumps(told))


def _machine() -> str:
    """Return what tells this machine, as it runs now, from every other; containers on it share it."""
    try:
        told = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        told = platform.node()
    return hashlib.sha256(told.encode()).hexdigest()[:16]


if __name__ == "__main__":
    tell()
