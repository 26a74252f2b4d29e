"""The seat that a worker's machine tells, whatever else is printed there."""

from __future__ import annotations

import pytest

from pytest_thor.errors import DeviceError
from pytest_thor.seat import Seat, told_seat

TOLD = '{"slug": "jetson-agx-thor", "key": "[1]", "part": ""}'


@pytest.mark.parametrize("before", ["", "Welcome to thor-7!\n", "{}\n\n"])
def test_a_seat_is_read_behind_what_an_interpreter_prints_at_its_start(before: str) -> None:
    assert told_seat(f"{before}{TOLD}\n") == Seat(slug="jetson-agx-thor", key="[1]", part="")


def test_why_there_is_none_is_told() -> None:
    with pytest.raises(DeviceError, match=r"^no such part$"):
        told_seat('{"error": "no such part"}')


@pytest.mark.parametrize("text", ["", "Welcome", "[]", "null", "7", '"error"', "{}", '{"slug": "a"}', "[" * 100_000])
def test_what_is_no_seat_is_named(text: str) -> None:
    with pytest.raises(DeviceError, match="cannot be told from"):
        told_seat(text)
