"""Many comparisons in one run."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_thor.judge.multiplicity import FALSE_DISCOVERY_RATE, adjust
from pytest_thor.verdict import Judgement, MetricJudgement, Verdict

probabilities = st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=20)


def cell(p: float | None, verdict: Verdict = Verdict.REGRESSED) -> Judgement:
    metric = MetricJudgement(
        metric="tg_tps", unit="tok/s", better="higher", verdict=verdict, reason="It fell", p_value=p
    )
    return Judgement(verdict=verdict, reason="", metrics=(metric,), title="cell", footing="Judged.")


def q_of(judgement: Judgement) -> float:
    q = judgement.metrics[0].q_value
    assert q is not None
    return q


@given(p_values=probabilities)
def test_q_values_are_benjamini_and_hochbergs(p_values: list[float]) -> None:
    found = adjust(dict(enumerate(map(cell, p_values))), planned=0)
    expected = stats.false_discovery_control(p_values)
    assert [q_of(judgement) for judgement in found.values()] == pytest.approx(list(expected), abs=1e-12)


@given(p_values=probabilities, unseen=st.integers(0, 30))
def test_comparisons_not_seen_yet_count_as_none(p_values: list[float], unseen: int) -> None:
    found = adjust(dict(enumerate(map(cell, p_values))), planned=len(p_values) + unseen)
    expected = stats.false_discovery_control([*p_values, *[1.0] * unseen])
    assert [q_of(judgement) for judgement in found.values()] == pytest.approx(
        list(expected[: len(p_values)]), abs=1e-12
    )


@given(p_values=probabilities, more=probabilities)
def test_what_once_regressed_stays_so_when_other_cells_are_added(p_values: list[float], more: list[float]) -> None:
    planned = len(p_values) + len(more)
    early = adjust(dict(enumerate(map(cell, p_values))), planned=planned)
    late = adjust({**early, **{("late", place): cell(p) for place, p in enumerate(more)}}, planned=planned)
    for key, judgement in early.items():
        assert judgement.verdict is not Verdict.REGRESSED or late[key].verdict is Verdict.REGRESSED


@given(p_values=probabilities)
def test_adjusting_twice_is_adjusting_once(p_values: list[float]) -> None:
    once = adjust(dict(enumerate(map(cell, p_values))), planned=30)
    assert adjust(once, planned=30) == once


@given(p_values=probabilities, seed=st.randoms(use_true_random=False))
def test_the_order_of_cells_does_not_matter(p_values: list[float], seed: random.Random) -> None:
    cells = list(enumerate(map(cell, p_values)))
    shuffled = list(cells)
    seed.shuffle(shuffled)
    assert adjust(dict(shuffled), planned=25) == adjust(dict(cells), planned=25)


def test_what_does_not_count_among_so_many_becomes_inconclusive_and_says_why() -> None:
    found = adjust({"a": cell(0.008)}, planned=12)["a"]
    assert found.verdict is Verdict.INCONCLUSIVE
    assert q_of(found) == pytest.approx(0.096)
    assert "q 0.096 among the 12 comparisons of this run, too uncertain among so many" in found.reason
    assert found.by_itself == cell(0.008)


def test_what_counts_shows_its_q_value() -> None:
    found = adjust({"a": cell(0.001)}, planned=12)["a"]
    assert found.verdict is Verdict.REGRESSED
    assert q_of(found) <= FALSE_DISCOVERY_RATE
    assert found.reason == "cell regressed. It fell, q 0.012 among the 12 comparisons of this run. Judged."


@pytest.mark.parametrize("verdict", [Verdict.INVALID, Verdict.INCOMPARABLE, Verdict.NO_BASELINE])
def test_what_was_not_compared_is_left_alone_and_not_counted(verdict: Verdict) -> None:
    found = adjust({"a": cell(None, verdict), "b": cell(0.04, Verdict.INCONCLUSIVE)}, planned=1)
    assert found["a"] == cell(None, verdict)
    assert q_of(found["b"]) == pytest.approx(0.04)
