"""Was the machine fit to be measured meanwhile? From a launch's telemetry to sentences, each advice or a verdict.

Pure, and conservative: ``invalid`` is only what proves that the figure is not that of this machine as it was set up
(the hardware throttled, a setting changed in mid-measurement, memory came back from swap). ``slowing`` is what explains
a slower figure as well as the engine does. What merely may have disturbed it is ``advice``. What the telemetry does not
tell (None) raises nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from pytest_thor.units import format_bytes, format_percent, format_significant

Rule: TypeAlias = Literal["advice", "slowing", "invalid"]

_NORMAL = ("power cap",)  # what every large GPU does under full load: the figure is that of its power limit
_MIB = 2.0**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something about the machine during a launch; ``amount`` orders those of one ``name``, larger is worse."""

    name: str
    rule: Rule
    sentence: str
    amount: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionLimits:
    """From where on a condition is told, and from where on it is invalid (None: never).

    Shares are of the timed part, or of all CPUs; rates are per second of the timed part. Of less than ``least_s``
    seconds the kernel's count of processor time tells too little.
    """

    throttled_share: float = 0.01
    overcurrent_per_s: float = 1.0
    other_cpu: float = 0.1
    other_cpu_invalid: float | None = None
    full_cpu: float = 0.9
    least_s: float = 1.0
    steal: float = 0.05
    available_bytes: float = 512 * _MIB
    swapped_bytes: float = 1 * _MIB
    swapped_in_invalid_bytes: float = 256 * _MIB
    read_bytes: float = 256 * _MIB
    covered: float = 0.5
    sampler_cores: float = 0.01


DEFAULT_LIMITS = ConditionLimits()


def conditions(
    telemetry: Mapping[str, Any],
    *,
    cpus: int,
    limits: ConditionLimits = DEFAULT_LIMITS,
    settings: Mapping[str, str | None] | None = None,
    period: str = "the timed part",
) -> tuple[Condition, ...]:
    """Return what there is to say of one launch's telemetry (docs/thor-telemetry.md), the invalid first.

    ``cpus`` is how many the machine has; ``settings`` are those of the run's first launch, or None;
    ``period`` what was watched, in words.
    """
    found = [
        *_throttled(telemetry, limits, period),
        *_settings(telemetry, settings or {}, period),
        *_neighbours(telemetry, limits, cpus),
        *_memory(telemetry, limits, period),
        *_sampling(telemetry, limits, period),
    ]
    return tuple(sorted(found, key=lambda condition: condition.rule != "invalid"))


def served(evidence: Mapping[str, Any]) -> tuple[Condition, ...]:
    """Return what there is to say of one launch's server, from its evidence; nothing of an engine without one.

    What spoils its figures is among the launch's own doubts; this is what a reader should know beside that.
    """
    found = []
    restarts = (evidence.get("server") or {}).get("restarts") or ()
    if restarts:
        sentence = f"the server was started again before this load, because in an earlier one {restarts[-1]}"
        found.append(Condition(name="restarted", rule="advice", sentence=sentence, amount=len(restarts)))
    delivery = evidence.get("held_back") or {}
    held, of = delivery.get("held") or 0, delivery.get("of") or 0
    if held:
        sentence = f"{held} of {of} answers were held back and then came nearly at once"
        found.append(Condition(name="held back", rule="advice", sentence=sentence, amount=held / of))
    return tuple(found)


def gathered(launches: Sequence[Iterable[Condition]]) -> tuple[Condition, ...]:
    """Return one condition of each name over all launches of a cell: the worst, and in how many it was."""
    by_name: dict[str, list[Condition]] = {}
    for launch in launches:
        for name, condition in {condition.name: condition for condition in launch}.items():
            by_name.setdefault(name, []).append(condition)
    worst = []
    for found in by_name.values():
        chosen = max(found, key=lambda condition: (condition.rule == "invalid", condition.amount))
        times = f" (in {len(found)} of {len(launches)} launches)" if len(launches) > 1 else ""
        worst.append(replace(chosen, sentence=chosen.sentence + times))
    return tuple(sorted(worst, key=lambda condition: condition.rule != "invalid"))


def _throttled(telemetry: Mapping[str, Any], limits: ConditionLimits, period: str) -> Iterator[Condition]:
    for name, state in _known(telemetry, "throttle"):
        if state["share"] > 0 and not name.endswith(_NORMAL):
            yield Condition(
                name=f"throttled: {name}",
                rule="invalid" if state["share"] >= limits.throttled_share else "advice",
                sentence=f"the hardware throttled ({name}) for {format_percent(state['share'])} of {period}",
                amount=state["share"],
            )
    duration_s = telemetry.get("duration_s") or 0.0
    for name, count in _known(telemetry, "throttle_events"):
        if count > 0:
            often = name.startswith("oc") and count >= limits.overcurrent_per_s * duration_s
            what = "over-current or under-voltage events" if name.startswith("oc") else "times too hot"
            yield Condition(
                name=f"throttled: {name}",
                rule="invalid" if often else "advice",
                sentence=f"the hardware lowered clocks at {count} {what} ({name}) in {period}",
                amount=count,
            )


