"""One message of a stream of completions: JSON from outside to what a measurement needs of it.

Read by hand, not by a validating library: a run holds a hundred thousand of them, and every field may be missing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MOST_TOKENS = 10_000_000
"""No model takes or gives more for one request; what says so counts something else."""
_LONGEST_BYTES = 16 << 20
"""Of JSON; its value may take thirty times the memory."""
_TEXT_FIELDS = ("text", "content", "reasoning_content", "reasoning", "refusal")


class MalformedMessage(ValueError):  # noqa: N818 - reads as the state it reports
    """A message is not JSON, or not the JSON of a completion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a chunk says; None is "not said".

    ``has_choice`` is whether it continues a completion (a chunk that only counts does not), ``is_role`` whether it
    only says who speaks, ``has_text`` whether it brings text: of the answer, of the reasoning or of a tool call.
    ``tokens_so_far`` are the engine's own count up to here, ``prompt_tokens`` and ``cached_tokens`` of the prompt.
    """

    has_choice: bool
    has_text: bool
    is_role: bool
    finish_reason: str | None
    tokens_so_far: int | None
    prompt_tokens: int | None
    cached_tokens: int | None
    error: str | None


def read_message(data: bytes, *, is_error: bool = False) -> Message:
    """Return what one event's data says.

    Raises:
        MalformedMessage: it is not a JSON object.
    """
    if len(data) > _LONGEST_BYTES:
        raise MalformedMessage(f"an event of {len(data)} bytes: expected at most {_LONGEST_BYTES}")
    text = data.decode("utf-8", "replace")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        if is_error:
            return _message({}, error=text)
        raise MalformedMessage(f"an event holds {text[:80]!r}, which is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise MalformedMessage(f"an event holds {text[:80]!r}, not a JSON object")
    return _message(content, error=error_text(content, is_error=is_error))


def error_text(content: Mapping[str, Any], *, is_error: bool = False) -> str | None:
    """Return what an error object says, in the shapes that the engines use, or None where there is no error.

    Halves of characters, which JSON can write and nothing else can, become ``?``.
    """
    error = content.get("error")
    if error is None and (is_error or content.get("object") == "error"):
        error = content
    if error is None:
        return None
    said = error.get("message") if isinstance(error, dict) else error
    if isinstance(said, str):
        return said.encode(errors="replace").decode()
    try:
        return json.dumps(error)
    except RecursionError:  # it was read a few calls less deep
        return "an error that is nested too deeply to be shown"


def _message(content: Mapping[str, Any], *, error: str | None) -> Message:
    choices = content.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None
    delta = choice.get("delta") if choice else None
    spoken = delta if isinstance(delta, dict) else choice or {}
    has_text = any(spoken.get(name) for name in _TEXT_FIELDS) or bool(spoken.get("tool_calls"))
    finish = choice.get("finish_reason") if choice else None
    usage, timings = _table(content, "usage"), _table(content, "timings")
    cached = _count(_table(usage, "prompt_tokens_details"), "cached_tokens")
    evaluated, reused = _count(timings, "prompt_n"), _count(timings, "cache_n")
    whole_prompt = None if evaluated is None or reused is None else evaluated + reused
    return Message(
        has_choice=choice is not None,
        has_text=has_text,
        is_role="role" in spoken and not has_text,
        finish_reason=finish if isinstance(finish, str) else None,
        tokens_so_far=_first(_count(usage, "completion_tokens"), _count(timings, "predicted_n")),
        prompt_tokens=_first(_count(usage, "prompt_tokens"), whole_prompt),
        cached_tokens=_first(cached, reused),
        error=error,
    )


def _table(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = content.get(name)
    return value if isinstance(value, dict) else {}


def _count(content: Mapping[str, Any], name: str) -> int | None:
    value = content.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS else None


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)
