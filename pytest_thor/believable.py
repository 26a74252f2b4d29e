"""Could a published result be what it claims? Its figures held against what its device can reach."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.artifacts.cost import cost_of_architecture
from pytest_thor.host.limits import known_roof
from pytest_thor.judge.physical import Load, check, doubt_of
from pytest_thor.published.names import size_in
from pytest_thor.published.records import PublishedResult
from pytest_thor.roofline import Cost, Held, Roof

_FAMILY = re.compile(r"(?:[^/]{1,80}/)?(qwen3|gpt-oss)(?:moe)?(?=[-_ .]|$)(?!\.\d)", re.IGNORECASE)
_OTHER_SHAPES = re.compile(r"(?:^|[-_. ])(?:vl|omni|embedding|reranker|next|asr|tts)(?:[-_. ]|$)", re.IGNORECASE)
_PUBLISHED_PRECISION = "BF16"
"""What a checkpoint is in whose name says no quant; taken for engines that load a checkpoint as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Believed:
    """A result held against its device: ``doubt`` is the sentence where a figure lies beyond, ``skipped`` why none was.

    ``assumed`` says what was taken for granted that the result does not state.
    """

    held: Mapping[str, Held]
    doubt: str | None = None
    skipped: str | None = None
    assumed: str | None = None
    device: str | None = None


def hold_published(result: PublishedResult, *, device: str | None = None) -> Believed:
    """Hold one result against the limits of its device.

    ``device`` is the user's word, for results that name no device; one that names another keeps its own.
    """
    name, roof = _roof(result.device, device)
    if roof is None:
        return Believed(held={}, skipped=f"no limits are known of {name}" if name else "no device is named")
    load = _load(result)
    if load is None:
        return Believed(held={}, skipped=f"a {result.kind} has no speed that a device limits", device=roof.name)
    cost, why = _cost(result)
    if cost is None:
        return Believed(held={}, skipped=why, device=roof.name)
    held = check(_values(result), cost=cost, roof=roof, load=load)
    return Believed(held=held, doubt=doubt_of(held), assumed=why, device=roof.name)


def known_device(name: str) -> bool:
    """Say whether the limits of a device are known, by its name or slug."""
    return known_roof(name) is not None


def architecture_named(model: str) -> str | None:
    """Return the known shape that a published model's name means, None where there is none or it may be another."""
    family, size = _FAMILY.match(model), size_in(model)
    if family is None or size is None or _OTHER_SHAPES.search(model):
        return None
    name = f"{family[1].lower()}-{size}"
    return name if name in ARCHITECTURES else None


def _roof(own: str | None, given: str | None) -> tuple[str | None, Roof | None]:
    """Return the device that counts, and its limits where they are known; people leave ``GeForce`` out."""
    theirs = (known_roof(own) or known_roof(f"GeForce {own}")) if own else None
    if given is None:
        return own, theirs
    roof = known_roof(given)
    if own is None or (theirs is not None and roof is not None and theirs.name == roof.name):
        return given, roof
    return own, theirs


def _cost(result: PublishedResult) -> tuple[Cost | None, str | None]:
    """Return what the model costs, with what had to be assumed; or None with the reason."""
    shape = architecture_named(result.model) if result.model else None
    if shape is None:
        return None, f"the shape of {result.model or 'a model without a name'} is not known"
    size = result.metrics.get("model_bytes")
    quant, assumed = result.quant, None
    if quant is None and size is None:
        if (result.label or "").upper().endswith("GGUF"):
            return None, f"{result.label} does not say which quant"
        quant, assumed = _PUBLISHED_PRECISION, f"taken as {_PUBLISHED_PRECISION}, since no quant is named"
    cost = cost_of_architecture(
        ARCHITECTURES[shape], quant or "", tensor_bytes=None if size is None else round(size.value)
    )
    return (None, f"nothing is known of the quant {quant}") if cost is None else (cost, assumed)


def _values(result: PublishedResult) -> dict[str, float]:
    """Return the figures to hold: speeds, and of each latency its median, the mean where no median is published."""
    values = {}
    for name, figure in result.metrics.items():
        metric, _, summary = name.partition(".")
        if summary in {"", "median"} or (summary == "mean" and f"{metric}.median" not in result.metrics):
            values[name] = figure.value
    return values


def _load(result: PublishedResult) -> Load | None:
    """Return the least that the workload asked for, from what was counted where that is less than was asked."""
    work = {name: value for name, value in result.workload.items() if isinstance(value, int)}
    if result.kind == "prefill":
        return Load(kind="prefill", input_tokens=work.get("n_prompt", 0), output_tokens=0, depth=work.get("n_depth", 0))
    if result.kind == "decode":
        return Load(kind="decode", input_tokens=0, output_tokens=work.get("n_gen", 0), depth=work.get("n_depth", 0))
    if result.kind != "serving":
        return None
    return Load(
        kind="serving",
        input_tokens=_length(result, work.get("input_len"), "input_tokens"),
        output_tokens=_length(result, work.get("output_len"), "output_tokens"),
        concurrency=work.get("max_concurrency") or work.get("num_prompts") or 1_000_000,
        ranged="input_len" not in work or "output_len" not in work,
    )


def _length(result: PublishedResult, asked: int | None, counted: str) -> int:
    """Return tokens of one request: as asked, or fewer where fewer were counted; 0 where lengths may differ."""
    total, requests = result.metrics.get(counted), result.metrics.get("completed")
    if asked is None or total is None or requests is None or not requests.value:
        return asked or 0
    return min(asked, int(total.value / requests.value))
