"""How often the judge is wrong over repeated looks; benchmarks/judge_simulation.py prints the whole table."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from pytest_thor.verdict import Verdict

SIMULATION = Path(__file__).parents[3] / "benchmarks" / "judge_simulation.py"


@pytest.fixture(scope="module")
def simulate() -> Any:
    return runpy.run_path(str(SIMULATION))["simulate"]


def rates(simulate: Any, change: float, between: float = 0.01) -> Any:
    return simulate(between=between, change=change, runs=600, seed=3, baseline_launches=5, minimum=3, maximum=5)


def test_an_unchanged_cell_is_seldom_called_regressed(simulate: Any) -> None:
    found = rates(simulate, 0.0)
    assert found.shares[Verdict.REGRESSED] <= 0.02
    assert found.shares[Verdict.UNCHANGED] >= 0.90
    assert found.mean_launches <= 3.5


def test_a_slowdown_of_five_percent_is_caught(simulate: Any) -> None:
    found = rates(simulate, -0.05)
    assert found.shares[Verdict.REGRESSED] >= 0.98
    assert found.shares[Verdict.UNCHANGED] == 0


def test_under_twice_the_noise_doubt_is_said_and_not_passed(simulate: Any) -> None:
    found = rates(simulate, -0.05, between=0.02)
    assert found.shares[Verdict.UNCHANGED] <= 0.01
    assert found.shares[Verdict.REGRESSED] >= 0.80
