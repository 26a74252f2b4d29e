"""What vLLM's client says of its requests, under our definitions; the results are recorded from vLLM 0.32.0's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.serving.asked import Asked
from pytest_thor.serving.target import Dialect
from pytest_thor.serving.trace import Trace
from pytest_thor.serving.vllm_result import ServerCount, UnreadableResult, notes_of, read_result, traces_of
from tests.unit.serving.conftest import make_load, make_target

GOLDEN: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "golden" / "vllm_client_0.32.0.json").read_text()
)
LLAMA_COUNT = ServerCount(prompt=3 * 8, output=3 * 6)


def traces(
    recorded: dict[str, Any],
    dialect: Dialect,
    counted: ServerCount | None = None,
    output_len: int = 6,
    **asked: Any,
) -> list[Trace]:
    requests = len(recorded["errors"])
    planned = list(make_load(requests, output_len=output_len).requests)
    result = read_result(json.dumps(recorded), requests)
    return traces_of(result, planned, Asked(client="vllm", **asked), make_target(1, dialect), counted)


def test_vllms_own_server_tells_its_tokens_and_each_message_brings_one() -> None:
    recorded = GOLDEN["vllm_completions"]
    for place, trace in enumerate(traces(recorded, "vllm")):
        assert (trace.outcome, trace.output_tokens, trace.prompt_tokens) == ("complete", 6, 8)
        assert trace.ttft_ms == pytest.approx(recorded["ttfts"][place] * 1e3, abs=1e-5)
        assert trace.itl_ms == pytest.approx([gap * 1e3 for gap in recorded["itls"][place]], abs=1e-5)
        assert trace.e2el_ms == pytest.approx((recorded["ttfts"][place] + sum(recorded["itls"][place])) * 1e3, abs=1e-4)
        assert trace.tpot_ms == pytest.approx(sum(recorded["itls"][place]) * 1e3 / 5, abs=1e-4)


@pytest.mark.parametrize(("name", "dialect", "closing"), [("vllm_chat", "vllm", 0), ("llama_chat", "llama-server", 1)])
def test_a_chats_message_that_names_the_role_is_no_token_and_a_closing_one_neither(
    name: str, dialect: Dialect, closing: int
) -> None:
    recorded = GOLDEN[name]
    for place, trace in enumerate(traces(recorded, dialect, api="chat")):
        gaps = recorded["itls"][place]
        assert len(gaps) == 6 + closing
        assert trace.outcome == "complete"
        assert trace.ttft_ms == pytest.approx((recorded["ttfts"][place] + gaps[0]) * 1e3, abs=1e-5)
        assert trace.itl_ms == pytest.approx([gap * 1e3 for gap in gaps[1 : len(gaps) - closing]], abs=1e-5)
        assert trace.prompt_tokens == recorded["input_lens"][place]


def test_llama_servers_completions_are_counted_by_their_messages_as_far_as_those_prove_it() -> None:
    held_back, *others = traces(GOLDEN["llama_completions"], "llama-server")
    assert [trace.output_tokens for trace in others] == [6, 6]
    assert [len(trace.itl_ms or ()) for trace in others] == [5, 5]
    assert others[0].prompt_tokens is None
    assert (held_back.outcome, held_back.output_tokens, held_back.ttft_ms) == ("uncounted", None, None)


def test_what_messages_do_not_prove_the_servers_own_count_does() -> None:
    counted = traces(GOLDEN["llama_completions"], "llama-server", LLAMA_COUNT)
    assert [(trace.outcome, trace.output_tokens, trace.prompt_tokens) for trace in counted] == [("complete", 6, 8)] * 3
    assert (counted[0].ttft_ms, counted[0].itl_ms, counted[0].tpot_ms) == (None, None, None)


@pytest.mark.parametrize(
    ("counted", "output", "prompt"),
    [
        (ServerCount(prompt=3 * 8 + 3, output=3 * 6), 6, 9),  # a beginning-of-sequence token each
        (ServerCount(prompt=3 * 8 + 1, output=3 * 6), 6, None),
        (ServerCount(prompt=3 * 8, output=3 * 6 - 1), None, 8),
        (ServerCount(prompt=3 * 8, output=3 * 6 + 6), None, 8),  # somebody else asked, too
    ],
)
def test_a_count_that_is_another_proves_nothing(counted: ServerCount, output: int | None, prompt: int | None) -> None:
    trace = traces(GOLDEN["llama_completions"], "llama-server", counted)[0]
    assert (trace.output_tokens, trace.prompt_tokens) == (output, prompt)


def test_of_an_unknown_server_messages_prove_nothing() -> None:
    assert {trace.outcome for trace in traces(GOLDEN["llama_completions"], "openai")} == {"uncounted"}


def test_failures_short_answers_and_unread_counts_are_told_apart() -> None:
    found = traces(GOLDEN["faults"], "vllm", output_len=4)
    assert [(trace.outcome, trace.fault and trace.fault.cause) for trace in found] == [
        ("complete", None),
        ("short", None),
        ("failed", "http-503"),
        ("failed", "reset"),
        ("uncounted", None),  # an error within the stream, which vLLM's client takes for its end
        ("uncounted", None),  # cut off, likewise
        ("uncounted", None),  # no usage
        ("uncounted", None),  # usage, and no token
        ("failed", "no-tokens"),
        ("failed", "malformed-json"),
        ("complete", None),
    ]
    assert found[2].status == 503
    assert found[0].itl_ms is None  # the scripted server sends a closing message, which vLLM does not
    assert all(trace.token_ns == () for trace in found if trace.outcome == "failed")


def test_one_failure_and_the_servers_count_proves_nothing() -> None:
    counted = ServerCount(prompt=8 * 11, output=4 * 11)
    assert [trace.outcome for trace in traces(GOLDEN["faults"], "vllm", counted, output_len=4)].count("uncounted") == 4


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ("Bad Request", "http-400"),
        ("Too Many Requests", "http-429"),
        ("aiohttp.client_exceptions.ServerDisconnectedError: Server disconnected", "closed"),
        ("ConnectionResetError: [Errno 104] Connection reset by peer", "reset"),
        (
            "ClientConnectorError: Cannot connect to host h:1 ssl:default [Connect call failed ('h', 1)]",
            "connection-refused",
        ),
        ("TimeoutError", "timeout"),
        ("KeyError: 'text'", "client-error"),
        ("", "client-error"),
    ],
)
def test_an_error_has_one_cause_and_no_key_in_it(error: str, cause: str) -> None:
    recorded = GOLDEN["vllm_completions"] | {"output_lens": [0, 6, 6], "errors": [error, "", ""]}
    fault = traces(recorded, "vllm")[0].fault
    assert fault is not None
    assert (fault.cause, fault.detail) == (cause, error or "without a word")


def test_a_key_that_an_error_repeats_is_not_kept() -> None:
    recorded = GOLDEN["vllm_completions"] | {"output_lens": [0, 6, 6], "errors": ["KeyError: 'sk-123456'", "", ""]}
    planned = list(make_load(3, output_len=6).requests)
    target = make_target(1, "vllm", headers={"Authorization": "Bearer sk-123456"})
    [failed, *_] = traces_of(read_result(json.dumps(recorded), 3), planned, Asked(), target)
    assert failed.fault is not None
    assert failed.fault.detail == "KeyError: '***'"


def test_requests_wait_for_a_slot_at_a_rate_only() -> None:
    closed = traces(GOLDEN["vllm_rate"], "vllm")
    assert [trace.queue_ms for trace in closed] == [None] * 3
    queued = [trace.queue_ms for trace in traces(GOLDEN["vllm_rate"], "vllm", request_rate=4.0)]
    assert queued == pytest.approx([wait * 1e3 for wait in GOLDEN["vllm_rate"]["queue_times"]], abs=1e-4)


def test_the_client_is_known_by_its_stamps_and_its_peak() -> None:
    recorded = GOLDEN["llama_chat"]
    notes = notes_of(read_result(json.dumps(recorded), 3), traces(recorded, "llama-server", api="chat"))
    assert (notes.peak_concurrency, notes.stamped_by_client, notes.stamped_by_kernel) == (2, 3 * 8, 0)
    assert (notes.connections, notes.retried) == (None, None)
    assert notes.cpu_s == recorded["cpu_s"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it: Invalid JSON"),
        ("[]", "it: Input should be an object"),
        (json.dumps(GOLDEN["vllm_rate"] | {"ttfts": [0.1]}), "has 1 ttfts for 3 requests"),
        (json.dumps(GOLDEN["vllm_rate"] | {"ttfts": [0.1, -1, 0.1]}), "ttfts.1: Input should be greater than"),
        (json.dumps(GOLDEN["vllm_rate"] | {"itls": None}), "itls: Input should be a valid"),
        (json.dumps(GOLDEN["vllm_rate"] | {"duration": float("nan")}), "duration: "),
    ],
)
def test_another_result_is_told_and_not_measured(text: str, said: str) -> None:
    with pytest.raises(UnreadableResult, match=said):
        read_result(text, 3)


@given(
    gaps_s=st.lists(st.floats(0, 10), max_size=20),
    ttft_s=st.floats(0, 100),
    tokens=st.integers(0, 30),
    asked=st.integers(1, 30),
    dialect=st.sampled_from(["llama-server", "vllm", "openai"]),
    api=st.sampled_from(["completions", "chat"]),
)
def test_whatever_it_says_a_gap_is_known_only_where_every_token_has_its_message(
    *, gaps_s: list[float], ttft_s: float, tokens: int, asked: int, dialect: Dialect, api: str
) -> None:
    recorded = {
        **GOLDEN["vllm_rate"],
        "input_lens": [8],
        "output_lens": [max(tokens, 1)],
        "ttfts": [ttft_s],
        "itls": [gaps_s],
        "start_times": [5.0],
        "queue_times": [0.0],
        "errors": [""],
        "usage_tokens": [tokens],
    }
    [trace] = traces(recorded, dialect, output_len=asked, api=api)
    assert trace.outcome != "failed"
    if tokens:
        assert trace.output_tokens == tokens
    if trace.itl_ms is not None:
        assert len(trace.itl_ms) == (trace.output_tokens or 0) - 1
    assert trace.e2el_ms is not None
    assert 0 <= (trace.ttft_ms or 0) <= trace.e2el_ms <= (ttft_s + sum(gaps_s)) * 1e3 + 0.1
