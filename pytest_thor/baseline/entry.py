"""What is stored of one cell, and its form as text: read strictly, written for git."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_thor.baseline.fingerprint import Fingerprint, from_json
from pytest_thor.baseline.strict_json import (
    count,
    fields,
    items,
    number,
    optional_text,
    parse,
    table,
    text_of,
    version,
)
from pytest_thor.measurement import Samples
from pytest_thor.units import format_percent
from pytest_thor.verdict import Verdict

VERSION = 2
"""The version of the file. History: 1, the first; 2, with ``note`` and ``replaces``."""

FAMILY = "pytest-thor/baseline/"
SCHEMA = f"{FAMILY}{VERSION}"

_FIELDS_1 = frozenset({"accepted_at", "cell", "device", "fingerprint", "launches", "schema"})
_FIELDS = {1: _FIELDS_1, 2: _FIELDS_1 | {"note", "replaces"}}
_LAUNCH_FIELDS = {"engine", "samples", "started_at"}
_ENGINE_FIELDS = {"commit", "name", "version"}
_REPLACED_FIELDS = {"accepted_at", "changes", "commit", "launches", "verdict", "version"}
_MOVE_FIELDS = {"change", "from", "to"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLaunch:
    """One accepted launch: when, by which build, and every raw sample."""

    started_at: str
    engine: str
    version: str | None
    commit: str | None
    samples: Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One metric when its anchor was replaced: what stood before and what was accepted, in the metric's unit."""

    before: float
    after: float

    @property
    def change(self) -> float | None:
        """The relative change (−0.05 is 5 % lower); None where there was nothing to be relative to."""
        return self.after / self.before - 1 if self.before > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """The anchor that stood before, for whoever reviews the change.

    ``changes`` are by judged metric (``tg_tps``, ``ttft_ms.median``); ``verdict`` is that of the accepted run against
    the anchor that it replaced, None where nobody judged. No comparison ever reads any of it.
    """

    accepted_at: str
    version: str | None
    commit: str | None
    launches: int
    verdict: str | None
    changes: Mapping[str, Move]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineEntry:
    """What was accepted for a cell on a device; ``cell`` holds the words that name it, ``Cell.fields``.

    ``note`` says why it was accepted, in the user's words.
    """

    device: str
    cell: Mapping[str, str]
    accepted_at: str
    fingerprint: Fingerprint
    launches: tuple[StoredLaunch, ...]
    note: str | None = None
    replaces: Replaced | None = None

    @property
    def samples(self) -> tuple[Samples, ...]:
        """The raw samples by launch, as the judge takes them."""
        return tuple(launch.samples for launch in self.launches)


def write_entry(entry: BaselineEntry) -> str:
    """Return the file's text: keys sorted, one field or launch a line, so that a diff shows what changed.

    Raises:
        ValueError: it has no launch, or a sample that JSON cannot hold.
    """
    if not entry.launches:
        raise ValueError("a baseline needs at least one finished launch")
    launches = ",\n".join(f"    {_line(_launch_to_json(launch))}" for launch in entry.launches)
    return _lines(
        {
            "accepted_at": _line(entry.accepted_at),
            "cell": _block(dict(entry.cell)),
            "device": _line(entry.device),
            "fingerprint": _block(entry.fingerprint.to_json()),
            "launches": f"[\n{launches}\n  ]",
            "note": _line(entry.note),
            "replaces": _replaced_to_json(entry.replaces) if entry.replaces else "null",
            "schema": _line(SCHEMA),
        },
        indent="",
    )


