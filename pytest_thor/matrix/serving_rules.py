"""What the keys of a serving workload say together: whether they are one load, with an end and a pace."""

from __future__ import annotations

from pytest_thor.matrix.points import SWEPT
from pytest_thor.matrix.serving import LengthRange, Serving
from pytest_thor.matrix.serving_written import ServingWritten
from pytest_thor.matrix.tree import Entries, Leaf, Path

_BEYOND_VLLM = {
    "trace": "replays no such trace: give lengths and num_prompts",
    "duration": "sends a number of requests, not for a time: give num_prompts",
    "ramp_up": "can only raise the rate over the whole load: remove ramp_up",
}
"""What vLLM's client cannot be asked for, and what to do."""


def check_serving(written: ServingWritten) -> None:
    """Note what is wrong with a serving workload beyond the types of its values."""
    for check in (
        _check_nothing_is_empty,
        _check_lengths,
        _check_end,
        _check_pace,
        _check_arrivals,
        _check_sweep,
        _check_client,
    ):
        check(written)


def _check_nothing_is_empty(written: ServingWritten) -> None:
    for key, value in written.given.items():
        if isinstance(value, Leaf) and value.value is None and not value.refused and key in Serving.model_fields:
            written.refuse_key(key, f"{key} is empty: give it a value, or remove the line")
    for key in ("slo", "sweep"):
        inner = written.given.get(key)
        if isinstance(inner, Entries) and not inner.entries:
            written.refuse_key(key, f"{key} is empty: give it {_choices(key)}, or remove it")


def _choices(key: str) -> str:
    return "ttft_ms, tpot_ms or e2el_ms" if key == "slo" else "max_concurrency or request_rate"


def _check_lengths(written: ServingWritten) -> None:
    for key in ("input_len", "output_len"):
        if key not in written.given and "trace" not in written.given:
            written.miss(key)
        elif key in written.given and "trace" in written.given:
            written.refuse_key(key, f"the trace says how long each request is: remove {key}")
        length = getattr(written.entry, key)
        if isinstance(length, LengthRange) and length.min > length.max:
            written.refuse_value((key, "max"), f"{key}: its max of {length.max} is less than its min of {length.min}")


def _check_end(written: ServingWritten) -> None:
    """Note a load that says twice or never when it ends, or asks for more than its trace has."""
    entry, given = written.entry, written.given
    if "num_prompts" in given and "duration" in given:
        second = max("num_prompts", "duration", key=lambda key: written.node.keys[key])
        written.refuse_key(second, "num_prompts and duration both say when the load ends: remove one")
    elif not {"num_prompts", "duration", "trace"} & set(given):
        written.miss("num_prompts", ": say how many requests are sent, or for how long with duration (60s)")
    if written.trace and entry.num_prompts and entry.num_prompts > len(written.trace.requests):
        written.refuse_value(
            ("num_prompts",), f"the trace has {len(written.trace.requests)} requests: ask for so many, or fewer"
        )


def _check_pace(written: ServingWritten) -> None:
    """Note a load that does not say when to send, or more requests at a time than there are."""
    given = written.given
    broken_trace = "trace" in given and written.trace is None
    timed = written.trace is not None and written.trace.is_timed
    if not {"max_concurrency", "request_rate", "sweep"} & set(given) and not timed and not broken_trace:
        why = ": the trace does not say when requests arrive, so" if written.trace else ":"
        written.miss(
            "max_concurrency", f"{why} say how many requests run at a time, or give request_rate (requests per second)"
        )
    if "request_rate" in given or timed:
        return  # then it is a limit, which need not be reached
    number = written.num_prompts
    levels: list[tuple[int | float, Path]] = [
        (value, place) for swept, value, place in written.points() if swept == "max_concurrency"
    ]
    if written.entry.max_concurrency is not None and "sweep" not in given:
        levels.append((written.entry.max_concurrency, ("max_concurrency",)))
    for level, place in levels:
        if number is not None and level > number:
            written.refuse_value(
                place,
                f"max_concurrency {level} is never reached with {number} prompts: raise num_prompts or lower "
                "max_concurrency",
            )


def _check_arrivals(written: ServingWritten) -> None:
    """Note what shapes arrivals where nothing arrives by itself."""
    entry, given = written.entry, written.given
    swept = written.given.get("sweep")
    by_rate = "request_rate" in given or (isinstance(swept, Entries) and "request_rate" in swept.entries)
    if "burstiness" in given and not by_rate:
        written.refuse_key("burstiness", "burstiness shapes the arrivals of a request_rate: give one, or remove this")
    if entry.ramp_up and not by_rate and written.trace and written.trace.is_timed:
        written.refuse_key("ramp_up", "the trace says when requests arrive: remove ramp_up, or give a request_rate")
    if entry.duration is not None and entry.ramp_up >= entry.duration:
        written.refuse_value(("ramp_up",), "ramp_up takes all of duration: make it shorter")


def _check_sweep(written: ServingWritten) -> None:
    swept = written.given.get("sweep")
    if not isinstance(swept, Entries):
        return
    if SWEPT.keys() <= swept.entries.keys():
        written.refuse_key("sweep", "a sweep has one of max_concurrency and request_rate, and this has both")
    for key in swept.entries:
        if key in SWEPT and key in written.given:
            written.refuse_key(key, f"the sweep gives each of its workloads a {key}: remove this one")
    seen = set()
    for _, value, place in written.points():
        if value in seen:
            written.refuse_value(place, f"the sweep has {value:.10g} a second time: remove it")
        seen.add(value)


def _check_client(written: ServingWritten) -> None:
    """Note what the client that is asked for cannot do."""
    if written.entry.client != "vllm":
        return
    for key, why in _BEYOND_VLLM.items():
        if key in written.given and (key != "ramp_up" or written.entry.ramp_up):
            written.refuse_key(key, f"vLLM's client {why}, or remove client")
