"""A load that vLLM's client sends: a stub of that client in another interpreter, against a stub of a server."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from pytest_thor.engines import SERVING_ENGINES
from pytest_thor.engines.openai_endpoint import OpenAiEndpoint
from pytest_thor.engines.serving_engine import ModelFacts
from pytest_thor.engines.vllm import Vllm
from pytest_thor.errors import EngineMissing
from pytest_thor.serving.load import TokenIds
from tests.fakes.scripted_server import completion, plain, serving

if TYPE_CHECKING:
    from pytest_thor.cell import Cell
    from pytest_thor.measurement import Launch
    from tests.unit.engines.conftest import MakeServingCell, MakeStubServer, StubServer

SITE = Path(__file__).parents[2] / "fakes" / "stub_vllm"
Notes = Callable[[], dict[str, Any]]


@pytest.fixture
def vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python that has the stub of vLLM's client, chosen by the environment."""
    python = tmp_path / "python-with-vllm"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={SITE} exec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("THOR_VLLM", str(python))
    return python


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Notes:
    """What the client was given."""
    path = tmp_path / "given.json"
    monkeypatch.setenv("STUB_VLLM_NOTES", str(path))
    return lambda: json.loads(path.read_text())


@pytest.mark.usefixtures("vllm")
def test_a_load_that_vllms_client_sends_is_a_launch_like_any_other(
    stub_server: MakeStubServer, serving_cell: MakeServingCell, given: Notes
) -> None:
    stub = stub_server()
    [launch, own] = stub.measure(
        serving_cell("theirs", client="vllm", warmup=2, slo_ttft_ms=60_000.0), serving_cell("ours")
    )
    assert (launch.failure, launch.doubts) == (None, ())
    samples = {name: len(values) for name, values in launch.samples.items()}
    per_request = {"ttft_ms": 3, "tpot_ms": 3, "e2el_ms": 3, "itl_ms": 9}
    once = ("output_tps", "total_tps", "request_rps", "goodput_rps", "load_s", "peak_memory_bytes")
    assert samples == {**per_request, **dict.fromkeys(once, 1)}
    assert launch.samples["goodput_rps"] == launch.samples["request_rps"]
    assert launch.evidence["tokens"] | {"cached": None} == own.evidence["tokens"] | {"cached": None}
    assert launch.evidence["warmup"] == {"sent": 2, "failures": {}}
    theirs = launch.evidence["vllm_client"]
    assert theirs["start_up_s"] > 0
    assert theirs["as_it_counts"]["total_output_tokens"] == 3 * 4
    assert theirs["arguments"]["seed"] == launch.evidence["seed"] % 2**32
    told = given()
    assert told["extra_body"] == {"temperature": 0, "cache_prompt": False}
    assert (told["request_rate"], told["max_concurrency"], told["num_prompts"]) == (float("inf"), 1, 3)
    assert (told["num_warmups"], told["skip_tokenizer_init"], told["header"]) == (0, True, ["Connection=close"])
    assert {step.step for step in stub.steps} >= {"vLLM's client starts"}
    assert json.loads(json.dumps(launch.evidence)) == launch.evidence


@pytest.mark.usefixtures("vllm")
def test_every_launch_has_prompts_and_a_seed_of_its_own(
    stub_server: MakeStubServer, serving_cell: MakeServingCell
) -> None:
    stub = stub_server()
    [first] = stub.measure(serving_cell(client="vllm"))
    [second] = stub.measure(serving_cell(client="vllm"))
    assert first.evidence["seed"] != second.evidence["seed"]


def served_by_vllm(stub: StubServer, cell: Cell, client: Path) -> Launch:
    facts = ModelFacts(token_ids=TokenIds(size=1000), context_length=4096)
    [(_, launch)] = Vllm(stub.program, lambda _: facts, client).launch([cell], stub.artifact, stub.steps.append)
    return launch


def test_vllms_server_gets_the_salt_of_the_load(
    stub_server: MakeStubServer, serving_cell: MakeServingCell, given: Notes, vllm: Path
) -> None:
    cell = serving_cell(engine="vllm", client="vllm", request_rate=50.0, max_concurrency=None)
    launch = served_by_vllm(stub_server("vllm"), cell, vllm)
    assert launch.failure is None
    told = given()
    assert told["request_rate"] == 50.0
    assert len(told["extra_body"].pop("cache_salt")) == 32
    assert told["extra_body"] == {"temperature": 0, "skip_special_tokens": False}
    assert told["header"] is None


def test_its_tokens_from_a_prefix_cache_are_doubted_by_the_servers_counter(
    stub_server: MakeStubServer, serving_cell: MakeServingCell, vllm: Path
) -> None:
    cell = serving_cell(engine="vllm", client="vllm", warmup=0)
    launch = served_by_vllm(stub_server("vllm", hits=5), cell, vllm)
    assert launch.doubts == ("the server counts 15 prompt tokens that came from its prefix cache",)


@pytest.mark.usefixtures("vllm")
def test_short_answers_are_doubted(stub_server: MakeStubServer, serving_cell: MakeServingCell) -> None:
    [launch] = stub_server(short=1).measure(serving_cell(client="vllm"))
    assert launch.doubts == ("3 of 3 outputs are shorter than asked (the shortest has 3 of 4 tokens)",)


