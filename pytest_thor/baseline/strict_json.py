"""JSON that was stored earlier, read strictly: each error is the rest of a sentence that says where and what."""

from __future__ import annotations

import json
import sys

from pytest_thor import foreign_json

_LONGEST_NUMBER = 400  # characters; no finite float has more before the point


def parse(text: str) -> object:
    """Return the value that a text holds.

    Raises:
        ValueError: it is not whole JSON, repeats a name, or holds what is no number (NaN, Infinity) or no text.
    """
    try:
        value: object = foreign_json.parse(
            text, object_pairs_hook=_without_duplicates, parse_int=_whole, parse_constant=_not_finite
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"is not whole: {error.msg} in line {error.lineno}, column {error.colno}") from None
    return value


def version(data: object, *, family: str, newest: int) -> int:
    """Return the version that a stored value's ``schema`` names: ``2`` of ``pytest-thor/baseline/2``.

    Raises:
        ValueError: it names none of the versions 1 to ``newest``.
    """
    current = f"{family}{newest}"
    schema = data.get("schema") if isinstance(data, dict) else None
    if not isinstance(schema, str) or not schema.startswith(family):
        raise ValueError(f"is not a baseline of pytest-thor: it does not say schema {current!r}")
    number = schema.removeprefix(family)
    known = {str(version): version for version in range(1, newest + 1)}
    if number in known:
        return known[number]
    if number.isdecimal():
        raise ValueError(f"was written by a newer pytest-thor: schema {schema!r}, and this one reads {current!r}")
    raise ValueError(f"has the unknown schema {schema!r}; this pytest-thor reads {current!r}")


def fields(data: object, names: set[str] | frozenset[str], where: str) -> dict[str, object]:
    """Return a table that has exactly these fields."""
    found = table(data, where)
    for name in sorted(names ^ found.keys()):
        raise ValueError(f"{where} {'lacks' if name in names else 'has the unknown field'} {name!r}")
    return found


def table(value: object, where: str) -> dict[str, object]:
    """Return a table of any fields."""
    if isinstance(value, dict):
        return value
    raise misplaced(value, where)


def items(value: object, where: str) -> list[object]:
    """Return a list."""
    if isinstance(value, list):
        return value
    raise misplaced(value, where)


def text_of(value: object, where: str) -> str:
    """Return a text."""
    if isinstance(value, str):
        return value
    raise misplaced(value, where)


def optional_text(value: object, where: str) -> str | None:
    """Return a text, or None where it is not known."""
    return None if value is None else text_of(value, where)


def number(value: object, where: str) -> float:
    """Return a finite number."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max:
        return value
    raise misplaced(value, where)


def count(value: object, where: str) -> int:
    """Return a whole number, 0 or more."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= sys.maxsize:
        return value
    raise misplaced(value, where)


def misplaced(value: object, where: str) -> ValueError:
    """Return the error that names a value which does not belong where it stands."""
    shown = "" if isinstance(value, dict | list) else f" {str(value)[:40]!r}"
    return ValueError(f"{where} holds{shown} ({type(value).__name__}), which does not belong there")


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"holds {name!r} twice")
        found[name] = value
    return found


def _whole(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"holds a number of {len(text)} digits")
    return int(text)


def _not_finite(text: str) -> None:
    raise ValueError(f"holds {text}, which is no number")
