"""Serving cells through pytest, on a real llama-server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_thor.report.document import ReportDocument

pytestmark = pytest.mark.engine

MATRIX = """\
name: served
models:
  tiny: {synthetic: qwen3-tiny, quants: [Q8_0]}
backends:
  llama-server: {engine: llama-server, settings: {ctx_size: 1024, parallel: 2, threads: 1}}
workloads:
  load: {kind: serving, input_len: 32, output_len: 8, num_prompts: 6, max_concurrency: 2}
"""


@pytest.fixture
def folder(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("THOR_CACHE", str(pytester.path / "cache"))
    (pytester.path / "pyproject.toml").write_text("")
    (pytester.path / "served.yaml").write_text(MATRIX)
    return pytester.path


def test_a_load_is_measured_and_every_token_is_accounted_for(pytester: pytest.Pytester, folder: Path) -> None:
    result = pytester.runpytest_subprocess("--thor-matrix", "served.yaml", "--thor-launches=1")

    result.assert_outcomes(passed=1)
    [cell] = ReportDocument.model_validate(json.loads((folder / "thor-report" / "report.json").read_text())).cells
    [launch] = cell.launches
    assert launch.doubts == []
    assert launch.evidence["tokens"] == {
        "prompt_asked": 192,
        "prompt": 192,
        "output_asked": 48,
        "output": 48,
        "cached": 0,
    }
    assert {len(launch.samples[name]) for name in ("ttft_ms", "tpot_ms", "e2el_ms")} == {6}
    judged = {name for name, metric in cell.metrics.items() if metric.verdict}
    assert judged == {"output_tps", "ttft_ms.median", "tpot_ms.median"}
    assert {"load_s", "peak_memory_bytes", "itl_ms.p99", "request_rps"} <= set(cell.metrics)


def test_a_test_of_ones_own_may_ask_the_running_server(pytester: pytest.Pytester, folder: Path) -> None:
    pytester.makepyfile(
        test_mine="""
        import json
        from urllib.request import urlopen

        def test_the_server_names_its_model(thor_server):
            with urlopen(f"{thor_server.openai_url}/models") as answer:
                assert json.load(answer)["data"][0]["id"] == thor_server.model

        def test_raw(serving_benchmark):
            first, second = serving_benchmark(), serving_benchmark()
            assert len(first.samples["ttft_ms"]) == 6
            assert first.evidence["seed"] != second.evidence["seed"]
        """
    )

    result = pytester.runpytest_subprocess("--thor-matrix", "served.yaml", "test_mine.py")

    result.assert_outcomes(passed=2)
