"""``--thor-list=github``: one line for ``fromJSON``, whose jobs together run every selected cell once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_thor.baseline.history import StoredRun, append_named
from tests.plugin.project import TWO_MODELS


@pytest.fixture(autouse=True)
def project(pytester: pytest.Pytester) -> None:
    (pytester.path / "two.yaml").write_text(TWO_MODELS, encoding="utf-8")


def listed(pytester: pytest.Pytester, *arguments: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "pytest", "--thor-matrix", "two.yaml", "--thor-list=github", *arguments]
    done = subprocess.run(command, cwd=pytester.path, capture_output=True, check=False)
    assert done.stdout.count(b"\n") == 1
    assert done.stdout.isascii()
    assert done.stderr == b""
    matrix = json.loads(done.stdout)
    assert list(matrix) == ["include"]
    include: list[dict[str, Any]] = matrix["include"]
    return include


def run_by(pytester: pytest.Pytester, argv: list[str]) -> list[str]:
    result = pytester.runpytest("--thor-matrix", "two.yaml", "--collect-only", "-q", *argv)
    return [line.rpartition("[")[2].rstrip("]") for line in result.outlines if "::" in line]


def test_a_job_per_model_by_default(pytester: pytest.Pytester) -> None:
    jobs = listed(pytester)

    assert [(job["name"], job["cells"], job["expected_s"]) for job in jobs] == [("alpha", 8, None), ("beta", 4, None)]
    assert jobs[0]["args"] == "-m thor_cell(model='alpha')"
    assert run_by(pytester, jobs[1]["argv"]) == [
        f"beta-Q8_0-{backend}-{workload}" for backend in ("llama.cpp", "in-process") for workload in ("pp64", "tg8")
    ]


@pytest.mark.parametrize("selection", [[], ["-k", "tg8"], ["-m", "thor_cell(quant='Q8_0')"]], ids=" ".join)
def test_shards_together_run_what_was_selected(pytester: pytest.Pytester, selection: list[str]) -> None:
    jobs = listed(pytester, "--thor-shards", "3", *selection)

    assert [job["name"] for job in jobs] == ["1-of-3", "2-of-3", "3-of-3"]
    ran = [cell for job in jobs for cell in run_by(pytester, job["argv"])]
    assert sorted(ran) == sorted(run_by(pytester, selection))


def test_the_number_of_shards_may_stand_in_the_ini_file(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nthor_shards = 2\n")
    assert [job["cells"] for job in listed(pytester)] == [6, 6]


def test_nothing_selected_is_an_empty_matrix(pytester: pytest.Pytester) -> None:
    assert listed(pytester, "-k", "nothing_of_the_kind") == []


def keep(store: Path, device: str, *models: tuple[str, str], tg_tps: float) -> None:
    run = StoredRun(
        finished_at="2026-01-01T00:00:00+00:00",
        verdict="unchanged",
        version=None,
        commit=None,
        conditions="x",
        values=({"tg_tps": tg_tps},) * 4,
    )
    for model, quant in models:
        words = {"matrix": "two", "model": model, "quant": quant, "backend": "llama.cpp", "workload": "tg8"}
        append_named(store, device, words, run)


def test_history_tells_how_long_and_of_several_devices_the_one_with_most_cells(pytester: pytest.Pytester) -> None:
    models = [("alpha", "Q4_K_M"), ("alpha", "Q8_0"), ("beta", "Q8_0")]
    keep(pytester.path / "baselines", "slow", *models[:1], tg_tps=1.0)
    keep(pytester.path / "baselines", "fast", *models, tg_tps=8.0)
    selected = ("-k", "llama.cpp and tg8")

    # Four launches, each 15 s to start and 5 repetitions and one to warm up, of 8 tokens at 8 a second.
    assert [(job["name"], job["cells"], job["expected_s"]) for job in listed(pytester, *selected)] == [
        ("alpha", 2, 2 * 4 * (15 + 6)),
        ("beta", 1, 4 * (15 + 6)),
    ]
    assert [job["cells"] for job in listed(pytester, *selected, "--thor-shards=2")] == [2, 1]
    [whole] = listed(pytester, "--thor-shards=1")
    assert (whole["cells"], whole["expected_s"] > 3 * 4 * (15 + 6)) == (12, True)


@pytest.mark.parametrize("number", ["0", "-1", "many", "257", "1.5", ""])
def test_a_number_of_shards_that_makes_no_sense_is_refused(pytester: pytest.Pytester, number: str) -> None:
    result = pytester.runpytest("--thor-matrix", "two.yaml", "--thor-list=github", f"--thor-shards={number}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--thor-shards {number}: expected how many jobs, 1 to 256*"])
