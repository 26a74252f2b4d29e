"""What this llama-bench prints today, in every format that it has, read as published results."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pytest_thor.engines.llama_bench import LlamaBench
from pytest_thor.published.read import read

pytestmark = pytest.mark.engine

OPTIONS = ("-p", "16", "-n", "4", "-pg", "8,4", "-d", "0,16", "-r", "2", "-t", "2")
ASKED = [
    {"n_prompt": 16, "n_depth": 0},
    {"n_gen": 4, "n_depth": 0},
    {"n_prompt": 8, "n_gen": 4, "n_depth": 0},
    {"n_prompt": 16, "n_depth": 16},
    {"n_gen": 4, "n_depth": 16},
    {"n_prompt": 8, "n_gen": 4, "n_depth": 16},
]


@pytest.mark.parametrize("form", ["md", "csv", "json", "jsonl", "sql"])
def test_nothing_of_its_output_is_lost(form: str, llama_bench: LlamaBench, tiny_model: Path) -> None:
    build = llama_bench.identify()
    done = subprocess.run(
        [build.path, "-m", str(tiny_model), "-o", form, *OPTIONS],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )

    reading = read(done.stdout, name="llama-bench")

    assert reading.unread == ()
    assert [dict(result.workload) for result in reading.results] == ASKED
    assert {result.quant for result in reading.results} == {"F16"}
    (named,) = {result.build for result in reading.results}
    assert named
    assert named.startswith(f"{build.commit} (")
    for result in reading.results:
        (speed,) = (figure for figure in result.metrics.values() if figure.unit == "tok/s")
        assert speed.value > 0
        assert speed.spread is not None
