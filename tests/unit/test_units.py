"""Quantities as people write and read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor import units


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(90, 90), ("90", 90), ("90s", 90), ("250ms", 0.25), ("30m", 1800), ("1.5h", 5400), ("2 d", 172800)],
)
def test_a_duration_is_read(text: str | float, seconds: float) -> None:
    assert units.parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "0", "-5s", "1:30", "ten", "5 weeks", "nan", "1e3"])
def test_what_is_not_a_duration_is_refused_with_advice(text: str) -> None:
    with pytest.raises(ValueError, match="write seconds, or a number with ms, s, m, h or d"):
        units.parse_duration(text)


@pytest.mark.parametrize(("text", "fraction"), [("3%", 0.03), ("2.5 %", 0.025), (0.03, 0.03)])
def test_a_percentage_is_read(text: str | float, fraction: float) -> None:
    assert units.parse_percent(text) == pytest.approx(fraction)


@pytest.mark.parametrize("text", ["3", "0%", "100%", "-3%", 3, 0, 1.0, float("nan"), "three %"])
def test_what_is_not_a_percentage_is_refused_with_advice(text: str | float) -> None:
    with pytest.raises(ValueError, match=r"write 3% or 0\.03"):
        units.parse_percent(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1256.9, "1257"), (40.07, "40.07"), (0.061239, "0.06124"), (0, "0"), (123456.7, "123457"), (float("inf"), "inf")],
)
def test_four_digits_are_shown_and_never_an_exponent(value: float, text: str) -> None:
    assert units.format_significant(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (40.07, "tok/s", "40.07 tok/s"),
        (0.001453, "nat", "0.001453 nat"),
        (0.000021, "nat", "0.000021 nat"),
        (0, "nat", "0 nat"),
    ],
)
def test_a_quantity_has_no_more_decimals_than_its_source_prints(value: float, unit: str, text: str) -> None:
    assert units.format_quantity(value, unit) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (512, "512 B"), (1024, "1.00 KiB"), (5.02e9, "4.68 GiB"), (2**60, "1048576.00 TiB")],
)
def test_bytes_are_shown_in_binary_units(value: float, text: str) -> None:
    assert units.format_bytes(value) == text


@pytest.mark.parametrize(
    ("fraction", "signed", "text"),
    [
        (0.03, False, "3.0 %"),
        (-0.124, True, "-12.4 %"),
        (0.0042, False, "0.42 %"),
        (0.05, True, "+5.0 %"),
        (-1e-9, True, "0.0 %"),
        (0.0, True, "0.0 %"),
        (0.00999, True, "+1.0 %"),
    ],
)
def test_a_fraction_is_shown_as_a_percentage(fraction: float, signed: bool, text: str) -> None:
    assert units.format_percent(fraction, signed=signed) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.4 s"), (12.4, "12 s"), (185, "3 min 05 s"), (7620, "2 h 07 min")],
)
def test_a_duration_is_shown_as_a_clock_would(seconds: float, text: str) -> None:
    assert units.format_duration(seconds) == text


@given(st.floats(min_value=1e-6, max_value=1e9))
def test_a_shown_figure_is_within_its_last_digit_of_the_true_one(value: float) -> None:
    assert float(units.format_significant(value)) == pytest.approx(value, rel=6e-4)


@given(st.floats(min_value=0.0001, max_value=0.9999))
def test_a_shown_percentage_is_near_the_true_one(fraction: float) -> None:
    assert float(units.format_percent(fraction).removesuffix(" %")) == pytest.approx(fraction * 100, abs=0.0501)
