"""What is stored of one cell, and its form as text: read strictly, written for git."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_thor.baseline.fingerprint import Fingerprint, from_json
from pytest_thor.measurement import Samples

SCHEMA = "pytest-thor/baseline/1"
"""The version of the file. History: 1, the first."""

_FAMILY = "pytest-thor/baseline/"
_LONGEST_NUMBER = 400  # characters; no finite float has more before the point
_FIELDS = {"accepted_at", "cell", "device", "fingerprint", "launches", "schema"}
_LAUNCH_FIELDS = {"engine", "samples", "started_at"}
_ENGINE_FIELDS = {"commit", "name", "version"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLaunch:
    """One accepted launch: when, by which build, and every raw sample."""

    started_at: str
    engine: str
    version: str | None
    commit: str | None
    samples: Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineEntry:
    """What was accepted for a cell on a device; ``cell`` holds the words that name it, ``Cell.fields``."""

    device: str
    cell: Mapping[str, str]
    accepted_at: str
    fingerprint: Fingerprint
    launches: tuple[StoredLaunch, ...]

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
    parts = {
        "accepted_at": _line(entry.accepted_at),
        "cell": _block(dict(entry.cell)),
        "device": _line(entry.device),
        "fingerprint": _block(entry.fingerprint.to_json()),
        "launches": f"[\n{launches}\n  ]",
        "schema": _line(SCHEMA),
    }
    return "{\n" + ",\n".join(f"  {_line(name)}: {text}" for name, text in sorted(parts.items())) + "\n}\n"


def read_entry(text: str) -> BaselineEntry:
    """Return the entry that a file's text holds.

    Raises:
        ValueError: it is not whole, of another version, or not of this form; the message says where.
    """
    try:
        data = json.loads(text, object_pairs_hook=_without_duplicates, parse_int=_whole, parse_constant=_not_finite)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not whole: {error.msg} in line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError("is nested too deeply to be a baseline") from None
    _check_schema(data)
    entry = _fields(data, _FIELDS, "the entry")
    launches = _list(entry["launches"], "launches")
    if not launches:
        raise ValueError("holds no launch")
    cell = _table(entry["cell"], "cell")
    return BaselineEntry(
        device=_text(entry["device"], "device"),
        cell={name: _text(value, f"cell.{name}") for name, value in cell.items()},
        accepted_at=_text(entry["accepted_at"], "accepted_at"),
        fingerprint=from_json(entry["fingerprint"]),
        launches=tuple(_launch(launch, f"launches[{index}]") for index, launch in enumerate(launches)),
    )


def _launch_to_json(launch: StoredLaunch) -> dict[str, object]:
    return {
        "engine": {"commit": launch.commit, "name": launch.engine, "version": launch.version},
        "samples": {name: list(samples) for name, samples in launch.samples.items()},
        "started_at": launch.started_at,
    }


def _line(value: object) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False)


def _block(value: object) -> str:
    text = json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False, indent=2)
    return text.replace("\n", "\n  ")


def _check_schema(data: object) -> None:
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema == SCHEMA:
        return
    if not isinstance(schema, str) or not schema.startswith(_FAMILY):
        raise ValueError(f"is not a baseline of pytest-thor: it does not say schema {SCHEMA!r}")
    version = schema.removeprefix(_FAMILY)
    if version.isdecimal():
        raise ValueError(f"was written by a newer pytest-thor: schema {schema!r}, and this one reads {SCHEMA!r}")
    raise ValueError(f"has the unknown schema {schema!r}; this pytest-thor reads {SCHEMA!r}")


def _launch(data: object, where: str) -> StoredLaunch:
    launch = _fields(data, _LAUNCH_FIELDS, where)
    engine = _fields(launch["engine"], _ENGINE_FIELDS, f"{where}.engine")
    samples = _table(launch["samples"], f"{where}.samples")
    return StoredLaunch(
        started_at=_text(launch["started_at"], f"{where}.started_at"),
        engine=_text(engine["name"], f"{where}.engine.name"),
        version=_optional_text(engine["version"], f"{where}.engine.version"),
        commit=_optional_text(engine["commit"], f"{where}.engine.commit"),
        samples={name: _numbers(values, f"{where}.samples.{name}") for name, values in samples.items()},
    )


def _fields(data: object, fields: set[str], where: str) -> dict[str, object]:
    table = _table(data, where)
    for name in sorted(fields ^ table.keys()):
        raise ValueError(f"{where} {'lacks' if name in fields else 'has the unknown field'} {name!r}")
    return table


def _table(value: object, where: str) -> dict[str, object]:
    if isinstance(value, dict):
        return value
    raise _misplaced(value, where)


def _list(value: object, where: str) -> list[object]:
    if isinstance(value, list):
        return value
    raise _misplaced(value, where)


def _text(value: object, where: str) -> str:
    if isinstance(value, str):
        return value
    raise _misplaced(value, where)


def _optional_text(value: object, where: str) -> str | None:
    return None if value is None else _text(value, where)


def _numbers(value: object, where: str) -> tuple[float, ...]:
    return tuple(_number(number, where) for number in _list(value, where))


def _number(value: object, where: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max:
        return value
    raise _misplaced(value, where)


def _misplaced(value: object, where: str) -> ValueError:
    shown = "" if isinstance(value, dict | list) else f" {str(value)[:40]!r}"
    return ValueError(f"{where} holds{shown} ({type(value).__name__}), which does not belong there")


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table: dict[str, object] = {}
    for name, value in pairs:
        if name in table:
            raise ValueError(f"holds {name!r} twice")
        table[name] = value
    return table


def _whole(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"holds a number of {len(text)} digits")
    return int(text)


def _not_finite(text: str) -> None:
    raise ValueError(f"holds {text}, which is no number")
