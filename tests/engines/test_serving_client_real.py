"""The serving client against a real llama-server with a model of random weights."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from pytest_thor.cell import Workload
from pytest_thor.engines.locate import find
from pytest_thor.engines.ports import free_port
from pytest_thor.serving.load import Load, TokenIds, plan
from pytest_thor.serving.run import LoadResult, Target, run_load

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]

ORDINARY_IDS = TokenIds(size=2000)
"""The synthetic vocabulary has 2048 ids, of which those from 2022 on are special."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running llama-server with two slots."""

    process: subprocess.Popen[bytes]
    port: int

    def died(self) -> str | None:
        status = self.process.poll()
        return None if status is None else f"llama-server ended with status {status}"

    def is_healthy(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def run(self, load: Load, workload: Workload, on_progress: Callable[[str, float | None], None]) -> LoadResult:
        target = Target(host="127.0.0.1", port=self.port, model="tiny", dialect="llama-server")
        return run_load(load, workload, target, on_progress=on_progress, server_died=self.died, timeout_s=60)

    def answer(self, seed: int | None = None, **parameters: Any) -> LoadResult:
        """Run a load of so many parameters."""
        workload = serving(**parameters)
        return self.run(plan(workload, token_ids=ORDINARY_IDS, seed=seed), workload, lambda _step, _rate: None)


def serving(**parameters: Any) -> Workload:
    settings = {"input_len": 32, "output_len": 16, "num_prompts": 6, "max_concurrency": 2, **parameters}
    return Workload(name="load", kind="serving", parameters=tuple(sorted(settings.items())))


@pytest.fixture
def llama_server(tiny_model: Path) -> Iterator[Server]:
    port = free_port("127.0.0.1")
    options = ["-m", str(tiny_model), "-c", "4096", "--parallel", "2", "--threads", "1", "--port", str(port)]
    with subprocess.Popen(
        [find("llama-server", "llama-server", None), "--host", "127.0.0.1", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        server = Server(process=process, port=port)
        while not server.is_healthy():
            assert server.died() is None
            time.sleep(0.05)
        yield server
        process.kill()


def test_tokens_are_exactly_as_asked_and_none_come_from_a_cache(llama_server: Server) -> None:
    result = llama_server.answer()
    assert (result.failure, result.doubts) == (None, ())
    assert result.evidence["requests"]["complete"] == 6
    assert result.evidence["tokens"] == {
        "prompt_asked": 192, "prompt": 192, "output_asked": 96, "output": 96, "cached": 0,
    }  # fmt: skip
    assert len(result.samples["e2el_ms"]) == 6
    assert len(result.samples["ttft_ms"]) == len(result.samples["tpot_ms"]) == 6
    assert len(result.samples["itl_ms"]) == 6 * 15


def test_the_same_prompts_again_are_not_cached_unless_that_is_left_to_the_server(llama_server: Server) -> None:
    for _ in range(2):
        assert llama_server.answer(seed=1).doubts == ()
    left_to_chance = [llama_server.answer(fresh_prompts=False, num_prompts=2, max_concurrency=1) for _ in range(2)]
    (doubt,) = left_to_chance[1].doubts
    cached = left_to_chance[1].evidence["tokens"]["cached"]
    assert cached > 0
    assert doubt == f"{cached} of 64 prompt tokens came from the prefix cache"


def test_chat_is_measured_by_the_engines_own_count(llama_server: Server) -> None:
    result = llama_server.answer(api="chat", num_prompts=2)
    assert (result.failure, result.doubts) == (None, ())
    assert result.evidence["tokens"]["output"] == 32
    assert result.evidence["tokens"]["prompt"] > 0


def test_more_requests_at_a_time_than_the_server_has_slots_all_come_through(llama_server: Server) -> None:
    result = llama_server.answer(num_prompts=48, max_concurrency=24)
    assert (result.failure, result.doubts) == (None, ())
    assert result.evidence["peak_concurrency"] == 24


def test_no_request_is_lost_to_a_connection_that_the_server_closes_after_a_stream(llama_server: Server) -> None:
    """It announces Keep-Alive, and closes all the same."""
    result = llama_server.answer(num_prompts=200, output_len=2, input_len=4, max_concurrency=4)
    assert (result.failure, result.doubts) == (None, ())
    assert (result.evidence["client"]["retried"], result.evidence["client"]["connections"]) == (0, 201)


def test_requests_that_arrive_at_a_rate_come_through(llama_server: Server) -> None:
    result = llama_server.answer(request_rate=40.0, max_concurrency=None, num_prompts=20)
    assert (result.failure, result.doubts) == (None, ())
    assert result.evidence["queue_ms"]["count"] == 20


def test_a_prompt_beyond_the_context_is_a_counted_failure_in_the_servers_words(llama_server: Server) -> None:
    result = llama_server.answer(input_len=5000, num_prompts=1, max_concurrency=1)
    assert result.failure is not None
    assert result.failure.startswith("all 1 requests failed: 1 × http-400: ")
    assert "context" in result.failure


def test_a_server_that_is_killed_in_mid_load_ends_the_load(llama_server: Server) -> None:
    workload = serving(num_prompts=None, duration_s=30.0, warmup=0)

    def kill_once_under_way(_step: str, rate: float | None) -> None:
        if rate is not None:
            llama_server.process.kill()

    load = plan(workload, token_ids=ORDINARY_IDS)
    result = llama_server.run(load, workload, kill_once_under_way)
    assert result.failure is not None
    assert result.failure.startswith("server-died: llama-server ended with status -9; ")
    assert result.evidence["requests"]["complete"] > 0
