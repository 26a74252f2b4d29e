"""What YAML 1.1 makes of an unquoted scalar, and what of that is refused because nobody means it."""

from __future__ import annotations

import re

from pytest_thor.cell import Scalar

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEAN = {
    spelling: value
    for word, value in {"y": True, "yes": True, "on": True, "true": True, "n": False, "no": False, "off": False,
                        "false": False}.items()
    for spelling in (word, word.capitalize(), word.upper())
}  # fmt: skip
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
_OTHER_BASE = re.compile(r"[-+]?0(?:b[01_]+|x[0-9a-fA-F_]+|o[0-7_]+)")
_UNDERSCORES = re.compile(r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_EXPONENT = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9].*)?")
_LONGEST_NUMBER = 18


class Surprise(ValueError):  # noqa: N818 - it reads as what it is
    """An unquoted scalar that YAML 1.1 reads as something else than it looks; the message advises."""


def resolve(text: str) -> Scalar:
    """Return the value of an unquoted scalar: YAML 1.1's booleans, decimal numbers, null, or the text itself.

    Raises:
        Surprise: it looks like one thing and is another.
    """
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if not (text[0] in "-+." or text[0].isdecimal()):
        return text
    if _INTEGER.fullmatch(text) and len(text) <= _LONGEST_NUMBER:
        return int(text)
    if _FLOAT.fullmatch(text) and abs(float(text)) < 1e300:
        return float(text)
    _refuse(text)
    return text


def _refuse(text: str) -> None:
    """Raise where a scalar that begins like a number is a trap."""
    quoted = f'quote it ("{text}") if it is text'
    if _INTEGER.fullmatch(text) or _FLOAT.fullmatch(text):
        raise Surprise(f"the number {_short(text)} is far too large; quote it if it is text")
    if _NOT_FINITE.fullmatch(text):
        raise Surprise(f"{text} is not a finite number; {quoted}")
    if _EXPONENT.fullmatch(text):
        raise Surprise(f"{_short(text)} is text to YAML 1.1, not a number: write {_spelled_out(text)}, or {quoted}")
    if _LEADING_ZERO.fullmatch(text):
        decimal = text.replace("_", "").lstrip("+-0") or "0"
        raise Surprise(
            f"{_short(text)} has a leading zero, which makes it octal to YAML 1.1: write {_short(decimal)} for the "
            f"number, or {quoted}"
        )
    if _OTHER_BASE.fullmatch(text):
        raise Surprise(f"{_short(text)} is not a decimal number: write it in decimal, or {quoted}")
    if _SEXAGESIMAL.fullmatch(text):
        raise Surprise(
            f"{_short(text)} is a number in base 60 to YAML 1.1: write a plain number (a duration as 90s or 30m), "
            f"or {quoted}"
        )
    if "_" in text and _UNDERSCORES.fullmatch(text):
        plain = text.replace("_", "")
        raise Surprise(f"{_short(text)} is the number {_short(plain)} to YAML 1.1: write {_short(plain)}, or {quoted}")
    if _DATE.fullmatch(text):
        raise Surprise(f'{_short(text)} is a date to YAML 1.1, and a matrix has none: quote it ("{text}")')


def _spelled_out(text: str) -> str:
    number = float(text)
    if abs(number) >= 1e15:
        return f"the number with a point and a signed exponent ({_signed(text)})"
    whole = str(int(number)) if number == int(number) else f"{number:.12f}".rstrip("0")
    return f"{whole} or {_signed(text)}"


def _signed(text: str) -> str:
    mantissa, exponent = re.split("[eE]", text)
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{exponent if exponent[0] in '+-' else '+' + exponent}"


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}…"
