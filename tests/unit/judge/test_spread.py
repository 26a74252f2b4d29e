"""How far launches and runs lie apart: per cell, from all cells, and before anything is known."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.judge.gates import gates
from pytest_thor.judge.history import Past, PastRun, launch_values, past_of
from pytest_thor.judge.spread import (
    CellPast,
    Spread,
    estimate_spreads,
    no_finer_than_repetitions,
    spread_of,
    stated,
    variances,
)
from pytest_thor.measurement import Samples

PRIOR = Spread(launch_sd=0.01, launch_df=4.0, run_sd=0.003, run_df=2.0)


def matrix(*, launch: float, runs: float, cells: int = 20, past_runs: int = 20, seed: int = 1) -> list[CellPast]:
    numbers = random.Random(seed)
    days = [numbers.gauss(0, runs) for _ in range(past_runs)]

    def one(level: float) -> float:
        return 40 * math.exp(level + numbers.gauss(0, launch))

    found = []
    for _ in range(cells):
        baseline: list[Samples] = [{"tg_tps": (one(days[0]),)} for _ in range(6)]
        history = [PastRun(finished_at="0", values=tuple(launch_values(taken) for taken in baseline))]
        history += [PastRun(finished_at=f"{day}", values=({"tg_tps": one(day)},) * 1) for day in days[1:]]
        found.append(CellPast(kind="decode", baseline=baseline, history=history))
    return found


def test_what_is_not_known_has_a_stated_prior() -> None:
    assert dict(estimate_spreads([])) == {}
    assert (stated("tg_tps").launch_sd, stated("tg_tps").run_sd) == pytest.approx((0.01, 0.0025))
    assert stated("ttft_ms.p99").launch_sd == pytest.approx(0.1 / 3)


def test_a_wider_threshold_tells_that_the_machine_moves_more_and_a_finer_one_quiets_nothing() -> None:
    assert stated("tg_tps", 0.15).run_sd == pytest.approx(0.0125)
    assert stated("tg_tps", 0.01).run_sd == pytest.approx(0.0025)
    (gate,) = gates("decode", {"tg_tps": 0.15})
    only_launches = Spread(launch_sd=0.02, launch_df=60, run_sd=0.003, run_df=2)
    both = Spread(launch_sd=0.02, launch_df=60, run_sd=0.003, run_df=8)
    assert spread_of(gate, "tg_tps", {"tg_tps": only_launches}).run_sd == pytest.approx(0.0125)
    assert spread_of(gate, "tg_tps", {"tg_tps": both}) == both


def test_a_machine_that_does_not_hold_still_within_a_run_is_not_taken_to_hold_still_between_runs() -> None:
    def first_runs(launch: float) -> Spread:
        return estimate_spreads(replace(cell, history=()) for cell in matrix(launch=launch, runs=0))["tg_tps"]

    assert first_runs(0.005).run_sd == first_runs(0.02).run_sd == stated("tg_tps").run_sd
    restless = first_runs(0.08)
    assert restless.run_sd == pytest.approx(math.sqrt(restless.launch_sd**2 - 0.03**2))
    assert restless.run_df == stated("tg_tps").run_df


@pytest.mark.parametrize(("launch", "runs"), [(0.004, 0.03), (0.02, 0.03), (0.004, 0.01)])
def test_both_levels_are_found_in_a_history(launch: float, runs: float) -> None:
    found = [estimate_spreads(matrix(launch=launch, runs=runs, seed=seed))["tg_tps"] for seed in range(12)]
    assert sum(spread.launch_sd for spread in found) / 12 == pytest.approx(launch, rel=0.15)
    assert sum(spread.run_sd for spread in found) / 12 == pytest.approx(runs, rel=0.3)


def test_where_runs_do_not_differ_no_spread_between_them_is_invented() -> None:
    found = [estimate_spreads(matrix(launch=0.01, runs=0, seed=seed))["tg_tps"] for seed in range(12)]
    assert sum(spread.run_sd for spread in found) / 12 < 0.005
    assert sum(spread.launch_sd for spread in found) / 12 == pytest.approx(0.01, rel=0.05)


def test_many_cells_say_no_more_of_the_runs_than_one_since_they_share_them() -> None:
    few, many = (estimate_spreads(matrix(launch=0.001, runs=0.02, cells=cells))["tg_tps"] for cells in (2, 40))
    assert many.run_df == pytest.approx(few.run_df, rel=0.3)
    assert many.run_df < 20


def test_one_lasting_change_in_the_past_does_not_blind_the_judge() -> None:
    numbers = random.Random(5)
    calm = [(math.exp(numbers.gauss(0, 0.002)),) for _ in range(10)]
    stepped = [*calm[:5], *((value * 0.7,) for (value,) in calm[5:])]
    found = []
    for values in (calm, stepped):
        runs = tuple((math.log(value),) for (value,) in values)
        found.append(math.sqrt(variances(Past(baseline=(), earlier=runs), (), PRIOR).run))
    assert found[1] < 2 * found[0] + 0.002


def test_the_moderated_variance_lies_between_the_cells_own_and_the_priors() -> None:
    # d = 3 own degrees of freedom with variance 4e-4, d0 = 4 with 1e-4: (4·1e-4 + 3·own) / 7 by hand
    own = (0.0008 + 0.0008) / 3
    found = variances(Past(baseline=(-0.02, 0.02), earlier=()), [[0.0, 0.02, 0.04]], PRIOR)
    assert found.launch_df == 7
    assert found.launch == pytest.approx((4 * 1e-4 + 3 * own) / 7)
    assert found.run == pytest.approx(9e-6)
    assert found.run_df == 2


def test_runs_that_stopped_when_they_looked_calm_do_not_tell_of_the_launches() -> None:
    past = Past(baseline=(0.0, 0.0), earlier=((0.5, 0.0, 0.0),))
    assert variances(past, (), PRIOR).launch == pytest.approx(PRIOR.launch_sd**2 * 4 / 5)


def test_alike_cells_lend_each_other_more_than_unlike_ones() -> None:
    alike = estimate_spreads(matrix(launch=0.01, runs=0))["tg_tps"]
    quiet = matrix(launch=0.001, runs=0, cells=10)
    noisy = matrix(launch=0.03, runs=0, cells=10)
    mixed = estimate_spreads([*quiet, *noisy])["tg_tps"]
    assert mixed.launch_df < 10 < alike.launch_df


@pytest.mark.parametrize(("sd", "df"), [(0, 4), (math.nan, 4), (0.01, 0), (0.01, math.inf)])
def test_a_spread_without_deviation_or_weight_is_refused(sd: float, df: float) -> None:
    with pytest.raises(ValueError, match="spread"):
        Spread(launch_sd=sd, launch_df=df, run_sd=0.01, run_df=2)


hostile = st.one_of(st.floats(), st.sampled_from([0.0, -1.0, 5e-324, 1e308]))


@given(
    baseline=st.lists(st.lists(hostile, max_size=3).map(tuple), max_size=3),
    runs=st.lists(st.lists(hostile, max_size=3), max_size=6),
)
def test_whatever_is_stored_there_is_a_spread(baseline: list[tuple[float, ...]], runs: list[list[float]]) -> None:
    cell = CellPast(
        kind="decode",
        baseline=[{"tg_tps": samples} for samples in baseline],
        history=[PastRun(finished_at="", values=tuple({"tg_tps": value} for value in run)) for run in runs],
    )
    for spread in estimate_spreads([cell, cell, cell]).values():
        assert 0 < spread.launch_sd < math.inf
        assert 0 <= spread.run_sd < math.inf


def test_the_baselines_own_run_counts_once_and_recent_runs_come_after_it() -> None:
    runs = [
        PastRun(finished_at="", values=tuple({"tg_tps": value} for value in run))
        for run in ([9.0], [10.0, 10.5], [11.0])
    ]
    past = past_of("tg_tps", [10.0, 10.5], runs)
    assert len(past.runs) == 3
    assert past.since == ((math.log(11.0),),)
    assert len(past_of("tg_tps", [12.0], runs).runs) == 4


def test_a_run_in_other_units_is_passed_over() -> None:
    runs = [PastRun(finished_at="", values=({"ttft_ms.median": value},)) for value in (0.1, 101.0)]
    assert past_of("ttft_ms.median", [100.0], runs).earlier == ((math.log(101.0),),)


def test_a_launch_has_a_value_for_every_gate_and_none_for_what_cannot_be() -> None:
    values = launch_values(
        {"tg_tps": (1.0, 2.0, 9.0), "ttft_ms": (10.0, 20.0), "load_s": (math.nan,), "mystery": (1.0,)}
    )
    assert values["tg_tps"] == 2.0
    assert values["ttft_ms.mean"] == values["ttft_ms.median"] == 15.0
    assert {key.partition(".")[0] for key in values} == {"tg_tps", "ttft_ms"}


def test_a_step_to_another_level_tells_nothing_of_the_machine() -> None:
    slow, fast = (math.log(30.0),), (math.log(40.0),)
    by_itself = Past(baseline=fast, earlier=(fast, slow, slow))
    changed = replace(by_itself, changed=frozenset({1}))
    accepted = Past(baseline=slow, earlier=(fast, slow))

    assert variances(by_itself, (), PRIOR).run > 0.005
    assert variances(changed, (), PRIOR).run <= PRIOR.run_sd**2
    assert variances(accepted, (), PRIOR).run <= PRIOR.run_sd**2
    assert changed.levels == ((fast,), (slow, slow))
    assert accepted.levels == ((fast,), (slow,))
    assert Past(baseline=slow, earlier=(fast,), changed=frozenset({0})).levels == ((slow,), (fast,))
    assert Past(baseline=slow, earlier=(fast,)).levels == ((slow, fast),)


@pytest.mark.parametrize("factor", [1.0, 1e-3])
def test_launches_lie_apart_by_what_their_repetitions_make_of_it_at_least(factor: float) -> None:
    [gate] = gates("decode", {})
    noisy = {"tg_tps": tuple(factor * math.exp(0.2 * step) for step in (-1, 0, 1, -1, 1))}
    quiet = {"tg_tps": tuple(factor * math.exp(0.004 * step) for step in (-1, 0, 1, -1, 1))}
    alone = {"tg_tps": (factor,)}

    floor = no_finer_than_repetitions(stated("tg_tps"), gate, [alone, noisy, noisy])

    assert floor.launch_sd == pytest.approx(math.sqrt(math.pi / 2) * 0.2 / math.sqrt(5))
    assert replace(floor, launch_sd=stated("tg_tps").launch_sd) == stated("tg_tps")
    assert no_finer_than_repetitions(stated("tg_tps"), gate, [quiet, quiet]) == stated("tg_tps")
    assert no_finer_than_repetitions(stated("tg_tps"), gate, [alone, {}]) == stated("tg_tps")


def test_requests_of_a_load_are_no_repetitions() -> None:
    gate = next(gate for gate in gates("serving", {}) if gate.metric.unit == "ms")
    prior = stated(gate.metric.name)

    assert no_finer_than_repetitions(prior, gate, [{gate.metric.name: (10.0, 500.0, 30.0)}] * 2) == prior
