"""What the terminal and the report say of serving cells: sweeps, familiar blocks, and which server it was."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from pytest_thor.report.document import CellRecord, ReportDocument
from tests.fakes.stub_server import Stub

LAYOUT = Path(__file__).parents[1] / "golden" / "vllm_bench_serve_high_load.txt"
MATRIX = """\
name: served
models:
  remote: {{hf: remote/model, quants: [BF16]}}
backends:
  there: {{engine: openai, settings: {{url: "{url}"}}}}
workloads:
  load: {{kind: serving, input_len: 8, output_len: 4, num_prompts: 4, sweep: {{max_concurrency: [1, 2]}}}}
"""


class _Answering(Stub):
    dies = False
    version = "1.2.3"

    def __init__(self, program: str, arguments: list[str]) -> None:
        super().__init__(program, arguments)
        self.ids: set[int] = set()

    def page(self, path: str) -> tuple[int, Any]:
        return (200, {"version": self.version}) if path == "/version" else super().page(path)

    def complete(self, handler: BaseHTTPRequestHandler, asked: dict[str, Any]) -> None:
        self.ids.update(asked["prompt"])
        super().complete(handler, asked)

    @staticmethod
    def event(handler: BaseHTTPRequestHandler, content: Any) -> None:
        Stub.event(handler, content)
        handler.wfile.flush()
        time.sleep(0.002)  # so that a token has a time of its own


@pytest.fixture
def server(pytester: pytest.Pytester) -> Iterator[_Answering]:
    """A project with a matrix whose one backend is a server that answers in this process."""
    (pytester.path / "stub.json").write_text("{}")
    stub = _Answering(str(pytester.path / "stub"), [])
    with stub.server(0) as served:
        threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01}).start()
        (pytester.path / "pyproject.toml").write_text("")
        (pytester.path / "served.yaml").write_text(MATRIX.format(url=f"http://127.0.0.1:{served.server_port}"))
        yield stub
        served.shutdown()


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest("--thor-matrix", "served.yaml", "--thor-launches=2", *arguments)


def cells(pytester: pytest.Pytester) -> list[CellRecord]:
    text = (pytester.path / "thor-report" / "report.json").read_text()
    return ReportDocument.model_validate(json.loads(text)).cells


def titles(lines: list[str]) -> list[str]:
    return [line.partition(":")[0].strip("-=") for line in lines]


@pytest.mark.usefixtures("server")
def test_a_sweep_is_a_small_table_and_blocks_are_printed_only_when_asked_for(pytester: pytest.Pytester) -> None:
    result = run(pytester)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "remote BF16 there load: sweep of max_concurrency",
            "  max_concurrency * output * TTFT median * TTFT p99 * TPOT median*",
            " * 1 * tok/s *",
            " * 2 * tok/s *",
            "  *satur*",
        ]
    )
    result.stdout.no_fnmatch_line("*Serving Benchmark Result*")


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("by", ["option", "ini"])
def test_the_last_launch_of_each_cell_is_printed_in_the_familiar_layout(pytester: pytest.Pytester, by: str) -> None:
    if by == "ini":
        pytester.makeini("[pytest]\nthor_serving_block = true\n")
    result = run(pytester, *(["--thor-serving-block"] if by == "option" else []))
    result.assert_outcomes(passed=2)
    layout = titles(LAYOUT.read_text().splitlines())
    for name in ("remote-BF16-there-load@c1", "remote-BF16-there-load@c2"):
        [start] = [number for number, line in enumerate(result.outlines) if line.startswith(f"# {name}, launch ")]
        assert ", launch 2 of 2, " in result.outlines[start]
        assert titles(result.outlines[start + 1 : start + 1 + len(layout)]) == layout


def test_another_version_of_the_server_is_named_beside_the_verdict(
    pytester: pytest.Pytester, server: _Answering
) -> None:
    run(pytester, "--thor-update-baseline").assert_outcomes(passed=2)
    assert {(each.fingerprint or {})["under_test"]["engine.version"] for each in cells(pytester)} == {"1.2.3"}
    server.version = "1.3.0"
    run(pytester)
    for each in cells(pytester):
        assert "engine.version: 1.2.3 → 1.3.0" in each.differences
        assert {launch.engine.version for launch in each.launches} == {"1.3.0"}


@pytest.mark.parametrize("under", ["models", "."])
def test_prompts_are_of_the_vocabulary_of_files_that_are_under_a_model_root(
    pytester: pytest.Pytester, server: _Answering, under: str
) -> None:
    folder = pytester.path / under / "remote" / "model"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "qwen3", "vocab_size": 500}')
    run(pytester, "--thor-models=models")
    assert (max(server.ids) < 500) == (under == "models")
