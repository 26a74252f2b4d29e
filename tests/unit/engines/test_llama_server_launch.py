"""llama-server's launch on a stub: its cells, its faults, and what is said of them."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from pytest_thor.engines import server
from pytest_thor.engines.llama_server import LlamaServer
from pytest_thor.errors import EngineFailure, EngineMissing

if TYPE_CHECKING:
    from tests.unit.engines.conftest import MakeServingCell, MakeStubServer


def test_the_workloads_share_one_server(stub_server: MakeStubServer, serving_cell: MakeServingCell) -> None:
    stub = stub_server(slots=2)
    high, low = stub.measure(serving_cell("high", num_prompts=6, max_concurrency=2), serving_cell("low"))
    assert len(stub.starts()) == 1
    assert (high.failure, high.doubts, low.failure, low.doubts) == (None, (), None, ())
    assert [len(launch.samples["ttft_ms"]) for launch in (high, low)] == [6, 3]
    assert high.samples["load_s"] == low.samples["load_s"]
    assert high.samples["peak_memory_bytes"][0] > 1 << 20
    assert low.evidence["tokens"]["output"] == 3 * 4
    assert low.evidence["server"]["slots"] == 2
    assert low.engine.commit == "abcdef01"
    assert stub.steps[0].cell.workload.name == "high"


def test_the_settings_are_said_and_the_key_of_the_environment_is_not(
    stub_server: MakeStubServer, serving_cell: MakeServingCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", "secret")
    stub = stub_server()
    [launch] = stub.measure(serving_cell(settings={"ctx_size": 4096, "alias": "qwen3", "extra_args": ("--perf",)}))
    [start] = stub.starts()
    assert start["LLAMA_API_KEY"] is None
    said = start["arguments"]
    assert said[:4] == ["-m", str(stub.artifact), "--host", "127.0.0.1"]
    assert said[6:] == ["-a", "qwen3", "--no-ui", "-c", "4096", "--perf"]
    assert launch.evidence["server"]["command"][1:] == said


def test_proxies_of_the_environment_are_not_asked(
    stub_server: MakeStubServer, serving_cell: MakeServingCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    [launch] = stub_server().measure(serving_cell())
    assert launch.failure is None


def test_a_server_that_is_never_ready_is_stopped_and_says_what_it_answered(
    stub_server: MakeStubServer, serving_cell: MakeServingCell
) -> None:
    [launch] = stub_server(never_ready=True).measure(serving_cell(timeout_s=1.0))
    assert launch.failure is not None
    assert "llama-server was not ready after 1.0 s and was stopped" in launch.failure
    assert "HTTP 503" in launch.failure
    assert "Loading model" in launch.failure


def test_a_server_that_runs_out_of_memory_while_loading_fails_every_cell_at_once(
    stub_server: MakeStubServer, serving_cell: MakeServingCell
) -> None:
    log = ["loading", "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9 MiB: cudaMalloc failed: out of memory"]
    launches = stub_server(dies_loading=[*log, "exiting due to model loading error"]).measure(
        serving_cell("high"), serving_cell("low")
    )
    for launch in launches:
        assert launch.failure is not None
        assert "llama-server ended with exit status 1: " in launch.failure
        assert "cudaMalloc failed: out of memory (after" in launch.failure
        assert launch.log_tail is not None
        assert launch.log_tail.splitlines()[:2] == log


def test_a_server_that_dies_in_mid_load_fails_that_cell_and_is_restarted_for_the_next(
    stub_server: MakeStubServer, serving_cell: MakeServingCell
) -> None:
    stub = stub_server(dies_at=3)
    high, low = stub.measure(serving_cell("high", num_prompts=20), serving_cell("low"))
    assert high.failure == "in mid-load, llama-server aborted (SIGABRT): stub: CUDA error: out of memory"
    assert high.samples == {}
    assert high.log_tail is not None
    assert high.log_tail.endswith("stub: CUDA error: out of memory")
    assert low.failure is None
    assert len(low.samples["ttft_ms"]) == 3
    assert low.evidence["server"]["restarts"] == ["llama-server aborted (SIGABRT): stub: CUDA error: out of memory"]
    assert len(stub.starts()) == 2


def test_a_server_that_dies_between_workloads_is_restarted_and_that_is_recorded(
    stub_server: MakeStubServer, serving_cell: MakeServingCell
) -> None:
    stub = stub_server()
    launches = stub.launch(serving_cell("high"), serving_cell("low"))
    _, high = next(launches)
    [living] = [pid for pid in stub.pids() if psutil.pid_exists(pid)]
    os.kill(living, signal.SIGKILL)
    [(_, low)] = launches
    assert high.failure is None
    assert "restarts" not in high.evidence["server"]
    assert low.failure is None
    [restart] = low.evidence["server"]["restarts"]
    assert restart.startswith("llama-server was killed (SIGKILL), perhaps because memory ran out")
    assert stub.living() == []


def test_a_server_that_dies_twice_is_given_up(stub_server: MakeStubServer, serving_cell: MakeServingCell) -> None:
    stub = stub_server(dies_at=2, dies_at_starts=9)
    first, second, third = stub.measure(*(serving_cell(name) for name in ("one", "two", "three")))
    assert len(stub.starts()) == 2
    assert "in mid-load" in str(first.failure)
    assert "in mid-load" in str(second.failure)
    assert "(after a restart: before, llama-server aborted" in str(third.failure)


def test_a_launch_ends_when_its_time_is_over(stub_server: MakeStubServer, serving_cell: MakeServingCell) -> None:
    endless = serving_cell("endless", num_prompts=None, duration_s=600.0, timeout_s=3.0)
    first, second = stub_server().measure(endless, serving_cell("never", timeout_s=3.0))
    for launch in (first, second):
        assert launch.failure == "the launch did not finish within 3 s, the `timeout` of its backend"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ctx_size": 512, "parallel": 2}, r"a slot's context \(ctx_size 512 over 2 slots\) of 256 tokens"),
        ({"ctx_size": 256}, "the context of 256 tokens: raise ctx_size"),
        ({"ctx_size": 0}, r"the model's own context \(ctx_size 0\) of 4096 tokens"),
    ],
)
def test_a_load_that_cannot_fit_is_refused_before_the_start(
    settings: dict[str, int], words: str, stub_server: MakeStubServer, serving_cell: MakeServingCell
) -> None:
    stub = stub_server()
    [launch] = stub.measure(serving_cell(settings=settings, input_len=(1, 4000), output_len=97))
    assert re.search(rf"^4000 prompt \+ 97 output = 4097 tokens do not fit into {words}", str(launch.failure))
    assert stub.starts() == []


def test_a_load_that_does_not_fit_into_what_the_server_says_is_refused_before_the_first_request(
    stub_server: MakeStubServer, serving_cell: MakeServingCell
) -> None:
    big, small = stub_server(n_ctx=256, slots=4).measure(serving_cell("big", input_len=253), serving_cell("small"))
    assert big.failure == (
        "253 prompt + 4 output = 257 tokens do not fit into the context of one of 4 slots of 256 tokens: raise "
        "ctx_size or lower parallel"
    )
    assert small.failure is None


def test_a_trace_that_cannot_be_read_fails_its_cell_only(
    stub_server: MakeStubServer, serving_cell: MakeServingCell
) -> None:
    traced, low = stub_server().measure(serving_cell("traced", trace="nowhere.jsonl"), serving_cell("low"))
    assert "nowhere.jsonl" in str(traced.failure)
    assert low.failure is None


def test_short_outputs_make_the_figures_doubtful(stub_server: MakeStubServer, serving_cell: MakeServingCell) -> None:
    [launch] = stub_server(short=1).measure(serving_cell())
    assert launch.doubts == ("3 of 3 outputs are shorter than asked (the shortest has 3 of 4 tokens)",)


def test_cached_tokens_make_the_figures_doubtful(stub_server: MakeStubServer, serving_cell: MakeServingCell) -> None:
    [launch] = stub_server(cached=5).measure(serving_cell())
    assert launch.doubts == ("15 of 24 prompt tokens came from the prefix cache",)


def test_closing_the_iterator_stops_the_server(
    stub_server: MakeStubServer, serving_cell: MakeServingCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "GRACE_S", 0.1)
    stub = stub_server(workers=1)
    launches = stub.launch(serving_cell("high"), serving_cell("low"))
    next(launches)
    assert len(stub.living()) == 2
    launches.close()  # type: ignore[attr-defined] # a generator
    assert stub.living() == []


def test_a_server_can_be_had_for_a_check_of_ones_own(
    stub_server: MakeStubServer, serving_cell: MakeServingCell
) -> None:
    from urllib.request import urlopen

    stub = stub_server()
    with stub.engine().serve([serving_cell()], stub.artifact) as served:
        assert served.model == "tiny"
        with urlopen(f"{served.openai_url}/models") as answer:
            assert answer.status == 200
    assert stub.living() == []


def test_a_build_without_an_option_is_named(stub_server: MakeStubServer, serving_cell: MakeServingCell) -> None:
    with pytest.raises(EngineMissing, match=r"llama-server 7 \(.*\) has no option --reasoning-budget"):
        stub_server().launch(serving_cell(settings={"reasoning_budget": 0}))


def test_prompts_need_a_reader_of_models(stub_server: MakeStubServer, serving_cell: MakeServingCell) -> None:
    with pytest.raises(EngineFailure, match="made without a reader of models"):
        LlamaServer(stub_server().program).launch([serving_cell()], Path("x"), print)
