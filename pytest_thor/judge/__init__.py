"""What the numbers say: pure functions, so that the same launches get the same verdict anywhere."""

from __future__ import annotations

from pytest_thor.judge.compare import compare
from pytest_thor.judge.describe import Description, describe
from pytest_thor.judge.judgement import incomparable, judge_cell
from pytest_thor.judge.policy import Outcome, needs_another_launch, outcome
from pytest_thor.judge.statistics import Prior

__all__ = [
    "Description",
    "Outcome",
    "Prior",
    "compare",
    "describe",
    "incomparable",
    "judge_cell",
    "needs_another_launch",
    "outcome",
]
