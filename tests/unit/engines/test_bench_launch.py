"""A program that floods what llama-bench writes: notes are counted, and a number without end is no progress."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from pytest_thor.engines.bench_launch import Order, measure
from pytest_thor.engines.bench_rows import test_of as asked_of
from pytest_thor.measurement import EngineBuild, Launch

if TYPE_CHECKING:
    from tests.unit.engines.conftest import MakeCell


def launch_of(script: str, make_cell: MakeCell) -> Launch:
    cell = make_cell("prefill", 512)
    order = Order(
        command=(sys.executable, "-S", "-c", script),
        tests={asked_of(cell): [cell]},
        build=EngineBuild(name="llama-bench", path="/b", version="b7"),
        timeout_s=60,
    )
    [(_, launch)] = measure(order, lambda _: None)
    return launch


@pytest.mark.timeout(60)
@pytest.mark.parametrize("line", ['{"n_prompt": ', '{"n_prompt": 1, "n_gen": 0}'])
def test_a_flood_of_rows_that_nobody_can_use_leaves_a_hundred_notes(line: str, make_cell: MakeCell) -> None:
    launch = launch_of(f"print({line + chr(10)!r} * 3000)", make_cell)

    assert launch.failure is not None
    assert "gave no row for pp512" in launch.failure
    assert len(launch.failure) < 2000
    assert len(launch.evidence["notes"]) == 100


@pytest.mark.parametrize("number", ["9" * 5000, "0"])
def test_a_step_that_none_has_is_no_progress(number: str, make_cell: MakeCell) -> None:
    script = f"import sys; print('llama-bench: benchmark {number}/1: warmup', file=sys.stderr); sys.exit(3)"
    launch = launch_of(script, make_cell)

    assert launch.failure is not None
    assert launch.failure.startswith("llama-bench ended with exit status 3 (last step: start)")