def read_entry(text: str) -> BaselineEntry:
    """Return the entry that a file's text holds; an older version is brought to the present one.

    Raises:
        ValueError: it is not whole, of a newer version, or not of this form; the message says where.
    """
    data = parse(text)
    found = version(data, family=FAMILY, newest=VERSION)
    entry = {"note": None, "replaces": None, **fields(data, _FIELDS[found], "the entry")}
    launches = items(entry["launches"], "launches")
    if not launches:
        raise ValueError("holds no launch")
    cell = table(entry["cell"], "cell")
    return BaselineEntry(
        device=text_of(entry["device"], "device"),
        cell={name: text_of(value, f"cell.{name}") for name, value in cell.items()},
        accepted_at=text_of(entry["accepted_at"], "accepted_at"),
        fingerprint=from_json(entry["fingerprint"]),
        launches=tuple(_launch(launch, f"launches[{index}]") for index, launch in enumerate(launches)),
        note=optional_text(entry["note"], "note"),
        replaces=None if entry["replaces"] is None else _replaced(entry["replaces"]),
    )


def _launch_to_json(launch: StoredLaunch) -> dict[str, object]:
    return {
        "engine": {"commit": launch.commit, "name": launch.engine, "version": launch.version},
        "samples": {name: list(samples) for name, samples in launch.samples.items()},
        "started_at": launch.started_at,
    }


def _replaced_to_json(replaced: Replaced) -> str:
    comparable = replaced.verdict != Verdict.INCOMPARABLE
    changes = {name: _line(_move_to_json(move, comparable)) for name, move in replaced.changes.items()}
    return _lines(
        {
            "accepted_at": _line(replaced.accepted_at),
            "changes": _lines(changes, indent="    ").rstrip("\n") if changes else "{}",
            "commit": _line(replaced.commit),
            "launches": _line(replaced.launches),
            "verdict": _line(replaced.verdict),
            "version": _line(replaced.version),
        },
        indent="  ",
    ).rstrip("\n")


def _move_to_json(move: Move, comparable: bool) -> dict[str, object]:
    change = format_percent(move.change, signed=True) if comparable and move.change is not None else None
    return {"change": change, "from": move.before, "to": move.after}


def _lines(parts: Mapping[str, str], *, indent: str) -> str:
    """Return an object whose values are text already, one field a line."""
    body = ",\n".join(f"{indent}  {_line(name)}: {text}" for name, text in sorted(parts.items()))
    return f"{{\n{body}\n{indent}}}\n"


def _line(value: object) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False)


def _block(value: object) -> str:
    text = json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False, indent=2)
    return text.replace("\n", "\n  ")


def _launch(data: object, where: str) -> StoredLaunch:
    launch = fields(data, _LAUNCH_FIELDS, where)
    engine = fields(launch["engine"], _ENGINE_FIELDS, f"{where}.engine")
    samples = table(launch["samples"], f"{where}.samples")
    return StoredLaunch(
        started_at=text_of(launch["started_at"], f"{where}.started_at"),
        engine=text_of(engine["name"], f"{where}.engine.name"),
        version=optional_text(engine["version"], f"{where}.engine.version"),
        commit=optional_text(engine["commit"], f"{where}.engine.commit"),
        samples={name: _numbers(values, f"{where}.samples.{name}") for name, values in samples.items()},
    )


def _replaced(data: object) -> Replaced:
    replaced = fields(data, _REPLACED_FIELDS, "replaces")
    changes = table(replaced["changes"], "replaces.changes")
    return Replaced(
        accepted_at=text_of(replaced["accepted_at"], "replaces.accepted_at"),
        version=optional_text(replaced["version"], "replaces.version"),
        commit=optional_text(replaced["commit"], "replaces.commit"),
        launches=count(replaced["launches"], "replaces.launches"),
        verdict=optional_text(replaced["verdict"], "replaces.verdict"),
        changes={name: _move(move, f"replaces.changes.{name}") for name, move in changes.items()},
    )


def _move(data: object, where: str) -> Move:
    move = fields(data, _MOVE_FIELDS, where)
    return Move(before=number(move["from"], f"{where}.from"), after=number(move["to"], f"{where}.to"))


def _numbers(value: object, where: str) -> tuple[float, ...]:
    return tuple(number(sample, where) for sample in items(value, where))
