"""Why a run's figures cannot be what they claim, one sentence each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_thor.serving.asked import Asked
from pytest_thor.serving.metrics import Counts
from pytest_thor.serving.trace import Trace
from pytest_thor.units import format_percent


def doubts_of(
    traces: Sequence[Trace], counts: Counts, causes: Mapping[str, Mapping[str, Any]], asked: Asked
) -> tuple[str, ...]:
    """Return what speaks against the figures; nothing where they may be believed."""
    found = [
        _unlike_asked(traces, counts, causes, asked),
        _uncounted(counts, asked),
        None if asked.prefix_cache else _cached(counts),
        _other_prompts(traces, asked),
    ]
    return tuple(doubt for doubt in found if doubt is not None)


def _unlike_asked(
    traces: Sequence[Trace], counts: Counts, causes: Mapping[str, Mapping[str, Any]], asked: Asked
) -> str | None:
    wrong = counts.failed + counts.short + counts.long
    if wrong <= asked.max_failed * counts.sent:
        return None
    parts = []
    if counts.failed:
        parts.append(f"{counts.failed} of {counts.sent} requests failed ({described(causes)})")
    if counts.short:
        shortest = min((one for one in traces if one.outcome == "short"), key=lambda one: one.output_tokens or 0)
        given = f"{shortest.output_tokens} of {shortest.asked_output} tokens"
        parts.append(f"{counts.short} of {counts.sent} outputs are shorter than asked (the shortest has {given})")
    if counts.long:
        longest = max((one for one in traces if one.outcome == "long"), key=lambda one: one.output_tokens or 0)
        given = f"{longest.output_tokens} tokens for {longest.asked_output} asked"
        parts.append(f"{counts.long} of {counts.sent} outputs are longer than asked (the longest has {given})")
    tolerated = f"; max_failed tolerates {format_percent(asked.max_failed)}" if asked.max_failed else ""
    return "; ".join(parts) + tolerated


def described(causes: Mapping[str, Mapping[str, Any]]) -> str:
    """Return causes of failure as a line: ``3 × http-503: Loading model; 1 × reset: …``."""
    return "; ".join(f"{found['count']} × {cause}: {found['example']}" for cause, found in causes.items())


def _uncounted(counts: Counts, asked: Asked) -> str | None:
    if not counts.uncounted:
        return None
    if asked.client == "vllm":
        return (
            f"vLLM's client did not read how many tokens {counts.uncounted} of {counts.sent} responses hold (it looks "
            "for usage in a message of its own), and nothing else proves it, so that throughput and time per token "
            "are unknown"
        )
    return (
        f"{counts.uncounted} of {counts.sent} responses do not say how many tokens they hold (no usage, no timings), "
        "so that throughput and time per token are unknown"
    )


def _cached(counts: Counts) -> str | None:
    if not counts.cached:
        return None
    of = f"of {counts.prompt} " if counts.prompt is not None else ""
    return f"{counts.cached} {of}prompt tokens came from the prefix cache"


def _other_prompts(traces: Sequence[Trace], asked: Asked) -> str | None:
    """Compare the prompts that were evaluated with those that were sent, where token ids were sent.

    One token more is a beginning-of-sequence token that the engine adds.
    """
    if asked.api == "chat":
        return None
    others = [
        one
        for one in traces
        if one.outcome != "failed"
        and one.prompt_tokens is not None
        and not one.asked_prompt <= one.prompt_tokens <= one.asked_prompt + 1
    ]
    if not others:
        return None
    given = f"{others[0].prompt_tokens} tokens for {others[0].asked_prompt} sent"
    return f"{len(others)} of {len(traces)} prompts came out at another length (the first has {given})"