def _settings(telemetry: Mapping[str, Any], before: Mapping[str, str | None], period: str) -> Iterator[Condition]:
    changed = telemetry.get("settings_changed") or {}
    for name, (was, now) in changed.items():
        sentence = f"the setting {name} changed from {was} to {now} in {period}"
        yield Condition(name=f"setting: {name}", rule="invalid", sentence=sentence)
    for name, now in _known(telemetry, "settings"):
        was = before.get(name)
        if was is not None and was != now and name not in changed:
            sentence = f"the setting {name} is {now}, and was {was} when the run began"
            yield Condition(name=f"setting: {name}", rule="invalid", sentence=sentence)


def _neighbours(telemetry: Mapping[str, Any], limits: ConditionLimits, cpus: int) -> Iterator[Condition]:
    cpu = telemetry.get("cpu") or {}
    others, steal = cpu.get("others_cores"), cpu.get("steal_cores")
    if others is not None and others >= limits.other_cpu * cpus:
        invalid = limits.other_cpu_invalid is not None and others >= limits.other_cpu_invalid * cpus
        yield Condition(
            name="neighbours",
            rule="invalid" if invalid else "slowing" if _crowd(telemetry, limits, cpus) else "advice",
            sentence=f"other processes used {format_significant(others, 2)} of {cpus} CPUs{_busiest(cpu)}",
            amount=others,
        )
    if steal is not None and steal >= limits.steal * cpus:
        yield Condition(
            name="steal",
            rule="advice",
            sentence=f"the hypervisor gave {format_significant(steal, 2)} of {cpus} CPUs to other machines",
            amount=steal,
        )
    for process in telemetry.get("gpu_processes") or ():
        if process["ours"] is False:
            held = process["memory_bytes"]
            with_memory = "" if held is None else f" and holds {format_bytes(held)} of its memory"
            yield Condition(
                name=f"gpu neighbour {process['pid']}",
                rule="advice",
                sentence=f"{process['name']} (process {process['pid']}) also uses gpu{process['gpu']}{with_memory}",
                amount=held or 0.0,
            )


def _crowd(telemetry: Mapping[str, Any], limits: ConditionLimits, cpus: int) -> bool:
    """Tell whether others took processor time that the engine wanted: no CPU was left, and some of them were its own.

    An engine that is none of our processes (behind an address, in a container) is itself among the others.
    """
    cpu = telemetry.get("cpu") or {}
    ours, others, steal = (cpu.get(f"{whose}_cores") or 0.0 for whose in ("ours", "others", "steal"))
    long_enough = (telemetry.get("duration_s") or 0.0) >= limits.least_s
    return long_enough and ours >= limits.other_cpu * cpus and ours + others + steal >= limits.full_cpu * cpus


def _busiest(cpu: Mapping[str, Any]) -> str:
    busiest = [f"{one['name']} (process {one['pid']})" for one in cpu.get("busiest") or () if one["cores"] >= 0.05]
    return f", {' and '.join(busiest[:2])} most" if busiest else ", short-lived ones most"


def _memory(telemetry: Mapping[str, Any], limits: ConditionLimits, period: str) -> Iterator[Condition]:
    available = (telemetry.get("memory_bytes") or {}).get("available")
    if available is not None and available["min"] < limits.available_bytes:
        sentence = f"only {format_bytes(available['min'])} of memory were left"
        yield Condition(name="memory", rule="advice", sentence=sentence, amount=-available["min"])
    moved = dict(_known(telemetry, "moved_bytes"))
    swapped_in, swapped_out = moved.get("swapped_in", 0.0), moved.get("swapped_out", 0.0)
    if swapped_in + swapped_out >= limits.swapped_bytes:
        yield Condition(
            name="swap",
            rule="invalid" if swapped_in >= limits.swapped_in_invalid_bytes else "advice",
            sentence=f"{format_bytes(swapped_in)} came back from swap and {format_bytes(swapped_out)} went there",
            amount=swapped_in + swapped_out,
        )
    if (read := moved.get("read_from_disk", 0.0)) >= limits.read_bytes:
        sentence = f"{format_bytes(read)} were read from disk in {period}: is the model larger than the memory?"
        yield Condition(name="disk", rule="advice", sentence=sentence, amount=read)


def _sampling(telemetry: Mapping[str, Any], limits: ConditionLimits, period: str) -> Iterator[Condition]:
    covered = telemetry.get("covered")
    if covered is not None and covered < limits.covered:
        sentence = f"the machine was watched for {format_percent(covered)} of {period} only"
        yield Condition(name="covered", rule="advice", sentence=sentence, amount=1 - covered)
    used = (telemetry.get("cpu") or {}).get("sampler_cores")
    if used is not None and used > limits.sampler_cores:
        sentence = f"watching the machine used {format_percent(used)} of a CPU"
        yield Condition(name="sampler", rule="advice", sentence=sentence, amount=used)


def _known(telemetry: Mapping[str, Any], table: str) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in (telemetry.get(table) or {}).items() if value is not None]
