"""The main job with nothing faked: a matrix, real engines, a model made on the spot."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import pytest

from pytest_thor.report.document import ReportDocument

pytestmark = pytest.mark.engine

Run: TypeAlias = Callable[..., tuple[pytest.RunResult, ReportDocument]]

MATRIX = """\
name: real
models:
  tiny: {synthetic: qwen3-tiny, quants: [F16, Q4_K_M]}
backends:
  llama.cpp: {engine: llama-bench, settings: {threads: 1}}
  in-process: {engine: llama-cpp-python, settings: {threads: 1}}
workloads:
  pp64: {kind: prefill, n_prompt: 64, repetitions: 2}
  tg8: {kind: decode, n_gen: 8, repetitions: 2}
  tg4@32: {kind: decode, n_gen: 4, n_depth: 32, repetitions: 2}
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("THOR_CACHE", str(pytester.path / "cache"))
    (pytester.path / "pyproject.toml").write_text("")
    (pytester.path / "real.yaml").write_text(MATRIX)

    def run(*arguments: str) -> tuple[pytest.RunResult, ReportDocument]:
        result = pytester.runpytest_subprocess("--thor-matrix", "real.yaml", *arguments)
        report = json.loads(Path(pytester.path, "thor-report", "report.json").read_text())
        return result, ReportDocument.model_validate(report)

    return run


def test_every_cell_is_measured_stored_and_judged(run: Run, pytester: pytest.Pytester) -> None:
    first, before = run("--thor-launches=2", "--thor-update-baseline=missing")
    second, after = run("--thor-launches=2", "--thor-inconclusive=pass")

    first.assert_outcomes(passed=12)
    assert first.ret == 0
    assert {cell.verdict for cell in before.cells} == {"no-baseline"}
    for cell in before.cells:
        assert len(cell.launches) == 2
        assert all(len(samples) == 2 for launch in cell.launches for samples in launch.samples.values())
        assert all((metric.value or 0) > 0 for metric in cell.metrics.values())
        assert cell.artifact is not None
        assert cell.artifact.parameters
    assert len(list((pytester.path / "baselines").rglob("*.json"))) == 12
    # On a shared machine a cell may honestly move; what must not happen is a cell that is not compared.
    assert {cell.verdict for cell in after.cells} <= {"unchanged", "improved", "inconclusive", "regressed"}
    assert all(metric.baseline for cell in after.cells for metric in cell.metrics.values())
    assert {engine.name for engine in after.environment.engines} == {"llama-bench", "llama-cpp-python"}
    assert second.ret in {0, 1}


def test_two_workers_measure_one_cell_at_a_time(run: Run, pytester: pytest.Pytester) -> None:
    result, report = run("--thor-launches=1", "-n2")

    result.assert_outcomes(passed=12)
    assert {cell.outcome for cell in report.cells} == {"passed"}
    lines = (pytester.path / "thor-report" / "journal.jsonl").read_text().splitlines()
    launches = sorted((json.loads(line)["launch"] for line in lines), key=lambda launch: launch["started_at"])
    assert len(launches) == 12
    for earlier, later in itertools.pairwise(launches):
        ended = datetime.fromisoformat(earlier["started_at"]) + timedelta(seconds=earlier["duration_s"])
        assert ended <= datetime.fromisoformat(later["started_at"]) + timedelta(milliseconds=2)  # stamps are rounded
