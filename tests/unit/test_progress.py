"""What is told of a run while it goes on."""

from __future__ import annotations

import pytest

from pytest_thor.engines.base import Progress
from pytest_thor.measurement import EngineBuild, Launch
from pytest_thor.pace import Pace
from pytest_thor.progress import Reporter, Status
from tests.cells import build_cell

HOSTILE = "\x1b]0;mine\x07 loads\r\n::error::mine \u202e##[error]x"
CELL = build_cell()


@pytest.fixture
def told() -> list[Status]:
    return []


@pytest.fixture
def reporter(told: list[Status]) -> Reporter:
    return Reporter(told.append, Pace(None))


def test_a_step_is_one_line_that_no_terminal_obeys(reporter: Reporter, told: list[Status]) -> None:
    failed = Launch(
        started_at="2026-01-01T00:00:00+00:00",
        duration_s=1.0,
        engine=EngineBuild(name="llama-bench", path=""),
        samples={},
        failure=HOSTILE,
    )

    reporter.prepares(CELL, HOSTILE)
    reporter.advances(Progress(cell=CELL, step=HOSTILE), launch=1)
    reporter.finishes(CELL, failed, number=1, is_reference=False)

    assert [status.step for status in told] == ["loads ::error::mine \N{REPLACEMENT CHARACTER}##\\[error]x"] * 3
