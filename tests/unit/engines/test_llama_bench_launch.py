"""One launch of llama-bench: what becomes of its rows, and what becomes of its faults."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from pytest_thor.cell import Kind
from pytest_thor.engines.base import Progress
from pytest_thor.errors import EngineFailure, EngineMissing

if TYPE_CHECKING:
    from tests.unit.engines.conftest import MakeCell, MakeStub

PP: tuple[Kind, int] = ("prefill", 512)
TG: tuple[Kind, int] = ("decode", 128)


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    assert psutil.Process().children(recursive=True) == []


def test_one_process_measures_prefill_and_decode(make_stub: MakeStub, make_cell: MakeCell) -> None:
    stub = make_stub(pp_tps=2000.0, tg_tps=50.0)
    stub.engine.identify()
    prefill, decode = stub.measure(make_cell(*PP), make_cell(*TG))

    assert prefill.failure is None
    assert prefill.samples["pp_tps"] == pytest.approx((2000.0, 2000.0 / 1.001), rel=1e-6)
    assert decode.samples["tg_tps"] == pytest.approx((50.0, 50.0 / 1.001), rel=1e-6)
    assert prefill.evidence["n_threads"] == 2
    assert "samples_ns" not in prefill.evidence
    assert prefill.started_at <= decode.started_at


def test_the_build_is_told_by_the_program_and_completed_by_its_rows(make_stub: MakeStub, make_cell: MakeCell) -> None:
    stub = make_stub()
    identified = stub.engine.identify()
    (launch,) = stub.measure(make_cell(*PP))

    assert (identified.version, identified.commit) == ("0.0.0-stub (build 7)", "abcdef0")
    assert identified.path == str(stub.program)
    assert launch.engine.details["backends"] == "CPU"


def test_a_build_without_version_is_known_by_its_rows(make_stub: MakeStub, make_cell: MakeCell) -> None:
    stub = make_stub(version=False)
    assert stub.engine.identify().version is None
    (launch,) = stub.measure(make_cell(*PP))
    assert (launch.engine.version, launch.engine.commit) == ("b7", "abcdef0")


def test_a_build_that_was_killed_before_it_said_its_version_is_not_measured_as_an_unknown_one(
    make_stub: MakeStub,
) -> None:
    with pytest.raises(EngineMissing, match=r"could not say which build it is: its --version was killed"):
        make_stub(version="killed").engine.identify()


def test_two_workloads_that_ask_for_the_same_share_its_row(make_stub: MakeStub, make_cell: MakeCell) -> None:
    stub = make_stub()
    first, second = stub.measure(make_cell(*PP, name="pp512"), make_cell(*PP, name="again"))
    assert first.samples == second.samples


def test_steps_are_told_with_their_cell(make_stub: MakeStub, make_cell: MakeCell) -> None:
    stub = make_stub()
    prefill, decode = make_cell(*PP, n_depth=64), make_cell(*TG, n_depth=64)
    stub.measure(decode, prefill)

    assert Progress(cell=prefill, step="pp512 @ d64: warmup prompt") in stub.steps
    assert Progress(cell=prefill, step="pp512 @ d64: depth 2/2 (cached)") in stub.steps
    assert Progress(cell=decode, step="tg128 @ d64: generation 2/2") in stub.steps


def test_cells_are_batched_by_what_llama_bench_applies_to_a_whole_process(
    make_stub: MakeStub, make_cell: MakeCell
) -> None:
    shallow, deep = make_cell("prefill", 512), make_cell("prefill", 512, n_depth=4096)
    often, decode = make_cell("decode", 128, repetitions=9), make_cell("decode", 128)
    assert make_stub().engine.batches([shallow, deep, often, decode]) == [(shallow, decode), (deep,), (often,)]


FAULTS = {
    "exit": "ended with exit status 1 (last step: pp512: prompt 2/2): stub: error: out of luck",
    "killed": "was killed (SIGKILL), perhaps because memory ran out",
    "crash": "crashed (SIGSEGV",
    "garbage": "ended well but gave no row for tg128; a row could not be read: Expecting property name",
    "half a line": "ended well but gave no row for tg128; a row could not be read: ",
    "quit early": "ended well but gave no row for tg128",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_keeps_what_was_measured_before_it(fault: str, make_stub: MakeStub, make_cell: MakeCell) -> None:
    prefill, decode = make_stub(fault=fault, after=1).measure(make_cell(*PP), make_cell(*TG))

    assert prefill.failure is None
    assert prefill.samples["pp_tps"]
    assert decode.samples == {}
    assert decode.failure is not None
    assert FAULTS[fault] in decode.failure
    assert decode.log_tail is not None


@pytest.mark.parametrize("fault", ["hang", "ignore sigterm", "flood", "flood without newline"])
def test_an_engine_that_never_ends_is_ended(
    fault: str, make_stub: MakeStub, make_cell: MakeCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_thor.engines.bench_launch.GRACE_S", 0.1)
    (launch,) = make_stub(fault=fault).measure(make_cell(*PP, timeout_s=0.4))

    assert launch.failure == "llama-bench did not finish within 0.4 s and was stopped (last step: start)"
    assert launch.log_tail is not None
    assert len(launch.log_tail) <= 8192


def test_a_child_that_leaves_the_group_and_holds_the_streams_is_ended(make_stub: MakeStub, make_cell: MakeCell) -> None:
    stub = make_stub(fault="leave a child")
    (launch,) = stub.measure(make_cell(*PP))
    assert launch.failure is None
    assert len(stub.pids()) == 4  # --help, --version, the run and its child; measure() saw them all gone


def test_closing_the_iterator_ends_the_process(make_stub: MakeStub, make_cell: MakeCell) -> None:
    stub = make_stub(fault="hang", after=1)
    launches = stub.launch(make_cell(*PP), make_cell(*TG))
    cell, _ = next(launches)
    assert cell.kind == "prefill"
    assert len(stub.living()) == 1

    launches.close()  # type: ignore[attr-defined]  # it is a generator
    assert stub.living() == []


def test_an_interrupt_ends_the_process(make_stub: MakeStub, make_cell: MakeCell) -> None:
    stub = make_stub(fault="hang", after=1)

    def interrupt(progress: Progress) -> None:
        if "prompt 2/2" in progress.step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(stub.engine.launch([make_cell(*PP), make_cell(*TG)], stub.artifact, interrupt))
    assert stub.living() == []


def test_lines_of_other_kinds_do_not_matter(make_stub: MakeStub, make_cell: MakeCell) -> None:
    noise = ["ggml_cuda_init: found 1 devices", "", "[1, 2]", "{'a': 1}", "[" * 5000, "{" * 5000, "1" * 5000]
    (launch,) = make_stub(before=noise).measure(make_cell(*PP))
    assert launch.failure is None
    assert "could not be read" in launch.evidence["notes"][0]


ODD_ROWS = {
    "samples missing": ({"samples_ns": None, "samples_ts": None}, "holds neither samples_ns nor samples_ts"),
    "too few": ({"samples_ns": [1], "samples_ts": [1]}, "2 repetitions of pp512 were asked for, and the row holds 1"),
    "at odds": ({"samples_ts": [1.0, 2.0]}, "contradicts itself: samples_ns give 1000 tok/s, samples_ts say 1"),
    "unequal": ({"samples_ts": [1.0]}, "contradicts itself: 2 samples_ns, 1 samples_ts"),
    "words": ({"samples_ns": ["1", "2"]}, "a row could not be read: samples_ns.0: Input should be a valid number"),
    "no count": ({"n_gen": None}, "a row could not be read: n_gen: Field required"),
    "another test": ({"n_prompt": 511}, "a row that nobody asked for: n_prompt 511"),
    "huge": ({"samples_ns": [10**400, 1]}, "a row could not be read: samples_ns.0"),
}


@pytest.mark.parametrize("odd", ODD_ROWS)
def test_a_row_that_cannot_be_believed_is_a_failure(odd: str, make_stub: MakeStub, make_cell: MakeCell) -> None:
    edit, sentence = ODD_ROWS[odd]
    (launch,) = make_stub(edits=[edit]).measure(make_cell(*PP))
    assert launch.failure is not None
    assert sentence in launch.failure
    assert launch.samples == {}


@pytest.mark.parametrize("duration_ns", [0, -5, math.inf, math.nan])
def test_a_figure_that_is_no_speed_is_left_to_the_judge(
    duration_ns: float, make_stub: MakeStub, make_cell: MakeCell
) -> None:
    (launch,) = make_stub(edits=[{"samples_ns": [duration_ns, 1e9], "samples_ts": None}]).measure(make_cell(*PP))
    assert launch.failure is None
    assert not 0 < launch.samples["pp_tps"][0] < math.inf


def test_a_setting_that_the_engine_did_not_follow_is_noted(make_stub: MakeStub, make_cell: MakeCell) -> None:
    cell = make_cell(*PP, settings={"threads": 4})
    (launch,) = make_stub(edits=[{"n_threads": 1}]).measure(cell)
    assert launch.evidence["notes"] == ["n_threads: 4 was asked for, the engine reports 1"]


def test_a_second_row_of_one_test_is_noted_and_not_waited_for(make_stub: MakeStub, make_cell: MakeCell) -> None:
    stub = make_stub(twice=True, fault="hang", after=2)
    prefill, decode = stub.measure(make_cell(*PP), make_cell(*TG))
    assert prefill.failure is None
    assert decode.failure is None
    assert decode.evidence["notes"] == ["a row that nobody asked for: n_prompt 512, n_gen 0, n_depth 0"]


def test_an_option_that_the_build_lacks_is_named(make_stub: MakeStub, make_cell: MakeCell) -> None:
    stub = make_stub(lacks=["--flash-attn"])
    with pytest.raises(EngineMissing, match=r"llama-bench 0\.0\.0-stub .* has no option -fa or --flash-attn") as caught:
        stub.launch(make_cell(*PP, settings={"flash_attn": "on"}))
    assert "the setting flash_attn" in str(caught.value)


def test_a_depth_needs_a_build_that_knows_depths(make_stub: MakeStub, make_cell: MakeCell) -> None:
    stub = make_stub(lacks=["--n-depth"])
    with pytest.raises(EngineMissing, match="a workload with n_depth"):
        stub.launch(make_cell(*PP, n_depth=64))
    (launch,) = stub.measure(make_cell(*PP))
    assert launch.failure is None


def test_a_comma_in_a_path_is_refused(make_stub: MakeStub, make_cell: MakeCell) -> None:
    with pytest.raises(EngineFailure, match="splits its arguments at commas"):
        make_stub().engine.launch([make_cell(*PP)], Path("/models/a,b.gguf"), print)


def test_a_missing_model_is_told_in_the_engines_words(make_stub: MakeStub, make_cell: MakeCell) -> None:
    stub = make_stub()
    stub.artifact.unlink()
    (launch,) = stub.measure(make_cell(*PP))
    assert launch.failure is not None
    assert "failed to load model" in launch.failure
