"""journal.jsonl: every finished launch, a line each, written before anything else is done with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from pytest_thor.baseline.fingerprint import Fingerprint
from pytest_thor.errors import ReportError
from pytest_thor.files import append_line
from pytest_thor.foreign_file import plain_lines
from pytest_thor.measurement import Launch
from pytest_thor.record import launch_of, launch_record
from pytest_thor.report.document import LaunchRecord

SCHEMA = "pytest-thor/journal/2"
"""The version of a line. History: 1, the first; 2 says under which conditions, so that a run can be resumed."""

_LARGEST_LINE_BYTES = 512 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What a launch must share with a trial to be one of its launches: the cell, and every condition."""

    matrix: str
    cell: str
    conditions: str
    reference: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A launch that ended, and which of its cell's it was; a pair's two launches have one number."""

    number: int
    launch: Launch


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A launch as it is known again in a report: of which cell, where and when it was made."""

    matrix: str
    cell: str
    device: str
    started_at: str


def key(*, matrix: str, cell: str, fingerprint: Fingerprint, reference: bool) -> Key:
    """Return the key of a cell's launches under a fingerprint; what is under test is part of it."""
    text = json.dumps(fingerprint.to_json(), sort_keys=True)
    return Key(matrix=matrix, cell=cell, conditions=hashlib.sha256(text.encode()).hexdigest(), reference=reference)


def append(path: Path, key: Key, launch: Launch, *, device: str, number: int) -> None:
    """Keep one finished launch.

    Raises:
        ReportError: it cannot be written.
    """
    entry = {
        "schema": SCHEMA,
        "matrix": key.matrix,
        "cell": key.cell,
        "device": device,
        "conditions": key.conditions,
        "number": number,
        **({"reference": True} if key.reference else {}),
        "launch": launch_record(launch).model_dump(mode="json"),
    }
    try:
        append_line(path, json.dumps(entry, ensure_ascii=False, separators=(",", ":")))
    except OSError as error:
        raise ReportError(
            f"{path}: cannot write the journal: {error.strerror}; when it can be written, go on with --thor-resume: "
            "the launches that are in it stay"
        ) from error


def read(path: Path) -> Mapping[Key, list[Entry]]:
    """Return the launches of a journal, those that failed too, in the order in which they were made.

    A line that a crash cut short holds no finished launch; nor does one of another version.

    Raises:
        ReportError: it is there and cannot be read.
    """
    launches: dict[Key, list[Entry]] = {}
    try:
        for line in _lines(path):
            found = _entry(line)
            if found is not None:
                launches.setdefault(found[0], []).append(found[1])
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ReportError(f"{path}: cannot read the journal: {error.strerror}") from error
    return launches


def launches_by_device(path: Path) -> Mapping[tuple[str, str], Mapping[str, int]]:
    """Return how many launches a journal has of each cell (matrix, id) on each device; none where it cannot be read."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    with suppress(OSError):
        for line in _lines(path):
            if (entry := _object(line)) is not None:
                counts = found.setdefault((str(entry.get("matrix")), str(entry.get("cell"))), {})
                device = str(entry.get("device"))
                counts[device] = counts.get(device, 0) + 1
    return found


def made_before(path: Path) -> frozenset[Made]:
    """Return every launch that a journal has, whether or not it counts; none where it cannot be read."""
    found: set[Made] = set()
    with suppress(OSError):
        for line in _lines(path):
            entry = _object(line)
            launch = entry.get("launch") if entry else None
            if entry and isinstance(launch, dict):
                matrix, cell, device = (str(entry.get(name)) for name in ("matrix", "cell", "device"))
                started_at = str(launch.get("started_at"))
                found.add(Made(matrix=matrix, cell=cell, device=device, started_at=started_at))
    return frozenset(found)


def _lines(path: Path) -> Iterator[str]:
    """Yield what may be a launch."""
    for line in plain_lines(path, begin=b"{", at_most_bytes=_LARGEST_LINE_BYTES):
        yield line.decode("utf-8", errors="replace")


def _object(line: str) -> dict[str, object] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and entry.get("schema") == SCHEMA else None


def _entry(line: str) -> tuple[Key, Entry] | None:
    try:
        entry = json.loads(line)
        if not isinstance(entry, dict) or entry.get("schema") != SCHEMA:
            return None
        of = Key(
            matrix=str(entry["matrix"]),
            cell=str(entry["cell"]),
            conditions=str(entry["conditions"]),
            reference=entry.get("reference") is True,
        )
        return of, Entry(number=int(entry["number"]), launch=launch_of(LaunchRecord.model_validate(entry["launch"])))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, ValidationError):
        return None
