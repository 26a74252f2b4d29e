"""Which messages brought tokens: reconciled with the engine's count, or left unknown."""

from __future__ import annotations

from typing import Any

from pytest_thor.serving.message import Message, read_message
from pytest_thor.serving.target import Dialect
from pytest_thor.serving.token_arrivals import token_arrivals
from tests.fakes.scripted_server import event, finish, token, usage


def message(content: dict[str, Any]) -> Message:
    return read_message(event(content).removeprefix(b"data: "))


def arrivals(
    *contents: dict[str, Any], total: int | None, dialect: Dialect = "openai"
) -> tuple[list[int], tuple[int, ...] | None]:
    """Let the messages arrive at 1, 2, 3, …; return which ones brought tokens, and how many."""
    messages = [(number, message(content)) for number, content in enumerate(contents, 1)]
    found, counts = token_arrivals(messages, total, dialect)
    return list(found), counts


def so_far(number: int, text: str = " word") -> dict[str, Any]:
    return token(text, timings={"predicted_n": number})


def test_a_message_with_text_for_each_token() -> None:
    assert arrivals(token(), token(), finish(), usage(8, 2), total=2) == ([1, 2], (1, 1))


def test_an_empty_first_message_is_no_token() -> None:
    assert arrivals(token(""), token(), token(), finish(), total=2) == ([2, 3], (1, 1))


def test_several_tokens_in_a_message_leave_the_counts_unknown_where_nobody_says_them() -> None:
    assert arrivals(token(), token(" two words"), finish(), total=3) == ([1, 2], None)


def test_several_tokens_in_a_message_are_known_where_each_says_how_many_there_are_so_far() -> None:
    found = arrivals(so_far(1), so_far(4), so_far(5), finish(), usage(8, 5), total=5)
    assert found == ([1, 2, 3], (1, 3, 1))


def test_text_held_back_until_its_utf_8_is_whole_comes_with_its_tokens() -> None:
    assert arrivals(so_far(1), so_far(4, "€"), total=4) == ([1, 2], (1, 3))


def test_a_running_count_that_does_not_reach_the_total_is_not_believed() -> None:
    assert arrivals(so_far(1), so_far(2), total=5) == ([1, 2], None)


def test_a_running_usage_counts_as_timings_do() -> None:
    contents = [token(usage={"completion_tokens": number}) for number in (2, 4)]
    assert arrivals(*contents, total=4) == ([1, 2], (2, 2))


def test_usage_in_the_last_message_alone_is_no_running_count() -> None:
    last = {"choices": [{"text": "", "finish_reason": "length"}], "usage": {"completion_tokens": 2}}
    assert arrivals(token(), token(), last, total=2) == ([1, 2], (1, 1))


def test_tokens_that_were_all_held_back_are_there_with_the_last_message() -> None:
    last = {"choices": [{"text": "", "finish_reason": "length"}], "usage": {"completion_tokens": 2}}
    assert arrivals(last, total=2) == ([1], (2,))
    assert arrivals(token(""), token(""), last, total=2) == ([3], (2,))
    assert arrivals(finish("stop"), usage(8, 0), total=0) == ([], None)


def test_all_tokens_in_one_message_are_known_to_be_so() -> None:
    whole = {"choices": [{"text": "all of it", "finish_reason": "length"}], "usage": {"completion_tokens": 5}}
    assert arrivals(whole, total=5) == ([1], (5,))


def test_from_vllm_a_message_without_text_is_a_token_where_the_count_proves_it() -> None:
    assert arrivals(token(""), token(), token(""), usage(8, 3), total=3, dialect="vllm") == ([1, 2, 3], (1, 1, 1))
    assert arrivals(token(""), token(), finish(), total=2, dialect="vllm") == ([1, 2], (1, 1))
    assert arrivals(token(""), finish(), total=2, dialect="vllm") == ([1, 2], (1, 1))
    assert arrivals(token(""), token(), token(""), total=9, dialect="vllm") == ([2], None)


def test_a_role_is_no_token_and_reasoning_and_tool_calls_are() -> None:
    deltas = [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "Hm"},
        {"reasoning": "so"},
        {"content": "yes"},
        {"tool_calls": [{"function": {"arguments": "{"}}]},
        {},
    ]
    contents = [{"choices": [{"delta": delta}]} for delta in deltas]
    assert arrivals(*contents, total=4) == ([2, 3, 4, 5], (1, 1, 1, 1))


def test_a_role_that_comes_with_text_is_a_token() -> None:
    assert arrivals({"choices": [{"delta": {"role": "assistant", "content": "I"}}]}, total=1) == ([1], (1,))


def test_without_a_total_nothing_is_counted() -> None:
    assert arrivals(token(), token(), total=None) == ([1, 2], None)


def test_timings_of_llama_server_count_prompt_and_cache_where_there_is_no_usage() -> None:
    read = message({"choices": [], "timings": {"cache_n": 5, "prompt_n": 3, "predicted_n": 7}})
    assert (read.prompt_tokens, read.cached_tokens, read.tokens_so_far) == (8, 5, 7)


def test_fields_of_other_types_are_not_known() -> None:
    read = message({"choices": "none", "usage": {"completion_tokens": "7", "prompt_tokens": True}, "timings": []})
    assert (read.has_choice, read.tokens_so_far, read.prompt_tokens) == (False, None, None)
