"""Figures as other programs and other countries write them; what has two meanings is refused.

``1256.90``, ``1256,90``, ``1.256,90``, ``1,256.90``, ``1 256,90`` and ``1'256.90`` are one number. ``1,256`` is not:
it may be either of two, and only a neighbour that has just one meaning can decide.
"""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Literal

_LONGEST = 60
_PLAIN = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)*(?:[eE][+-]?[0-9]{1,3})?")
_SPACES = re.compile(r"(?<=[0-9])[\s'’_](?=[0-9]{3}(?![0-9]))")
_SPREAD = re.compile(r"\s*(?:Â±|┬▒|±|\+/?[-−]|�)\s*")
"""Between a mean and its deviation; also what is left of the sign after a wrong code page."""
_UNITS = {
    "b": 1.0,
    "bytes": 1.0,
    **{f"{prefix}ib": 1024.0**power for power, prefix in enumerate("kmgt", start=1)},
    **{f"{prefix}b": 1000.0**power for power, prefix in enumerate("kmgt", start=1)},
}
_COUNTS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
_WITH_UNIT = re.compile(r"(?P<number>[^A-Za-z%]{1,60}?)\s*(?P<unit>[A-Za-z]*)")


class UnreadableNumberError(ValueError):
    """A text that is no figure, or more than one."""


def number(text: str, *, decimal: Literal[".", ","] | None = None) -> float:
    """Return a figure that cannot be negative; ``decimal`` is its decimal sign where a neighbour tells.

    Raises:
        UnreadableNumberError: no number, not finite, negative, or ambiguous.
    """
    shown = _tidy(text)
    if shown.casefold().lstrip("+-") in {"nan", "nan(ind)", "inf", "infinity", "1.#qnan", "1.#inf", "1.#ind"}:
        raise UnreadableNumberError(f"{shown} is not a number")
    grouped = _SPACES.sub("", shown)
    if not _PLAIN.fullmatch(grouped):
        raise UnreadableNumberError(f"{shown[:_LONGEST]!r} is not a number")
    value = float(_with_point(grouped, decimal))
    if not math.isfinite(value):
        raise UnreadableNumberError(f"{shown} is not finite")
    if value < 0:
        raise UnreadableNumberError(f"{shown} is negative")
    return value


def with_spread(text: str) -> tuple[float, float | None]:
    """Return the mean and the standard deviation of ``1256.90 ± 0.40``; None where only one number stands there.

    Raises:
        UnreadableNumberError: either is unreadable, or there are more than two.
    """
    parts = _SPREAD.split(_tidy(text, longest=2 * _LONGEST))
    if len(parts) == 1:
        return number(parts[0]), None
    if len(parts) > 2 or not parts[1]:
        raise UnreadableNumberError(f"{text.strip()[:_LONGEST]!r} is not a figure with its deviation")
    decimal = next((sign for sign in map(decimal_sign, parts) if sign), None)
    return number(parts[0], decimal=decimal), number(parts[1], decimal=decimal)


def size_bytes(text: str) -> float:
    """Return the bytes of ``4.68 GiB`` (binary) or ``61.10GB`` (decimal).

    Raises:
        UnreadableNumberError: unreadable, or without a unit.
    """
    value, unit = _split_unit(text)
    if unit not in _UNITS:
        raise UnreadableNumberError(f"{text.strip()[:_LONGEST]!r} has no unit of size: expected MiB, GiB, MB or GB")
    return float(round(value * _UNITS[unit]))


def parameter_count(text: str) -> float:
    """Return the number that ``8.19 B`` or ``751.63 M`` means.

    Raises:
        UnreadableNumberError: unreadable, or in another unit.
    """
    value, unit = _split_unit(text)
    if unit not in _COUNTS:
        raise UnreadableNumberError(f"{text.strip()[:_LONGEST]!r} is no number of parameters: expected M or B")
    return float(round(value * _COUNTS[unit]))


def decimal_sign(text: str) -> Literal[".", ","] | None:
    """Return the decimal sign that a number certainly uses, None where it has none or could be read in two ways."""
    grouped = _SPACES.sub("", _tidy(text))
    points, commas = grouped.count("."), grouped.count(",")
    if points and commas:
        return "." if grouped.rfind(".") > grouped.rfind(",") else ","
    for sign, count in ((".", points), (",", commas)):
        if count == 1 and not re.fullmatch(r"[+-]?[1-9][0-9]{0,2}[.,][0-9]{3}", grouped):
            return "." if sign == "." else ","
        if count > 1:
            return "," if sign == "." else "."
    return None


def _split_unit(text: str) -> tuple[float, str]:
    match = _WITH_UNIT.fullmatch(_tidy(text))
    if match is None:
        raise UnreadableNumberError(f"{text.strip()[:_LONGEST]!r} is not a figure with a unit")
    return number(match["number"]), match["unit"].casefold()


def _tidy(text: str, *, longest: int = _LONGEST) -> str:
    shown = text.strip()
    if len(shown) > longest:
        raise UnreadableNumberError(f"{shown[:20]!r}… is too long for a number")
    return unicodedata.normalize("NFKC", shown.replace("±", "\0")).replace("\0", "±").replace("−", "-").strip()


def _with_point(shown: str, decimal: Literal[".", ","] | None) -> str:
    """Return a number as Python writes it."""
    own = decimal_sign(shown)
    if own is None:
        if "," in shown and decimal is None:
            raise UnreadableNumberError(f"{shown} may be {shown.replace(',', '.')} or {shown.replace(',', '')}")
        own = decimal or "."
    grouping = "," if own == "." else "."
    whole, _, fraction = shown.partition(own)
    if grouping in whole and not re.fullmatch(rf"[+-]?[0-9]{{1,3}}(?:\{grouping}[0-9]{{3}})+", whole):
        raise UnreadableNumberError(f"{shown} is not a number: its digits are not in groups of three")
    if own in fraction or grouping in fraction:
        raise UnreadableNumberError(f"{shown} is not a number")
    return whole.replace(grouping, "") + (f".{fraction}" if fraction else "")
