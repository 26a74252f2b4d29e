"""Sound responses: what is sent, when, and what is made of the answers."""

from __future__ import annotations

import gc
import json
import resource
from typing import TYPE_CHECKING, Any

import pytest

from pytest_thor.measurement import METRICS
from tests.fakes.scripted_server import NOW_NS, Reply, completion, event, finish, stream, token, usage
from tests.unit.serving.conftest import make_load

if TYPE_CHECKING:
    from tests.unit.serving.conftest import Answer

SOUND = completion(4)


def body(request: bytes) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(request.partition(b"\r\n\r\n")[2])
    return content


def test_a_load_gives_every_latency_and_throughput_once_per_request_gap_and_run(answer: Answer) -> None:
    result, _ = answer(completion(4, interval_s=0.01), load=make_load(3, max_concurrency=2))

    assert {name: len(values) for name, values in result.samples.items()} == {
        "ttft_ms": 3,
        "tpot_ms": 3,
        "itl_ms": 9,
        "e2el_ms": 3,
        "output_tps": 1,
        "total_tps": 1,
        "request_rps": 1,
    }
    assert set(result.samples) <= set(METRICS)
    assert (result.doubts, result.failure) == ((), None)
    assert json.loads(json.dumps(result.evidence)) == result.evidence


def test_throughput_is_what_was_given_over_the_wall_time_of_the_run(answer: Answer) -> None:
    result, _ = answer(SOUND, load=make_load(5))
    duration_s = result.evidence["duration_s"]
    assert result.samples["output_tps"] == (20 / duration_s,)
    assert result.samples["total_tps"] == (60 / duration_s,)
    assert result.samples["request_rps"] == (5 / duration_s,)
    assert result.evidence["tokens"] == {
        "prompt_asked": 40, "prompt": 40, "output_asked": 20, "output": 20, "cached": 0,
    }  # fmt: skip


def test_arrivals_are_stamped_between_the_servers_sending_and_the_end_of_the_run(answer: Answer) -> None:
    """The time to the first token holds the scripted wait, and the gaps sum up to the scripted ones."""
    result, _ = answer(completion(3, first_s=0.05, interval_s=0.02))
    (request,) = result.evidence["per_request"]
    assert request["ttft_ms"] >= 50
    assert request["e2el_ms"] >= request["ttft_ms"] + 39
    assert sum(result.samples["itl_ms"]) == pytest.approx(request["e2el_ms"] - request["ttft_ms"], abs=0.002)
    assert request["tpot_ms"] == pytest.approx((request["e2el_ms"] - request["ttft_ms"]) / 2, abs=0.0006)


