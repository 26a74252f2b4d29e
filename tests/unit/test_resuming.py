"""Which launches of an earlier run count again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.journal import Entry
from pytest_thor.measurement import EngineBuild, Launch
from pytest_thor.resuming import is_sound, last_number, taken_over

ENGINE = EngineBuild(name="llama-bench", path="/b")


def entry(number: int, *, doubt: str = "", name: str = "") -> Entry:
    launch = Launch(started_at=name, duration_s=1.0, engine=ENGINE, doubts=(doubt,) if doubt else ())
    return Entry(number=number, launch=launch)


def test_every_sound_launch_counts_in_its_order() -> None:
    own = [entry(1, name="a"), entry(2, name="b", doubt="hot"), entry(3, name="c")]
    assert taken_over(own, None, counts=is_sound) == [(own[0].launch, None), (own[2].launch, None)]


def test_a_pair_counts_where_both_do() -> None:
    own = [entry(1, name="a"), entry(2, name="b"), entry(3, name="c"), entry(4, name="d", doubt="hot")]
    beside = [entry(1, name="A"), entry(3, name="C", doubt="hot"), entry(4, name="D"), entry(5, name="E")]
    assert taken_over(own, beside, counts=is_sound) == [(own[0].launch, beside[0].launch)]


@given(own=st.sets(st.integers(1, 9)), beside=st.sets(st.integers(1, 9)))
def test_launches_of_different_numbers_are_no_pair(own: set[int], beside: set[int]) -> None:
    pairs = taken_over(
        [entry(number, name=f"own {number}") for number in sorted(own)],
        [entry(number, name=f"beside {number}") for number in sorted(beside)],
        counts=is_sound,
    )
    told = [(launch.started_at, rival.started_at if rival else None) for launch, rival in pairs]
    assert told == [(f"own {number}", f"beside {number}") for number in sorted(own & beside)]


def test_numbers_go_on_behind_those_that_do_not_count() -> None:
    assert last_number([entry(1), entry(4, doubt="hot")], [entry(5)]) == 5
    assert last_number([], ()) == 0


@pytest.mark.parametrize(
    ("changes", "sound"),
    [
        ({}, True),
        ({"failure": "it crashed"}, False),
        ({"doubts": ("3 of 12 requests failed",)}, False),
        ({"samples": {"tg_tps": (40.0, 1e12)}}, False),
        ({"samples": {"tg_tps": (40.0, float("nan"))}}, False),
        ({"samples": {"tg_tps": (40.0, 41.0), "itl_ms": (0.0,)}}, True),
    ],
)
def test_a_launch_is_sound_where_nothing_speaks_against_it(changes: dict[str, Any], *, sound: bool) -> None:
    assert is_sound(replace(entry(1).launch, **changes)) == sound
