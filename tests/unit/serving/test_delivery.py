"""Answers that come when they are ready, and answers that are held back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.serving.delivery import delivery_of
from pytest_thor.serving.exchange import Fault
from pytest_thor.serving.trace import Trace

MS = 1_000_000


def request(*, sent_ms: float, ttft_ms: float, whole_ms: float, prompt: int = 512, output: int = 64) -> Trace:
    first, last = (round((sent_ms + after) * MS) for after in (ttft_ms, whole_ms))
    return Trace(
        index=0,
        outcome="complete",
        fault=None,
        status=200,
        asked_prompt=prompt,
        asked_output=output,
        due_ns=None,
        sent_ns=round(sent_ms * MS),
        ended_ns=last,
        token_ns=(first, last),
        prompt_tokens=prompt,
        output_tokens=output,
    )


STREAMED = [(21.7, 153.9), (20.0, 156.1), (20.6, 144.3)]
HELD = [(155.5, 155.6), (155.2, 155.3), (158.1, 159.6), (153.8, 156.5), (150.1, 150.1), (147.6, 150.0), (144.4, 145.7)]
"""First token and whole time in ms as a starved vLLM gave them, one request after the other: 512 tokens in, 64 out."""


def in_turn(*times_ms: tuple[float, float]) -> list[Trace]:
    return [
        request(sent_ms=200.0 * number, ttft_ms=ttft, whole_ms=whole) for number, (ttft, whole) in enumerate(times_ms)
    ]


def test_a_starved_servers_answers_are_told_with_their_figures() -> None:
    delivery = delivery_of(in_turn(*STREAMED, *HELD))
    assert (delivery.held, delivery.of) == (7, 10)
    assert delivery.doubt is not None
    assert delivery.doubt.startswith("7 of 10 answers were held back and then came nearly at once: 0.02")
    assert "short of CPU" in delivery.doubt


def test_streamed_answers_are_not_held_back() -> None:
    assert delivery_of(in_turn(*STREAMED)).doubt is None
    assert delivery_of([]).doubt is None


def test_a_few_held_answers_are_counted_and_spoil_no_summary() -> None:
    delivery = delivery_of(in_turn(*STREAMED, *STREAMED, HELD[0]))
    assert (delivery.held, delivery.of, delivery.doubt) == (1, 7, None)


def test_one_packet_for_a_whole_answer_is_held_back() -> None:
    assert delivery_of(in_turn((199.4, 199.4))).held == 1


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"output_tokens": None, "outcome": "uncounted"}, id="uncounted"),
        pytest.param({"output_tokens": 15}, id="few tokens"),
        pytest.param({"token_ns": (5 * MS,)}, id="one message"),
        pytest.param({"outcome": "failed", "fault": Fault(cause="reset", detail="")}, id="failed"),
        pytest.param({"sent_ns": None}, id="never sent"),
    ],
)
def test_what_has_no_pace_is_not_judged(changed: dict[str, object]) -> None:
    [held] = in_turn(HELD[0])
    assert delivery_of([replace(held, **changed)]).of == 0  # type: ignore[arg-type]


def test_a_request_that_began_late_and_then_streamed_is_not_held_back() -> None:
    """The first of a server that compiles what it needs: ten seconds, and then as fast as the others."""
    delivery = delivery_of([request(sent_ms=-20_000.0, ttft_ms=10_000.0, whole_ms=10_136.0), *in_turn(*STREAMED)])
    assert (delivery.held, delivery.of) == (0, 4)


def test_a_request_that_waits_behind_others_is_not_held_back() -> None:
    """One slot, a hundred requests at once: the last waits for all the others' work."""
    traces = [
        request(sent_ms=0.0, ttft_ms=40.0 * number + 20, whole_ms=40.0 * number + 40, prompt=8, output=16)
        for number in range(100)
    ]
    assert delivery_of(traces).held == 0


@given(
    pace_ms=st.floats(0.05, 50),
    prompt_share=st.floats(0.0, 1.0),
    requests=st.lists(
        st.tuples(st.floats(0, 500), st.integers(1, 4096), st.integers(16, 512), st.floats(0, 40)),
        min_size=1,
        max_size=30,
    ),
)
def test_an_honest_server_of_one_slot_is_never_said_to_hold_back(
    pace_ms: float, prompt_share: float, requests: list[tuple[float, int, int, float]]
) -> None:
    """It reads a prompt no slower than it would decode it, answers in order of arrival, and wakes within 40 ms."""
    free_ms, traces = 0.0, []
    for sent_ms, prompt, output, wakes_ms in sorted(requests):
        begins = max(sent_ms, free_ms)
        first = begins + prompt * prompt_share * pace_ms + pace_ms
        free_ms = first + (output - 1) * pace_ms
        late = (first - sent_ms + wakes_ms, free_ms - sent_ms + wakes_ms)
        traces.append(request(sent_ms=sent_ms, ttft_ms=late[0], whole_ms=late[1], prompt=prompt, output=output))
    assert delivery_of(traces).held == 0


@given(st.lists(st.floats(60, 5000), min_size=1, max_size=20), st.integers(1, 100))
def test_an_answer_that_comes_within_a_microsecond_a_token_is_always_held_back(
    whole_ms: list[float], prompt: int
) -> None:
    traces = []
    at_ms = 0.0
    for whole in whole_ms:
        traces.append(request(sent_ms=at_ms, ttft_ms=whole - 0.015, whole_ms=whole, prompt=prompt, output=16))
        at_ms += whole + 1
    assert delivery_of(traces).held == len(traces)
