"""Huge, deep and wide contents: each reader is done with them in the memory that ``sizes.py`` names."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable

import pytest

from pytest_thor import foreign_json
from pytest_thor.artifacts.program import run_program
from pytest_thor.engines.process import run, run_briefly
from tests.fuzz.sizes import CASES, MIB

_FLOOD = "import sys; [sys.stdout.write('x' * 1000000) for _ in range({})]"


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    done = subprocess.run([sys.executable, "-m", "tests.fuzz.sizes"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_a_reader_stays_within_its_memory(name: str, outcomes: dict[str, str]) -> None:
    assert outcomes[name] == "within"


def _peak_of(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.timeout(60)
def test_a_line_of_a_hundred_megabytes_on_an_engines_output() -> None:
    command = [sys.executable, "-S", "-c", _FLOOD.format(100)]

    assert _peak_of(lambda: list(run(command, timeout_s=50))) < 8 * MIB
    assert _peak_of(lambda: run_briefly(command)) < 8 * MIB


@pytest.mark.timeout(60)
def test_a_line_of_megabytes_on_a_converters_output() -> None:
    lines: list[int] = []

    def work() -> None:
        ended = run_program(
            [sys.executable, "-S", "-c", _FLOOD.format(2)], on_line=lambda line: lines.append(len(line))
        )
        assert ended.status == 0

    assert _peak_of(work) < MIB
    assert lines == [500] * 31


def test_more_objects_than_anything_has_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 2000000 objects and lists"):
        foreign_json.parse("[" + "{}," * 2_000_000 + "{}]")
    assert foreign_json.parse("[" + "{}," * 10 + "{}]") == [{}] * 11
