"""vLLM's own client against a real llama-server: what it says of a load is what was asked for, and what ours says.

Run by ``make test-vllm``; THOR_VLLM names the environment.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_thor.artifacts.vocabulary import ordinary_ids
from pytest_thor.cell import Cell, Setting
from pytest_thor.engines.llama_server import LlamaServer
from pytest_thor.engines.serving_engine import ModelFacts
from pytest_thor.measurement import Launch
from pytest_thor.serving.load import TokenIds
from tests.cells import SYNTHETIC, build_cell

pytestmark = [
    pytest.mark.engine,
    pytest.mark.vllm,
    pytest.mark.skipif("THOR_VLLM" not in os.environ, reason="THOR_VLLM names no vLLM; `make test-vllm` makes one"),
    pytest.mark.timeout(300),
]
REQUESTS, INPUT, OUTPUT = 6, 32, 12


def cell(name: str, **parameters: Setting) -> Cell:
    asked: dict[str, Setting] = {
        "input_len": INPUT,
        "output_len": OUTPUT,
        "num_prompts": REQUESTS,
        "max_concurrency": 2,
        **parameters,
    }
    return build_cell(
        "serving",
        asked,
        workload=name,
        artifact=SYNTHETIC,
        engine="llama-server",
        settings={"ctx_size": 4096, "parallel": 2, "threads": 1},
        timeout_s=240,
    )


@pytest.fixture(scope="module")
def launches(tiny_model: Path) -> dict[str, Launch]:
    """One launch of three workloads, since vLLM's client takes several seconds to start."""
    size, forbidden = ordinary_ids(tiny_model)
    facts = ModelFacts(token_ids=TokenIds(size=size, forbidden=forbidden))
    cells = [cell("theirs", client="vllm"), cell("chat", client="vllm", api="chat"), cell("ours")]
    launched = LlamaServer(None, lambda _: facts).launch(cells, tiny_model, lambda _: None)
    return {one.workload.name: launch for one, launch in launched}


@pytest.mark.parametrize("name", ["theirs", "chat", "ours"])
def test_every_token_asked_is_counted_and_nothing_is_doubted(name: str, launches: dict[str, Launch]) -> None:
    launch = launches[name]
    assert (launch.failure, launch.doubts) == (None, ())
    assert launch.evidence["requests"]["complete"] == REQUESTS
    tokens = launch.evidence["tokens"]
    assert (tokens["output_asked"], tokens["output"]) == (REQUESTS * OUTPUT, REQUESTS * OUTPUT)
    assert tokens["prompt"] == REQUESTS * INPUT or name == "chat"
    assert len(launch.samples["e2el_ms"]) == REQUESTS
    assert {"ttft_ms", "tpot_ms", "itl_ms", "output_tps", "total_tps", "request_rps"} <= set(launch.samples)


def test_what_it_counts_itself_is_kept_and_is_not_what_was_generated(launches: dict[str, Launch]) -> None:
    theirs = launches["theirs"].evidence["vllm_client"]
    assert theirs["server_counted"] == {"prompt": REQUESTS * INPUT, "output": REQUESTS * OUTPUT}
    assert theirs["usage_read"] == 0  # llama-server's completions have it in a message with a choice
    assert theirs["as_it_counts"]["completed"] == REQUESTS
    assert theirs["as_it_counts"]["total_output_tokens"] != REQUESTS * OUTPUT
    assert launches["chat"].evidence["vllm_client"]["usage_read"] == REQUESTS


def test_its_latencies_are_within_its_own_wall_time(launches: dict[str, Launch]) -> None:
    for name in ("theirs", "chat"):
        launch = launches[name]
        wall_ms = launch.evidence["duration_s"] * 1e3
        assert 0 < sum(launch.samples["e2el_ms"]) <= 2 * wall_ms  # two at a time
        first_ms, whole_ms = max(launch.samples["ttft_ms"]), max(launch.samples["e2el_ms"])
        assert 0 < first_ms <= whole_ms < wall_ms
