"""May a figure be believed, given what the model costs and what the device can reach? Formulas: docs/limits.md."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_thor.cell import Kind, Setting, Workload
from pytest_thor.measurement import METRICS, Samples
from pytest_thor.roofline import Bound, Cost, Held, Limit, Roof
from pytest_thor.speculation import guesses_ahead
from pytest_thor.units import format_percent, format_quantity, format_significant

INDEPENDENT = 1 / 8
"""The share of a batch's tokens that are taken to choose experts by themselves: tokens of one text choose alike."""

_CAUSES = {
    "pp_tps": "the prompt came from a prefix cache, or the model or the number of tokens is another",
    "ttft_ms": "the prompts came from a prefix cache, or are shorter than they claim",
    "tg_tps": "the model or its quant is another, or tokens were miscounted",
    "tpot_ms": "the model or its quant is another, tokens were miscounted, or answers were held back and came at once",
    "e2el_ms": "the prompts came from a prefix cache, or the outputs are shorter than they claim",
    "output_tps": "tokens were miscounted, or the model is another",
    "total_tps": "the prompts came from a prefix cache, or tokens were miscounted",
    "request_rps": "the prompts came from a prefix cache, or the workload is another",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a workload asks of the device, at the least: tokens of one request, and how many requests share a step.

    ``cached`` says that prompts may come from a prefix cache, ``speculative`` that a step may give several tokens: what
    these make cheaper has no limit then. ``ranged`` says that lengths differ from request to request; the least stand
    here.
    """

    kind: Kind
    input_tokens: int
    output_tokens: int
    depth: int = 0
    concurrency: int = 1
    cached: bool = False
    speculative: bool = False
    ranged: bool = False


def load_of(workload: Workload, settings: Mapping[str, Setting] | None = None) -> Load:
    """Return a workload's load on an engine with ``settings``; of a range of lengths the least."""
    settings = settings or {}
    parameters = dict(workload.parameters)
    speculative = guesses_ahead(settings)
    if workload.kind != "serving":
        return Load(
            kind=workload.kind,
            input_tokens=_least(parameters.get("n_prompt")),
            output_tokens=_least(parameters.get("n_gen")),
            depth=_least(parameters.get("n_depth")),
            speculative=speculative,
        )
    most = parameters.get("max_concurrency") or parameters.get("num_prompts")
    return Load(
        kind="serving",
        input_tokens=_least(parameters.get("input_len")),
        output_tokens=_least(parameters.get("output_len")),
        concurrency=_least(most) or 1_000_000,
        cached=parameters.get("prefix_cache") is True or parameters.get("fresh_prompts") is False,
        speculative=speculative,
        ranged=any(isinstance(parameters.get(name), tuple) for name in ("input_len", "output_len")),
    )


def limits(cost: Cost, roof: Roof, load: Load) -> dict[str, Limit]:
    """Return the best that each metric of a load can reach, by the metric's name; of those that have a limit.

    A latency's limit holds for every sample of it, and so for every summary.
    """
    found: list[Limit | None]
    if load.kind == "prefill":
        least = _prefill(cost, roof, load.input_tokens, load.depth)
        found = [_rate("pp_tps", load.input_tokens, least)]
    elif load.kind == "decode":
        found = [None if load.speculative else _rate("tg_tps", 1, _decode(cost, roof, load.depth))]
    elif load.kind == "quality":
        found = []
    else:
        found = _serving(cost, roof, load)
    return {limit.metric: limit for limit in found if limit is not None}


def check(values: Mapping[str, float], *, cost: Cost, roof: Roof, load: Load) -> dict[str, Held]:
    """Hold figures against their limits, by the keys they come with: ``tg_tps``, ``ttft_ms.median``.

    A figure that is beyond its limit by more than the roof's tolerance carries its doubt, one sentence.
    """
    return hold(values, limits(cost, roof, load), cost=cost, roof=roof)


def hold(values: Mapping[str, float], limits: Mapping[str, Limit], *, cost: Cost, roof: Roof) -> dict[str, Held]:
    """Hold figures against limits that are known already; figures without one are left out."""
    held: dict[str, Held] = {}
    for key, value in values.items():
        limit = limits.get(key.partition(".")[0])
        if limit is not None and value > 0:
            efficiency = limit.efficiency(value)
            beyond = efficiency > 1 + roof.tolerance
            held[key] = Held(
                limit=limit,
                efficiency=efficiency,
                doubt=_sentence(key, value, limit, cost=cost, roof=roof) if beyond else None,
            )
    return held


def held_samples(samples: Samples, limits: Mapping[str, Limit], *, cost: Cost, roof: Roof) -> dict[str, Held]:
    """Hold one launch's samples against limits, by the median of each metric."""
    values = {
        f"{metric}.median" if limit.better == "lower" else metric: statistics.median(samples[metric])
        for metric, limit in limits.items()
        if samples.get(metric)
    }
    return hold(values, limits, cost=cost, roof=roof)


def doubt_of(held: Mapping[str, Held]) -> str | None:
    """Return the one sentence on figures of one measurement: of a latency, then of the furthest beyond; others by name.

    None is returned where every figure may be believed.
    """
    beyond = [item for item in held.items() if item[1].doubt is not None]
    beyond.sort(key=lambda item: (item[1].limit.better == "lower", item[1].efficiency), reverse=True)
    if not beyond:
        return None
    others = [METRICS[key.partition(".")[0]].title for key, _ in beyond[1:]]
    return f"{beyond[0][1].doubt}" + (
        f" (beyond their limits too: {', '.join(dict.fromkeys(others))})" if others else ""
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Floor:
    """The least time of some work, what it comes from, and the work in words."""

    seconds: float
    bound: Bound
    work: str


def _serving(cost: Cost, roof: Roof, load: Load) -> list[Limit | None]:
    prefill = None if load.cached or not load.input_tokens else _prefill(cost, roof, load.input_tokens, 0)
    step = None if load.speculative else _decode(cost, roof, load.input_tokens)
    found = [_latency("ttft_ms", prefill), _latency("tpot_ms", step) if load.output_tokens != 1 else None]
    if prefill is not None and step is not None and load.output_tokens:
        whole = prefill.seconds + (load.output_tokens - 1) * step.seconds
        work = f"{prefill.work} and {load.output_tokens - 1} × {step.work}"
        found.append(_latency("e2el_ms", _Floor(seconds=whole, bound=prefill.bound, work=work)))
    request = _shared(cost, roof, load)
    if load.output_tokens:
        found.append(_rate("request_rps", 1, request))
        # A longer request than the least has more tokens, and not as much more work for each.
        if not load.ranged:
            found.append(_rate("output_tps", load.output_tokens, request))
            found.append(None if load.cached else _rate("total_tps", load.input_tokens + load.output_tokens, request))
    return found


def _shared(cost: Cost, roof: Roof, load: Load) -> _Floor | None:
    """Return the least time of the device that one request takes, when as many as may run share every step.

    Calculating cannot be shared, and reading the weights can: by at most ``concurrency`` requests.
    """
    floors = []
    tokens, together = max(load.output_tokens - 1, 0), load.concurrency
    flops = 2 * cost.head_parameters + tokens * cost.decode_flops(0)
    prompt = 0 if load.cached else load.input_tokens
    if prompt:
        flops = cost.prefill_flops(prompt) + tokens * cost.decode_flops(prompt)
    calculating = roof.compute_s(flops, cost.arithmetics)
    if calculating is not None:
        floors.append(_Floor(seconds=calculating, bound="arithmetic", work=_operations(flops, cost, roof)))
    if not load.speculative:
        size = _step_bytes(cost, together) + together * cost.kv_bytes(prompt)
        reading = roof.read_s(size)
        if reading is not None:
            work = f"{_gigabytes(size, roof)} for each step of {together}"
            seconds = load.output_tokens * reading / together
            floors.append(_Floor(seconds=seconds, bound="bandwidth", work=work))
    return max(floors, key=lambda floor: floor.seconds, default=None)


def _prefill(cost: Cost, roof: Roof, tokens: int, depth: int) -> _Floor | None:
    """Return the least time of a prompt: calculating it, or reading every weight that it uses once."""
    if tokens < 1:
        return None
    flops = cost.prefill_flops(tokens, depth)
    size = _step_bytes(cost, tokens) + cost.kv_bytes(depth)
    return _slower(cost, roof, flops, size, of=f"for {tokens} tokens")


def _decode(cost: Cost, roof: Roof, depth: int) -> _Floor | None:
    """Return the least time of one generated token behind ``depth`` others."""
    return _slower(cost, roof, cost.decode_flops(depth), cost.weight_bytes() + cost.kv_bytes(depth), of="for a token")


def _slower(cost: Cost, roof: Roof, flops: float, size_bytes: float, *, of: str) -> _Floor | None:
    floors = []
    calculating, reading = roof.compute_s(flops, cost.arithmetics), roof.read_s(size_bytes)
    if calculating is not None:
        work = f"{_operations(flops, cost, roof)} {of}"
        floors.append(_Floor(seconds=calculating, bound="arithmetic", work=work))
    if reading is not None:
        floors.append(_Floor(seconds=reading, bound="bandwidth", work=f"{_gigabytes(size_bytes, roof)} {of}"))
    return max(floors, key=lambda floor: floor.seconds, default=None)


def _step_bytes(cost: Cost, tokens: int) -> float:
    return cost.weight_bytes(max(tokens * INDEPENDENT, 1.0))


def _rate(metric: str, count: int, floor: _Floor | None) -> Limit | None:
    if floor is None or count < 1 or floor.seconds <= 0:
        return None
    return Limit(metric=metric, value=count / floor.seconds, better="higher", bound=floor.bound, work=floor.work)


def _latency(metric: str, floor: _Floor | None) -> Limit | None:
    if floor is None or floor.seconds <= 0:
        return None
    return Limit(metric=metric, value=1000 * floor.seconds, better="lower", bound=floor.bound, work=floor.work)


def _operations(flops: float, cost: Cost, roof: Roof) -> str:
    peak = roof.peak(cost.arithmetics) or 0.0
    return f"{format_significant(flops / 1e12, 3)} TFLOP at {format_significant(peak / 1e12, 3)} TFLOP/s"


def _gigabytes(size_bytes: float, roof: Roof) -> str:
    rate = format_significant((roof.bandwidth or 0.0) / 1e9, 3)
    return f"{format_significant(size_bytes / 1e9, 3)} GB to read at {rate} GB/s"


def _sentence(key: str, value: float, limit: Limit, *, cost: Cost, roof: Roof) -> str:
    metric, _, summary = key.partition(".")
    unit, title = METRICS[metric].unit, METRICS[metric].title
    given, best = format_quantity(value, unit), format_quantity(limit.value, unit)
    beyond = f"below {best}, the least that" if limit.better == "lower" else f"above {best}, the most that"
    reach = "needs" if limit.better == "lower" else "reaches"
    source = ", as measured" if roof.measured else ""
    return (
        f"{summary + ' ' if summary else ''}{title} of {given} is {beyond} {cost.name} {reach} on {roof.name}{source} "
        f"({limit.work}; tolerance {format_percent(roof.tolerance)}): most likely {_CAUSES[metric]}"
    )


def _least(length: Setting) -> int:
    """Return a length, the least of a range, or 0 where it is not known before."""
    value = length[0] if isinstance(length, tuple) and length else length
    return int(value) if isinstance(value, int | float) and value > 0 else 0
