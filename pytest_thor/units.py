"""The only place that formats, parses or rounds a quantity.

Everything inside pytest-thor is kept in the unit that its name ends in, unrounded; people see it through here. What
other programs wrote, in their units and their locale, is read in ``published/``.
"""

from __future__ import annotations

import math
import re

_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|min|h|d)?")
_SECONDS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_PERCENT = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*%")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB")
_LAST_DECIMAL = {"nat": 6}
"""How many decimals a unit's source prints; more would be digits that nobody measured."""


def parse_duration(text: str | float) -> float:
    """Return the seconds that ``90``, ``90s``, ``30m``, ``1.5h`` or ``2d`` mean.

    Raises:
        ValueError: it is not a positive duration.
    """
    match = _DURATION.fullmatch(str(text).strip())
    seconds = float(match["number"]) * _SECONDS[match["unit"]] if match else 0.0
    if seconds <= 0:
        raise ValueError(f"{text!r} is not a duration: write seconds, or a number with ms, s, m, h or d (30m)")
    return seconds


def parse_percent(text: str | float) -> float:
    """Return the fraction that ``3%``, ``"2.5 %"`` or ``0.03`` means.

    Raises:
        ValueError: it is not a percentage above 0 % and below 100 %.
    """
    if isinstance(text, str):
        match = _PERCENT.fullmatch(text.strip())
        fraction = float(match["number"]) / 100 if match else math.nan
    else:
        fraction = float(text)
    if not 0 < fraction < 1:
        raise ValueError(f"{text!r} is not a percentage between 0 % and 100 %: write 3% or 0.03")
    return fraction


def format_significant(value: float, digits: int = 4) -> str:
    """Return ``value`` with so many significant digits, without an exponent: 1257, 40.07, 0.06124."""
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    if decimals <= 0:
        return str(round(value))
    return f"{value:.{decimals}f}"


def format_quantity(value: float, unit: str) -> str:
    """Return a value with its unit as people read it; bytes become KiB, MiB, GiB."""
    if unit == "B":
        return format_bytes(value)
    text = format_significant(value)
    last = _LAST_DECIMAL.get(unit)
    if last is not None and len(text.partition(".")[2]) > last:
        text = f"{value:.{last}f}"
    return f"{text} {unit}"


def format_rate(value: float) -> str:
    """Return tokens per second: ``40.07 tok/s``."""
    return format_quantity(value, "tok/s")


def format_bytes(value: float) -> str:
    """Return a size in binary units: ``4.68 GiB``."""
    if not math.isfinite(value):
        return str(value)
    power = min(max(int(math.log2(abs(value)) // 10), 0), len(_BINARY) - 1) if value else 0
    return f"{value:.0f} B" if power == 0 else f"{value / 1024**power:.2f} {_BINARY[power]}"


def format_percent(fraction: float, *, signed: bool = False) -> str:
    """Return a fraction as a percentage with one decimal (two below 1 %): ``3.0 %``, ``-12.4 %``, ``0.42 %``."""
    percent = fraction * 100
    decimals = 2 if 0.005 <= abs(percent) < 0.995 else 1
    text = f"{percent:{'+' if signed else ''}.{decimals}f} %"
    return text.replace("-0.0 %", "0.0 %").replace("+0.0 %", "0.0 %")


def format_duration(seconds: float) -> str:
    """Return a duration as a clock would: ``0.4 s``, ``12 s``, ``3 min 05 s``, ``2 h 07 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def counted(number: int, one: str) -> str:
    """Return a number with its noun: ``1 cell``, ``3 cells``."""
    return f"{number} {one}" if number == 1 else f"{number} {one}s"
