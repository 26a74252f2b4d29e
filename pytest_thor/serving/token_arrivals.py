"""Which messages of a stream brought tokens, and how many each: never guessed, only reconciled with the engine's count.

A message may bring several tokens (speculative decoding, text held back until its UTF-8 is whole), and one without
text may bring one (a special token) or none (the first of some engines, the last of most).
"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_thor.serving.message import Message
from pytest_thor.serving.target import Dialect


def token_arrivals(
    messages: Sequence[tuple[int, Message]], total: int | None, dialect: Dialect
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Return when the messages that brought tokens arrived, and how many each brought (None where that is unknown).

    In this order: a running count in the messages themselves; as many messages with text as tokens; from vLLM, which
    sends a message only for tokens, as many messages as tokens. Else the messages with text, without counts: then a
    message without text is no token message, whatever the engine meant by it. Where none has text, all tokens were held
    back (half a character, special ones) and are there with the last message.
    """
    counted = _by_running_count(messages, total)
    if counted is not None:
        return counted
    choices = [(arrival_ns, one) for arrival_ns, one in messages if one.has_choice and not one.is_role]
    with_text = tuple(arrival_ns for arrival_ns, one in choices if one.has_text)
    candidates = [with_text]
    if dialect == "vllm":
        candidates.append(tuple(ns for ns, one in choices if one.has_text or one.finish_reason is None))
        candidates.append(tuple(ns for ns, _ in choices))
    for arrivals in candidates:
        if arrivals and len(arrivals) == total:
            return arrivals, (1,) * len(arrivals)
    if not with_text and total and choices:
        return (choices[-1][0],), (total,)
    return with_text, None


def _by_running_count(
    messages: Sequence[tuple[int, Message]], total: int | None
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Read the messages' own counts of the tokens so far; None unless each that could bring tokens has one."""
    bringing = [one for _, one in messages if one.has_choice and (one.has_text or one.finish_reason is None)]
    if not bringing or any(one.tokens_so_far is None for one in bringing if one.has_text or not one.is_role):
        return None
    arrivals: list[int] = []
    counts: list[int] = []
    before = 0
    for arrival_ns, one in messages:
        if one.tokens_so_far is not None and one.tokens_so_far > before:
            arrivals.append(arrival_ns)
            counts.append(one.tokens_so_far - before)
            before = one.tokens_so_far
    return (tuple(arrivals), tuple(counts)) if before == total else None
