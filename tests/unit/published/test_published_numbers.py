"""Figures as other countries and other programs write them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.published.numbers import (
    UnreadableNumberError,
    number,
    parameter_count,
    size_bytes,
    with_spread,
)


@pytest.mark.parametrize(
    "written",
    [
        *("1256.90", "1256,90", "1.256,90", "1,256.90", "1 256,90", "1\u00a0256,90", "1\u202f256.90", "1'256.90"),
        *("1’256,90", "1256.9", " 1256.90 ", "１２５６.９０", "1.2569e3", "+1256.90"),
    ],
)
def test_one_number_in_every_spelling(written: str) -> None:
    assert number(written) == 1256.9


@pytest.mark.parametrize(
    ("written", "value"), [("0,5", 0.5), ("0.125", 0.125), ("1,234,567", 1234567), ("0,125", 0.125)]
)
def test_a_separator_with_one_meaning_is_read(written: str, value: float) -> None:
    assert number(written) == value


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("1,256", "1,256 may be 1.256 or 1256"),
        ("nan", "nan is not a number"),
        ("-nan(ind)", "-nan(ind) is not a number"),
        ("inf", "inf is not a number"),
        ("1e999", "1e999 is not finite"),
        ("-4.5", "-4.5 is negative"),
        ("−4.5", "-4.5 is negative"),
        ("12.34.56", "its digits are not in groups of three"),
        ("", "'' is not a number"),
        ("1.2.", "'1.2.' is not a number"),
        ("1_2", "'1_2' is not a number"),
        ("0x10", "is not a number"),
        ("7" * 100, "is too long for a number"),
    ],
)
def test_what_is_no_number_or_two_says_why(written: str, reason: str) -> None:
    with pytest.raises(UnreadableNumberError) as caught:
        number(written)

    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "written",
    [
        "533.06 ± 7.20",
        "533,06 ± 7,20",
        "533.06±7.20",
        "533.06 Â± 7.20",
        "533.06 ┬▒ 7.20",
        "533.06 � 7.20",
        "533.06 +- 7.20",
    ],
)
def test_a_mean_with_its_deviation_survives_locales_and_code_pages(written: str) -> None:
    assert with_spread(written) == (533.06, 7.2)


def test_a_neighbour_with_one_meaning_decides_what_has_two() -> None:
    assert with_spread("1,256 ± 0.40") == (1256, 0.4)
    assert with_spread("1,256 ± 0,40") == (1.256, 0.4)
    assert with_spread("1.256 ± 0,40") == (1256, 0.4)


@pytest.mark.parametrize("written", ["1 ± 2 ± 3", "± 3", "3 ±", "5 ± -1", "5 ± nan", "1,256 ± 2"])
def test_a_broken_deviation_spoils_the_figure(written: str) -> None:
    with pytest.raises(UnreadableNumberError):
        with_spread(written)


@given(value=st.floats(min_value=0, max_value=1e12), decimals=st.integers(min_value=1, max_value=2))
def test_every_number_is_read_back_in_either_locale(value: float, decimals: int) -> None:
    english = f"{value:,.{decimals}f}"
    german = english.translate(str.maketrans(",.", ".,"))

    assert number(english) == number(german) == float(f"{value:.{decimals}f}")


@given(text=st.text(max_size=80))
def test_any_text_is_a_finite_number_or_is_refused(text: str) -> None:
    for read in (number, size_bytes, parameter_count):
        try:
            value = read(text)
        except UnreadableNumberError:
            continue
        assert math.isfinite(value)
        assert value >= 0


def test_sizes_are_binary_or_decimal_by_their_unit() -> None:
    assert size_bytes("4.00 GiB") == 4 * 2**30
    assert size_bytes("61.10GB") == 61_100_000_000
    assert size_bytes("751,5 MiB") == 788_004_864
    assert parameter_count("751.63 M") == 751_630_000
    assert parameter_count("8.19 B") == 8_190_000_000


@pytest.mark.parametrize("written", ["4.00", "4.00 GHz", "GiB", "4 GiB GiB"])
def test_a_size_without_its_unit_is_refused(written: str) -> None:
    with pytest.raises(UnreadableNumberError):
        size_bytes(written)
