"""A load is what its workload asks for, the same again for its seed, and costs nothing until it is sent."""

import tracemalloc
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_thor.cell import Setting, Workload
from pytest_thor.errors import MatrixError
from pytest_thor.serving.load import Load, PlannedRequest, TokenIds, plan

TOKENS = TokenIds(size=2048, forbidden=frozenset(range(2022, 2048)))
BASE: dict[str, Setting] = {
    "input_len": 20,
    "output_len": 4,
    "num_prompts": 6,
    "duration_s": None,
    "max_concurrency": 2,
    "request_rate": None,
    "burstiness": 1.0,
    "ramp_up_s": 0.0,
    "warmup": 1,
    "prefix_cache": False,
    "fresh_prompts": True,
    "trace": None,
}


def planned(seed: int | None = None, **changes: Setting) -> Load:
    parameters = tuple(sorted({**BASE, **changes}.items()))
    return plan(Workload(name="w", kind="serving", parameters=parameters), token_ids=TOKENS, seed=seed)


def shapes(load: Load) -> list[tuple[int, int]]:
    return [(len(request.prompt), request.output_len) for request in load.requests]


def test_a_load_has_the_requests_that_were_asked_for() -> None:
    load = planned()
    assert [(request.index, request.arrival_s) for request in load.requests] == [(index, None) for index in range(6)]
    assert shapes(load) == [(20, 4)] * 6
    assert (load.count, load.max_concurrency, load.duration_s, load.prefix_cache) == (6, 2, None, False)


def test_the_requests_of_a_load_can_be_made_again() -> None:
    load = planned()
    assert list(load.requests) == list(load.requests)


def test_a_seed_is_fresh_recorded_and_enough_to_repeat_a_load() -> None:
    first, second = planned(), planned()
    assert first.seed != second.seed
    assert list(first.requests) != list(second.requests)
    again = planned(first.seed)
    assert list(again.requests) == list(first.requests)
    assert again.warmup == first.warmup


@given(seed=st.integers(0, 2**64 - 1), bounds=st.lists(st.integers(1, 60), min_size=4, max_size=4))
@settings(deadline=None)
def test_lengths_stay_within_their_range(seed: int, bounds: list[int]) -> None:
    inputs, outputs = sorted(bounds[:2]), sorted(bounds[2:])
    load = planned(seed, input_len=tuple(inputs), output_len=tuple(outputs), warmup=2)
    for request in (*load.warmup, *load.requests):
        assert inputs[0] <= len(request.prompt) <= inputs[1]
        assert outputs[0] <= request.output_len <= outputs[1]
        assert TOKENS.forbidden.isdisjoint(request.prompt)


def test_both_ends_of_a_range_are_drawn_as_often_as_its_middle() -> None:
    lengths = [shape[0] for shape in shapes(planned(1, input_len=(3, 5), num_prompts=3000))]
    assert {length: round(lengths.count(length) / 1000, 1) for length in sorted(set(lengths))} == {3: 1, 4: 1, 5: 1}


def test_warm_up_requests_are_apart_and_begin_like_no_measured_one() -> None:
    load = planned(warmup=3)
    assert [(request.index, request.arrival_s) for request in load.warmup] == [(0, None), (1, None), (2, None)]
    heads = [request.prompt[0] for request in (*load.warmup, *load.requests)]
    assert len(set(heads)) == 9
    assert planned(warmup=0).warmup == ()


def test_a_salt_is_new_for_every_load_even_of_one_seed() -> None:
    first, second = planned(5), planned(5)
    assert first.salt
    assert second.salt
    assert first.salt != second.salt


def test_a_load_that_wants_the_cache_is_not_salted() -> None:
    load = planned(prefix_cache=True)
    assert (load.salt, load.prefix_cache) == (None, True)


def test_a_fixed_prompt_set_is_the_same_in_every_run_and_in_every_number() -> None:
    first, second = planned(fresh_prompts=False), planned(fresh_prompts=False, num_prompts=3)
    assert first.seed == second.seed
    assert list(first.requests)[:3] == list(second.requests)
    assert (first.salt, first.prefix_cache) == (None, False)


