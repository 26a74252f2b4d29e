"""Which model a serving result is of, and under which load: from its own figures, then from what stands around it.

The result's own figures are believed; where a command or a heading says otherwise, the result carries a note.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pytest_thor.published.commands import Command
from pytest_thor.published.devices import device_in
from pytest_thor.published.names import of_path, size_in
from pytest_thor.published.page import Place
from pytest_thor.published.records import Figure, PublishedResult, Scalar

ENGINE = "vllm bench serve"
"""The client that measured; what it measured may have been any server."""
_LENGTH_TOLERANCE = 0.05
"""Prompts of random words come out a little shorter or longer in tokens than was asked."""
_SLACK = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What a result says of itself, before its surroundings are asked."""

    index: int
    metrics: Mapping[str, Figure]
    workload: Mapping[str, Scalar]
    label: str | None = None
    model: str | None = None
    quant: str | None = None
    date: str | None = None
    backend: str | None = None
    settings: Mapping[str, Scalar] | None = None
    notes: tuple[str, ...] = ()


def serving_result(stated: Stated, place: Place) -> PublishedResult:
    """Return the result with model, quant and load filled in from its surroundings."""
    command, beside = _command(place)
    label, model, quant = stated.label, stated.model, stated.quant
    if model is None:
        label, model, quant = _model(place, command if beside else None)
    workload, notes = _load(stated, command)
    metrics = dict(stated.metrics)
    return PublishedResult(
        source=place.source.name,
        line=stated.index + 1,
        kind="serving",
        engine=ENGINE,
        date=stated.date or place.source.date,
        label=label,
        model=model,
        quant=quant,
        backend=stated.backend,
        device=device_in(place.device_hints, backend=None),
        headings=place.path if place.label in {None, *place.path} else (*place.path, place.label or ""),
        workload=workload,
        settings=stated.settings or {},
        metrics=metrics,
        notes=(*stated.notes, *notes, *_contradictions(metrics)),
    )


def _command(place: Place) -> tuple[Command | None, bool]:
    """Return the command that made a result, and whether it stands beside it rather than shares its label."""
    loads = [command for command in place.commands if command.tool == "vllm bench serve"]
    for start in [*(index for _, _, index in reversed(place.headings)), -1]:
        near = [command for command in loads if command.index > max(start, place.ended)]
        if len(near) > 1:
            near = [command for command in near if command.label == place.label]
        if near:
            return near[-1], True
        if any(command.index > start for command in loads):
            break
    elsewhere = [command for command in loads if not place.opened < command.index <= place.ended]
    labelled = [command for command in elsewhere if command.label and command.label == place.label]
    return (labelled[-1], False) if labelled else (None, False)


def _model(place: Place, command: Command | None) -> tuple[str | None, str | None, str | None]:
    """Return label, model and quant from the command beside the result or the nearest heading, whichever is nearer."""
    candidates: list[tuple[int, str]] = []
    if heading := place.heading_model():
        candidates.append(heading)
    serves = [each for each in place.commands if each.tool == "vllm serve" and each.index > place.opened]
    for each in [*serves[-1:], *([command] if command else [])]:
        candidates.extend((each.index, file) for file in each.files[:1] if size_in(of_path(file)[0]))
    if not candidates:
        return None, None, None
    _, name = max(candidates)
    return name, *of_path(name)


def _load(stated: Stated, command: Command | None) -> tuple[dict[str, Scalar], list[str]]:
    """Return the load, and where command and figures disagree."""
    own = dict(stated.workload)
    asked = command.load if command else {}
    notes: list[str] = []
    completed, failed = (_value(stated.metrics, name) for name in ("completed", "failed"))
    sent = None if completed is None else round(completed + (failed or 0))
    if sent is not None and "num_prompts" not in own:
        own["num_prompts"] = sent
    for name, words in (("num_prompts", "prompts"), ("max_concurrency", "requests at a time")):
        if name in asked and name in own and own[name] != asked[name]:
            notes.append(f"the command asks for {asked[name]} {words}, the result has {own[name]}")
        elif name in asked and name not in own:
            notes.append(f"the command asks for {asked[name]} {words}, the result states none")
    if completed:
        for name, tokens, words in (("input_len", "input_tokens", "input"), ("output_len", "output_tokens", "output")):
            mean = _value(stated.metrics, tokens)
            wanted = asked.get(name)
            if mean is None or not isinstance(wanted, int) or name in own:
                continue
            mean /= completed
            longest = wanted * (1 + _LENGTH_TOLERANCE)
            shortest = wanted * (1 - _LENGTH_TOLERANCE) if name == "input_len" else 0
            if shortest <= mean <= longest:
                own[name] = wanted
                if name == "output_len" and mean < wanted * (1 - _SLACK):
                    notes.append(f"{mean:.1f} output tokens a request came of the {wanted} asked: some ended early")
            else:
                notes.append(f"the command asks for {wanted} {words} tokens, the result has {mean:.1f} a request")
    if "request_rate" in asked:
        own.setdefault("request_rate", asked["request_rate"])
    return own, notes


def _contradictions(metrics: Mapping[str, Figure]) -> Iterator[str]:
    """Yield where rate × duration is not the count, beyond what rounding explains."""
    for rate, count in (("request_rps", "completed"), ("output_tps", "output_tokens"), ("input_tps", "input_tokens")):
        speed, total, duration = (metrics.get(name) for name in (rate, count, "duration_s"))
        if speed is None or total is None or duration is None:
            continue
        expected = speed.value * duration.value
        rounding = _half_step(speed) * duration.value + _half_step(duration) * speed.value
        if abs(expected - total.value) > rounding + _SLACK * total.value:
            yield f"{rate} × duration_s is {expected:.4g}, {count} says {total.value:.4g}"


def _half_step(figure: Figure) -> float:
    match = re.fullmatch(r"\D{0,3}\d+(?:[.,](\d{1,9}))?\D*", figure.written or "")
    return 0.5 * 10.0 ** -len(match[1] or "") if match else 0.0


def _value(metrics: Mapping[str, Figure], name: str) -> float | None:
    return metrics[name].value if name in metrics else None
