"""How often the judge is wrong over repeated looks; benchmarks/judge_simulation.py prints the whole tables."""

from __future__ import annotations

import pytest

from benchmarks.judge_simulation import Rates, simulate
from benchmarks.judge_world import METRIC, Noise, Rule
from pytest_thor.judge.spread import Spread
from pytest_thor.verdict import Verdict

RULE = Rule(minimum=1, maximum=8)


@pytest.fixture(scope="module")
def usual() -> dict[float, Rates]:
    return dict(simulate(Noise(between=0.01), rule=RULE, runs=8, worlds=10, seed=3))


@pytest.fixture(scope="module")
def noisy() -> dict[float, Rates]:
    return dict(simulate(Noise(between=0.02), rule=RULE, runs=6, worlds=6, seed=3))


def test_an_unchanged_cell_is_seldom_called_regressed_and_soon_done(usual: dict[float, Rates]) -> None:
    found = usual[0.0]
    assert found.shares[Verdict.REGRESSED] <= 0.02
    assert found.shares[Verdict.UNCHANGED] >= 0.90
    assert found.mean_launches <= 2.2


def test_a_slowdown_of_five_percent_is_caught(usual: dict[float, Rates]) -> None:
    assert usual[-0.05].shares[Verdict.REGRESSED] >= 0.97
    assert usual[-0.05].shares[Verdict.UNCHANGED] == 0


def test_under_twice_the_noise_doubt_is_said_and_not_passed(noisy: dict[float, Rates]) -> None:
    assert noisy[-0.05].shares[Verdict.UNCHANGED] <= 0.02
    assert noisy[-0.05].shares[Verdict.REGRESSED] >= 0.80
    assert noisy[0.0].shares[Verdict.REGRESSED] <= 0.03


def test_a_machine_that_drifts_between_runs_raises_no_alarm_once_that_is_known() -> None:
    drifting = Noise(between=0.005, runs=0.02)
    blind = {METRIC: Spread(launch_sd=0.0055, launch_df=50.0, run_sd=0.0, run_df=1e6)}
    knowing = dict(simulate(drifting, rule=RULE, runs=8, worlds=8, seed=3))[0.0]
    unaware = dict(simulate(drifting, rule=RULE, runs=0, worlds=8, seed=3, known=blind))[0.0]
    assert knowing.shares[Verdict.REGRESSED] <= 0.03
    assert unaware.shares[Verdict.REGRESSED] >= 0.05