def test_an_open_loop_sends_at_its_rate() -> None:
    load = planned(3, request_rate=50.0, max_concurrency=None, num_prompts=2000, input_len=1)
    times = [request.arrival_s or 0.0 for request in load.requests]
    assert times == sorted(times)
    assert times[-1] / 2000 == pytest.approx(1 / 50, rel=0.1)
    assert load.max_concurrency is None


def test_a_duration_ends_an_open_loop() -> None:
    load = planned(3, request_rate=50.0, num_prompts=None, duration_s=4.0)
    times = [request.arrival_s or 0.0 for request in load.requests]
    assert times[-1] < 4.0
    assert 130 < len(times) < 270  # 200 expected, 14 the standard deviation
    assert load.count is None


def test_a_closed_loop_of_a_duration_never_ends_by_itself() -> None:
    load = planned(num_prompts=None, duration_s=4.0, input_len=1)
    assert len(list(islice(load.requests, 5000))) == 5000
    assert (load.count, load.duration_s) == (None, 4.0)


def test_a_ramp_opens_the_slots_of_a_closed_loop_evenly() -> None:
    times = [request.arrival_s for request in planned(max_concurrency=4, ramp_up_s=2.0).requests]
    assert times == [0.0, 0.5, 1.0, 1.5, None, None]


def test_a_hundred_thousand_long_requests_take_no_memory_before_they_are_sent() -> None:
    tracemalloc.start()
    load = planned(input_len=2048, num_prompts=100_000, request_rate=100.0)
    last = None
    for request in islice(load.requests, 200):
        last = request
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(last, PlannedRequest)
    assert peak < 2_000_000


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    (tmp_path / "timed.jsonl").write_text(
        '{"timestamp": 9000, "input_length": 30, "output_length": 3}\n'
        '{"timestamp": 7500, "input_length": 10, "output_length": 1}\n'
        '{"timestamp": 8000, "input_length": 20, "output_length": 2}\n'
    )
    (tmp_path / "lengths.jsonl").write_text('{"input_len": 7, "output_len": 1}\n\n{"input_len": 5, "output_len": 9}\n')
    return tmp_path


def replayed(folder: Path, trace: str, seed: int | None = None, **changes: Setting) -> Load:
    without: dict[str, Setting] = {"input_len": None, "output_len": None, "max_concurrency": None, "num_prompts": None}
    parameters = tuple(sorted({**BASE, **without, "trace": trace, **changes}.items()))
    workload = Workload(name="w", kind="serving", parameters=parameters)
    return plan(workload, token_ids=TOKENS, seed=seed, folder=folder)


def test_a_trace_is_replayed_in_the_order_of_arrival(traces: Path) -> None:
    load = replayed(traces, "timed.jsonl", num_prompts=3)
    assert shapes(load) == [(10, 1), (20, 2), (30, 3)]
    assert [request.arrival_s for request in load.requests] == [0.0, 0.5, 1.5]
    assert len(load.warmup[0].prompt) == 10


def test_a_trace_may_be_cut_by_number_or_by_time(traces: Path) -> None:
    first = replayed(traces, "timed.jsonl", num_prompts=1)
    assert shapes(first) == [(10, 1)]
    second = replayed(traces, "timed.jsonl", duration_s=1.0)
    assert shapes(second) == [(10, 1), (20, 2)]


def test_a_rate_replaces_the_times_of_a_trace(traces: Path) -> None:
    load = replayed(traces, "timed.jsonl", 1, request_rate=1000.0, num_prompts=3)
    assert shapes(load) == [(10, 1), (20, 2), (30, 3)]
    assert all(0 < (request.arrival_s or 0) < 0.1 for request in load.requests)


def test_a_trace_without_times_begins_again_while_the_load_lasts(traces: Path) -> None:
    load = replayed(traces, "lengths.jsonl", duration_s=9.0, max_concurrency=1)
    shape = [(len(request.prompt), request.output_len) for request in islice(load.requests, 5)]
    assert shape == [(7, 1), (5, 9), (7, 1), (5, 9), (7, 1)]


def test_a_trace_that_changed_since_the_matrix_was_read_is_refused(traces: Path) -> None:
    with pytest.raises(MatrixError, match=r"timed\.jsonl:1:1: changed while the tests ran: run them again"):
        replayed(traces, "timed.jsonl", num_prompts=3, trace_sha256="0" * 64)