def test_a_request_says_what_the_contract_of_the_engines_asks_for(answer: Answer) -> None:
    _, server = answer(SOUND, load=make_load(1, prompt_len=3, output_len=4))
    assert server.requests[0].startswith(b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:")
    assert body(server.requests[0]) == {
        "model": "tiny",
        "prompt": [0, 1, 2],
        "max_tokens": 4,
        "ignore_eos": True,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("dialect", "parameters", "load", "extras"),
    [
        ("llama-server", {}, {}, {"cache_prompt": False, "timings_per_token": True}),
        ("llama-server", {}, {"prefix_cache": True}, {"cache_prompt": True, "timings_per_token": True}),
        ("llama-server", {"fresh_prompts": False}, {"salt": None}, {"timings_per_token": True}),
        ("vllm", {}, {}, {"cache_salt": "grain"}),
        ("vllm", {"fresh_prompts": False}, {"salt": None}, {}),
        ("openai", {}, {}, {}),
    ],
)
def test_each_dialect_is_kept_from_its_prefix_cache_in_its_own_words(
    answer: Answer, dialect: Any, parameters: dict[str, Any], load: dict[str, Any], extras: dict[str, Any]
) -> None:
    _, server = answer(SOUND, load=make_load(1, **load), dialect=dialect, **parameters)
    sent = body(server.requests[0])
    assert {name: sent[name] for name in ("cache_prompt", "timings_per_token", "cache_salt") if name in sent} == extras


def test_chat_sends_as_many_words_as_tokens_and_believes_the_engines_count(answer: Answer) -> None:
    reply = stream(
        [
            (0, {"choices": [{"delta": {"role": "assistant", "content": ""}}]}),
            (0.02, {"choices": [{"delta": {"reasoning_content": "Hm"}}]}),
            (0.02, {"choices": [{"delta": {"content": " yes"}}]}),
            (0.02, {"choices": [{"delta": {}, "finish_reason": "length"}]}),
            (0.02, usage(31, 2)),
            (0.02, "[DONE]"),
        ]
    )
    result, server = answer(reply, load=make_load(1, prompt_len=20, output_len=2), api="chat")
    assert server.requests[0].startswith(b"POST /v1/chat/completions ")
    (message,) = body(server.requests[0])["messages"]
    assert (message["role"], len(message["content"].split())) == ("user", 20)
    assert (result.doubts, result.evidence["tokens"]["prompt"]) == ((), 31)
    (request,) = result.evidence["per_request"]
    assert request["ttft_ms"] >= 20, "the role is no token, the reasoning is"
    assert len(result.samples["itl_ms"]) == 1


def test_slots_bound_what_is_open_at_a_time_and_connections_are_kept(answer: Answer) -> None:
    result, server = answer(completion(2, first_s=0.02), load=make_load(12, output_len=2, max_concurrency=3))
    assert result.evidence["peak_concurrency"] == 3
    assert server.connections == 3
    sent_s = [request["sent_s"] for request in result.evidence["per_request"]]
    assert sent_s == sorted(sent_s)
    assert all(later - earlier >= 0.02 for earlier, later in zip(sent_s, sent_s[3:], strict=False))


def test_llama_server_gets_a_new_connection_for_each_request_that_is_in_no_latency(answer: Answer) -> None:
    result, server = answer(SOUND, load=make_load(3), dialect="llama-server")
    assert (result.failure, server.connections) == (None, 3)
    assert all(b"\r\nConnection: close\r\n" in request for request in server.requests)


def test_requests_with_arrival_times_are_sent_then_and_not_before(answer: Answer) -> None:
    arrivals_s = (0.0, 0.05, 0.06, 0.15)
    load = make_load(4, arrivals_s=arrivals_s, max_concurrency=None)
    result, _ = answer(SOUND, load=load)
    for request, arrival_s in zip(result.evidence["per_request"], arrivals_s, strict=True):
        assert request["sent_s"] >= arrival_s
        assert request["queue_ms"] == pytest.approx((request["sent_s"] - arrival_s) * 1000, abs=0.002)


def test_waiting_for_a_slot_is_queue_time_and_in_no_latency(answer: Answer) -> None:
    load = make_load(2, output_len=2, arrivals_s=(0.0, 0.0), max_concurrency=1)
    result, _ = answer(completion(2, first_s=0.1), load=load)
    first, second = result.evidence["per_request"]
    assert second["queue_ms"] >= 100
    assert second["queue_ms"] + second["ttft_ms"] >= first["ttft_ms"] + 100


def test_a_duration_ends_the_sending_and_waits_for_what_is_open(answer: Answer) -> None:
    load = make_load(10_000, output_len=2, max_concurrency=2, duration_s=0.2, count=None)
    result, _ = answer(completion(2, first_s=0.03), load=load)
    counted = result.evidence["requests"]
    assert 2 < counted["sent"] == counted["complete"] < 100
    assert result.evidence["duration_s"] >= 0.2


def test_warm_up_requests_are_sent_first_and_measured_nowhere(answer: Answer) -> None:
    load = make_load(2, warmup=make_load(1, prompt_len=5).requests)
    result, server = answer(completion(4, prompt=5), SOUND, load=load)
    assert [len(body(request)["prompt"]) for request in server.requests] == [5, 8, 8]
    assert (result.evidence["requests"]["sent"], result.evidence["warmup"]["sent"]) == (2, 1)
    assert (len(result.samples["ttft_ms"]), result.doubts) == (2, ())


def test_tokens_from_the_prefix_cache_are_a_doubt_that_counts_them(answer: Answer) -> None:
    warm = stream([(0, token()), (0, finish()), (0, usage(8, 1, cached=6)), (0, "[DONE]")])
    cold = completion(1)
    load = make_load(2, output_len=1)
    result, _ = answer(warm, cold, load=load)
    assert result.doubts == ("6 of 16 prompt tokens came from the prefix cache",)
    welcome, _ = answer(warm, cold, load=load, prefix_cache=True)
    assert (welcome.doubts, welcome.evidence["tokens"]["cached"]) == ((), 6)


def test_outputs_of_another_length_are_counted_and_doubted_and_have_no_end_to_end_latency(answer: Answer) -> None:
    result, _ = answer(completion(3), completion(6), SOUND, load=make_load(3))
    counted = result.evidence["requests"]
    assert (counted["short"], counted["long"], counted["complete"]) == (1, 1, 1)
    (doubt,) = result.doubts
    assert doubt.split("; ") == [
        "1 of 3 outputs are shorter than asked (the shortest has 3 of 4 tokens)",
        "1 of 3 outputs are longer than asked (the longest has 6 tokens for 4 asked)",
    ]
    assert (len(result.samples["ttft_ms"]), len(result.samples["e2el_ms"])) == (3, 1)


def test_a_prompt_that_was_cut_is_doubted(answer: Answer) -> None:
    result, _ = answer(completion(4, prompt=5))
    assert result.doubts == ("1 of 1 prompts came out at another length (the first has 5 tokens for 8 sent)",)
    with_beginning, _ = answer(completion(4, prompt=9))
    assert with_beginning.doubts == ()


def test_without_usage_tokens_are_unknown_and_never_counted_from_messages(answer: Answer) -> None:
    silent = stream([(0, token()), (0.01, token()), (0.02, finish()), (0.02, "[DONE]")])
    result, _ = answer(silent, load=make_load(2, output_len=2))
    assert set(result.samples) == {"ttft_ms", "e2el_ms", "request_rps"}
    assert result.evidence["tokens"]["output"] is None
    (doubt,) = result.doubts
    assert doubt.startswith("2 of 2 responses do not say how many tokens they hold")


def test_tokens_that_all_come_at_the_end_have_no_first_one_but_an_end(answer: Answer) -> None:
    held_back = stream([(0.03, finish()), (0.03, usage(8, 4)), (0.03, "[DONE]")])
    result, _ = answer(held_back, slo_ttft_ms=1e6)
    assert (result.doubts, result.failure, result.evidence["requests"]["complete"]) == ((), None, 1)
    assert set(result.samples) == {"e2el_ms", "output_tps", "total_tps", "request_rps", "goodput_rps"}
    assert (result.evidence["ttft_unknown"], result.samples["goodput_rps"]) == (1, (0,))


def test_goodput_counts_the_complete_requests_within_every_limit_and_only_where_limits_are(answer: Answer) -> None:
    slow, fast = completion(4, first_s=0.2), SOUND
    result, _ = answer(slow, fast, fast, load=make_load(3), slo_ttft_ms=150.0, slo_e2el_ms=10_000.0)
    assert result.samples["goodput_rps"] == (2 / result.evidence["duration_s"],)
    unlimited, _ = answer(fast)
    assert "goodput_rps" not in unlimited.samples


def test_progress_is_told_with_the_speed_of_what_is_over(answer: Answer) -> None:
    told: list[tuple[str, float | None]] = []
    load = make_load(3, output_len=2, warmup=make_load(1, output_len=2).requests)
    answer(completion(2, first_s=0.4), load=load, on_progress=lambda *step: told.append(step))
    assert told[0] == ("warm-up, requests 0/1", None)
    steps = {step for step, rate in told if rate is not None}
    assert steps
    assert steps <= {"requests 1/3", "requests 2/3", "requests 3/3"}


def test_the_garbage_collector_is_as_before_when_the_run_is_over(answer: Answer) -> None:
    assert gc.isenabled()
    answer(SOUND)
    assert (gc.isenabled(), gc.get_freeze_count()) == (True, 0)


def test_no_socket_is_left_open(answer: Answer) -> None:
    """An open one would be a ResourceWarning, and so an error, when it is collected."""
    answer(SOUND, Reply(moments=()), load=make_load(3, max_concurrency=2), timeout_s=0.3)
    gc.collect()


def test_responses_beyond_the_limit_are_read_while_the_load_runs(
    answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_thor.serving.backlog.RAW_LIMIT_BYTES", 1000)
    result, _ = answer(completion(8, interval_s=0.002), load=make_load(12, output_len=8, max_concurrency=3))
    assert result.evidence["requests"]["complete"] == 12
    assert [request["index"] for request in result.evidence["per_request"]] == list(range(12))


def test_many_streams_at_a_time_need_no_limit_raised_by_hand(answer: Answer) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, soft), hard))
    try:
        answer(SOUND, load=make_load(1, max_concurrency=600))
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert allowed >= min(600, hard)


def test_a_prefix_stands_before_the_path(answer: Answer) -> None:
    _, server = answer(SOUND, path_prefix="/openai/")
    assert server.requests[0].startswith(b"POST /openai/v1/completions ")


def test_the_scripted_server_stamps_what_it_sends() -> None:
    stamped = event(token("@")).replace(b"@", NOW_NS)
    assert any(stamped in what for _, what in SOUND.moments if isinstance(what, bytes))
