"""Engines whose tokens are doubled, each by a program that stands before it and changes what it says."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_thor.engines.llama_cpp_python import LlamaCppPython

if TYPE_CHECKING:
    from pytest_thor.cell import Kind
    from tests.unit.engines.conftest import MakeCell, MakeServingCell, MakeStub, MakeStubServer, StubBench

FAKES = Path(__file__).parents[2] / "fakes"


def before(program: Path, fake: str, how: str) -> Path:
    """Return a program that stands before another one."""
    path = program.with_name(f"{how}-{program.name}")
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {FAKES / fake} {how} {program} "$@"\n')
    path.chmod(0o755)
    return path


def doubled(stub: StubBench, how: str) -> StubBench:
    return replace(stub, program=before(stub.program, "doubling.py", how))


@pytest.fixture
def slow_stub(make_stub: MakeStub) -> StubBench:
    """Takes as long as it says: 0.2 s a repetition."""
    return make_stub(pp_tps=320.0, tg_tps=40.0, in_time=True)


def test_the_stub_itself_is_believed(slow_stub: StubBench, make_cell: MakeCell) -> None:
    prefill, decode = dict(slow_stub.launch(make_cell("prefill", 64), make_cell("decode", 8))).values()
    assert (prefill.doubts, decode.doubts) == ((), ())
    assert [len(launch.evidence["observed_s"]) for launch in (prefill, decode)] == [2, 2]


@pytest.mark.parametrize(("kind", "tokens", "name"), [("prefill", 64, "pp64"), ("decode", 8, "tg8")])
def test_halved_durations_are_doubted(
    slow_stub: StubBench, make_cell: MakeCell, kind: Kind, tokens: int, name: str
) -> None:
    [launch] = dict(doubled(slow_stub, "clock").launch(make_cell(kind, tokens))).values()
    [doubt] = launch.doubts
    assert doubt.startswith(f"llama-bench claims 0.200 s for 2 repetitions of {name}, and they took 0.4")
    assert launch.failure is None


def test_doubled_speeds_beside_true_durations_are_no_measurement(slow_stub: StubBench, make_cell: MakeCell) -> None:
    [launch] = dict(doubled(slow_stub, "speeds").launch(make_cell("prefill", 64))).values()
    assert launch.samples == {}
    assert "contradicts itself: samples_ns give 320 tok/s, samples_ts say 640" in str(launch.failure)


def test_half_of_the_work_in_its_true_time_is_not_seen_by_the_clock(slow_stub: StubBench, make_cell: MakeCell) -> None:
    """The physical limit alone can tell; were this doubted by the clock, so would an honest engine be."""
    [launch] = dict(doubled(slow_stub, "work").launch(make_cell("prefill", 64))).values()
    assert (launch.failure, launch.doubts) == (None, ())
    assert launch.samples["pp_tps"][0] == pytest.approx(640, rel=0.01)


def test_a_worker_of_llama_cpp_python_is_held_to_the_same_clock(
    slow_stub: StubBench, make_cell: MakeCell, tmp_path: Path
) -> None:
    """An interpreter that answers as the worker does, with rows that stand before their time."""
    python = tmp_path / "python"
    identity = '{"version": "0.3", "llama_version": null, "build_commit": null, "system_info": "", "settings": []}'
    options = f"-m {slow_stub.artifact} -p 64 -n 0 -r 2 -o jsonl --progress"
    python.write_text(
        f"#!/bin/sh\nif [ \"$2\" = --identify ]; then echo '{identity}'; exit; fi\n"
        f"exec {before(slow_stub.program, 'doubling.py', 'clock')} {options}\n"
    )
    python.chmod(0o755)
    cell = make_cell("prefill", 64)
    [(_, launch)] = LlamaCppPython(python).launch([cell], slow_stub.artifact, lambda _: None)
    assert (launch.failure, launch.engine.name) == (None, "llama-cpp-python")
    assert "llama-cpp-python claims 0.200 s for 2 repetitions of pp64" in launch.doubts[0]


@pytest.mark.parametrize("engine", ["llama-server", "vllm"])
def test_answers_that_say_twice_what_was_asked_are_doubted(
    stub_server: MakeStubServer, serving_cell: MakeServingCell, engine: str
) -> None:
    stub = stub_server(engine, counts=True)
    stub = replace(stub, program=before(stub.program, "doubling_server.py", "usage"))
    [launch] = [launch for _, launch in stub.launch(serving_cell(engine=engine))]
    assert launch.failure is None, launch.log_tail
    assert any(
        "3 of 3 outputs are longer than asked (the longest has 8 tokens for 4 asked)" in one for one in launch.doubts
    )


@pytest.mark.parametrize("engine", ["llama-server", "vllm"])
def test_answers_that_say_what_was_asked_and_hold_half_are_doubted_by_the_servers_own_count(
    stub_server: MakeStubServer, serving_cell: MakeServingCell, engine: str
) -> None:
    stub = stub_server(engine, counts=True)
    stub = replace(stub, program=before(stub.program, "doubling_server.py", "half"))
    [launch] = [launch for _, launch in stub.launch(serving_cell(engine=engine))]
    assert launch.failure is None, launch.log_tail
    [doubt] = launch.doubts
    assert doubt.startswith("the server's answers say that they hold 12 tokens, and its own counters have generated 8 ")


@pytest.mark.parametrize("lags_s", [0.0, 0.3])
@pytest.mark.parametrize("engine", ["llama-server", "vllm"])
def test_an_honest_servers_count_agrees_even_if_it_lags(
    stub_server: MakeStubServer, serving_cell: MakeServingCell, engine: str, lags_s: float
) -> None:
    [launch] = stub_server(engine, counts=True, lags_s=lags_s).measure(serving_cell(engine=engine))
    assert (launch.failure, launch.doubts) == (None, ())
    assert launch.evidence["server"]["generated_tokens"] >= 12


def test_a_server_that_counts_nothing_is_not_doubted_for_it(
    stub_server: MakeStubServer, serving_cell: MakeServingCell
) -> None:
    [launch] = stub_server().measure(serving_cell())
    assert launch.doubts == ()
    assert "generated_tokens" not in launch.evidence["server"]


def test_answers_that_are_held_back_are_doubted_unless_the_engine_guesses_ahead(
    stub_server: MakeStubServer, serving_cell: MakeServingCell
) -> None:
    stub = stub_server(held_s=0.2)
    plain, guessing = (
        serving_cell(output_len=24, settings=settings) for settings in ({}, {"extra_args": ("--draft-max", "16")})
    )
    held, believed = stub.measure(plain)[0], stub.measure(guessing)[0]
    assert held.failure is None
    assert any(doubt.startswith("3 of 3 answers were held back") for doubt in held.doubts)
    assert believed.doubts == ()
    assert believed.evidence["held_back"] == {"held": 3, "of": 3}