@pytest.mark.usefixtures("vllm")
def test_the_environments_key_and_proxies_are_kept_from_it_and_the_backends_key_is_not_repeated(
    serving_cell: MakeServingCell, given: Notes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("OPENAI_API_KEY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://elsewhere:9")
    monkeypatch.setenv("THE_KEY", "sk-abcdef")
    listed = plain("200 OK", b'{"data":[{"id":"it"}]}')
    with serving(*[listed] * 4, completion(4)) as server:
        settings = {"url": f"http://127.0.0.1:{server.port}", "api_key_env": "THE_KEY", "health": "/health"}
        cell = serving_cell(engine="openai", settings=settings, client="vllm", warmup=0)
        [(_, launch)] = OpenAiEndpoint().launch([cell], tmp_path / "none", lambda _: None)
    told = given()
    assert told["header"] == ["Authorization=Bearer sk-abcdef"]
    assert set(told["environment"].values()) == {None}
    assert told["argv"]  # everybody may read it, /proc has it
    assert "sk-abcdef" not in repr(launch) + repr(told["argv"])


def test_a_broken_client_fails_the_cell_with_its_error_and_without_the_key(
    vllm: Path, serving_cell: MakeServingCell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STUB_VLLM", "breaks")
    monkeypatch.setenv("THE_KEY", "sk-abcdef")
    with serving(plain("200 OK", b'{"data":[{"id":"it"}]}')) as server:
        settings = {"url": f"http://127.0.0.1:{server.port}", "api_key_env": "THE_KEY"}
        cell = serving_cell(engine="openai", settings=settings, client="vllm", warmup=0)
        engine = SERVING_ENGINES["openai"](None, None, vllm)
        [(_, launch)] = engine.launch([cell], tmp_path / "none", lambda _: None)
    assert launch.failure == (
        "vLLM's client ended with exit status 1: RuntimeError: no luck with ['Authorization=Bearer ***']"
    )
    assert "Traceback" in launch.evidence["vllm_client"]["log_tail"]
    assert "sk-abcdef" not in repr(launch)


@pytest.mark.usefixtures("vllm")
@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("old", "error: this vLLM is too old: its client has no option --extra-body"),
        ("silent", "error: this vLLM is too old: its client does not return what single requests came to"),
        ("odd", "the result of vLLM's client has 2 output_lens for 3 requests"),
    ],
)
def test_a_client_that_cannot_be_used_says_why(
    behaviour: str,
    said: str,
    stub_server: MakeStubServer,
    serving_cell: MakeServingCell,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STUB_VLLM", behaviour)
    [launch] = stub_server().measure(serving_cell(client="vllm"))
    assert said in str(launch.failure)


@pytest.mark.usefixtures("vllm")
def test_a_client_that_hangs_is_ended_with_the_launch(
    stub_server: MakeStubServer, serving_cell: MakeServingCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_VLLM", "hangs")
    [launch] = stub_server().measure(serving_cell(client="vllm", timeout_s=4.0))
    assert launch.failure == "the launch did not finish within 4 s, the `timeout` of its backend"
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert not [line for line in lines if "vllm_client_worker" in line and str(SITE.parents[2]) in line]


@pytest.mark.usefixtures("vllm")
def test_a_server_that_dies_under_it_fails_the_cell_and_is_restarted_for_the_next(
    stub_server: MakeStubServer, serving_cell: MakeServingCell
) -> None:
    stub = stub_server(dies_at=2)
    theirs, ours = stub.measure(serving_cell("theirs", client="vllm", num_prompts=9), serving_cell("ours"))
    assert theirs.failure == "in mid-load, llama-server aborted (SIGABRT): stub: CUDA error: out of memory"
    assert ours.failure is None
    assert len(stub.starts()) == 2


def test_without_vllm_its_cells_are_skipped_or_fail_beside_others(
    stub_server: MakeStubServer, serving_cell: MakeServingCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THOR_VLLM", sys.executable)  # a Python, and no vLLM in it
    stub = stub_server()
    with pytest.raises(EngineMissing, match="has no vLLM"):
        stub.measure(serving_cell(client="vllm"))
    assert stub.starts() == []
    theirs, ours = stub.measure(serving_cell("theirs", client="vllm"), serving_cell("ours"))
    assert str(theirs.failure).startswith(f"client: vllm: vllm: {sys.executable} has no vLLM. Install vLLM in")
    assert ours.failure is None


@pytest.mark.usefixtures("vllm")
def test_llama_server_is_asked_to_tell_its_count_of_tokens_once(
    stub_server: MakeStubServer, serving_cell: MakeServingCell
) -> None:
    help_text = (Path(__file__).parents[2] / "fakes" / "stub_server.py").read_text().partition('HELP = """')[2]
    stub = stub_server(help=help_text.partition('"""')[0] + "--metrics      enable the metrics endpoint\n")
    stub.measure(serving_cell(client="vllm"))
    stub.measure(serving_cell())
    stub.measure(serving_cell(client="vllm", settings={"extra_args": ("--metrics",)}))
    assert [start["arguments"].count("--metrics") for start in stub.starts()] == [1, 1, 1]
