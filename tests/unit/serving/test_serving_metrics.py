from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.serving.asked import Asked
from pytest_thor.serving.exchange import Fault
from pytest_thor.serving.metrics import (
    count,
    failures,
    latencies,
    percentile,
    recorded_ms,
    summary,
    throughputs,
)
from pytest_thor.serving.trace import Trace

MS = 1_000_000
COMPLETE = Trace(
    index=0,
    outcome="complete",
    fault=None,
    status=200,
    asked_prompt=10,
    asked_output=4,
    due_ns=1000 * MS,
    sent_ns=1005 * MS,
    ended_ns=1140 * MS,
    token_ns=(1055 * MS, 1075 * MS, 1135 * MS),
    token_counts=(1, 2, 1),
    prompt_tokens=10,
    output_tokens=4,
    cached_tokens=0,
)
FAILED = replace(COMPLETE, outcome="failed", fault=Fault(cause="reset", detail="after 1 bytes"))


def test_the_latencies_of_a_request_are_those_of_its_timeline() -> None:
    assert (COMPLETE.queue_ms, COMPLETE.ttft_ms, COMPLETE.e2el_ms) == (5, 50, 130)
    assert COMPLETE.tpot_ms == pytest.approx(80 / 3)


def test_a_gap_before_several_tokens_is_shared_among_them() -> None:
    assert COMPLETE.itl_ms == (10, 10, 60)
    assert replace(COMPLETE, token_counts=None).itl_ms is None


def test_what_is_not_known_is_none_and_never_0() -> None:
    one_token = replace(COMPLETE, token_ns=(1055 * MS,), token_counts=(1,), output_tokens=1)
    assert (one_token.ttft_ms, one_token.tpot_ms, one_token.itl_ms) == (50, None, ())
    at_once = replace(COMPLETE, token_ns=(1055 * MS,), token_counts=(4,))
    assert (at_once.ttft_ms, at_once.tpot_ms, at_once.e2el_ms) == (None, None, 50)
    in_one_segment = replace(COMPLETE, token_ns=(1055 * MS, 1055 * MS), token_counts=(3, 1))
    assert (in_one_segment.ttft_ms, in_one_segment.tpot_ms, in_one_segment.e2el_ms) == (50, None, 50)
    uncounted = replace(COMPLETE, output_tokens=None, token_counts=None)
    assert (uncounted.ttft_ms, uncounted.tpot_ms) == (50, None)
    never_sent = replace(FAILED, sent_ns=None)
    assert (never_sent.ttft_ms, never_sent.queue_ms) == (None, None)


def test_failed_requests_give_no_samples_and_those_of_other_lengths_no_end_to_end_latency() -> None:
    short = replace(COMPLETE, outcome="short", output_tokens=3)
    samples = latencies([COMPLETE, FAILED, short])
    assert {name: len(values) for name, values in samples.items()} == {
        "ttft_ms": 2, "tpot_ms": 2, "itl_ms": 6, "e2el_ms": 1,
    }  # fmt: skip
    assert latencies([FAILED]) == {}


def test_a_token_count_that_one_request_does_not_say_is_unknown_for_all() -> None:
    counts = count([COMPLETE, replace(COMPLETE, outcome="uncounted", output_tokens=None, cached_tokens=None), FAILED])
    assert (counts.prompt, counts.output, counts.cached, counts.sent) == (20, None, None, 3)
    assert set(throughputs([COMPLETE], counts, duration_s=2.0, asked=Asked())) == {"request_rps"}


def test_goodput_holds_every_limit_and_one_token_keeps_the_time_per_token() -> None:
    one_token = replace(COMPLETE, token_ns=(1055 * MS,), token_counts=(1,), output_tokens=1)
    traces = [COMPLETE, one_token, replace(COMPLETE, outcome="short"), FAILED]
    asked = Asked(slo_ttft_ms=50.0, slo_tpot_ms=20.0)
    assert throughputs(traces, count(traces), duration_s=2.0, asked=asked)["goodput_rps"] == 0.5


def test_causes_are_ranked_with_the_first_example_of_each() -> None:
    timeout = replace(FAILED, fault=Fault(cause="timeout", detail="first"))
    later = replace(FAILED, fault=Fault(cause="timeout", detail="second"))
    assert list(failures([FAILED, timeout, later, COMPLETE]).items()) == [
        ("timeout", {"count": 2, "example": "first"}),
        ("reset", {"count": 1, "example": "after 1 bytes"}),
    ]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.floats(0, 1))
def test_percentiles_are_numpys(values: list[float], share: float) -> None:
    numpy = pytest.importorskip("numpy")
    assert percentile(sorted(values), share) == pytest.approx(float(numpy.percentile(values, share * 100)), abs=1e-6)


def test_a_summary_of_nothing_is_nothing() -> None:
    assert summary([]) is None
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 0.5)
    assert summary([1.0, 2.0, 4.0]) == pytest.approx(
        {"count": 3, "mean": 7 / 3, "median": 2, "p90": 3.6, "p95": 3.8, "p99": 3.96, "min": 1, "max": 4}
    )


@given(st.floats(0, 1e7), st.sampled_from(["ttft_ms", "itl_ms", "e2el_ms", "tpot_ms"]))
def test_a_latency_is_kept_to_a_microsecond_in_few_characters(value: float, metric: str) -> None:
    kept = recorded_ms(metric, value)
    assert abs(kept - value) <= 0.000501
    assert (kept == 0) == (value == 0)
    assert recorded_ms(metric, kept) == kept


def test_samples_are_kept_as_finely_as_the_clock_is_true() -> None:
    odd = replace(COMPLETE, token_ns=(1055 * MS + 123_456, 1075 * MS + 123_999, 1135 * MS + 1), token_counts=(1, 1, 2))
    assert latencies([odd]) == {
        "ttft_ms": (50.123,), "tpot_ms": (26.625515,), "itl_ms": (20.001, 29.938, 29.938), "e2el_ms": (130.0,),
    }  # fmt: skip
