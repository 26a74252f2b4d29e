"""The JSON of ``vllm bench serve``: one object a run, with every request's times where it was saved in detail."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pytest_thor.published.names import of_path
from pytest_thor.published.numbers import UnreadableNumberError
from pytest_thor.published.page import Place, iso_date
from pytest_thor.published.records import Figure, PublishedResult, Scalar, Unread, unread
from pytest_thor.published.serving_labels import of_key
from pytest_thor.published.serving_load import Stated, serving_result

_LISTS = frozenset(
    {
        *("input_lens", "output_lens", "ttfts", "itls", "latencies", "start_times", "queue_times"),
        *("generated_texts", "errors", "rps_change_events", "spec_decode_per_position_acceptance_rates"),
    }
)
_STATED = frozenset(
    {"date", "model_id", "tokenizer_id", "num_prompts", "request_rate", "max_concurrency", "backend", "endpoint_type"}
)


def is_result(fields: Mapping[str, Any]) -> bool:
    """Say whether an object is one run of ``vllm bench serve``."""
    return "completed" in fields and ("request_throughput" in fields or "duration" in fields)


def read_result(fields: Mapping[str, Any], index: int, place: Place) -> tuple[list[PublishedResult], list[Unread]]:
    """Read one run; a figure that is none is listed, and the others stand."""
    metrics: dict[str, Figure] = {}
    problems: list[Unread] = []
    settings: dict[str, Scalar] = {}
    for key, value in fields.items():
        named = of_key(key)
        if value is None or key in _LISTS or key in _STATED:
            continue
        if named is None:
            _setting(settings, key, value, index, problems)
            continue
        try:
            metrics[named.name] = Figure(value=_number(key, value), unit=named.unit)
        except UnreadableNumberError as error:
            problems.append(unread(index, f"{key}: {value}"[:200], str(error)))
    for metric, samples in _samples(fields).items():
        median = metrics.get(f"{metric}.median")
        if median is not None:
            metrics[f"{metric}.median"] = Figure(value=median.value, unit="ms", samples=samples)
    if not metrics:
        problems.append(unread(index, str(dict(fields))[:200], "no readable figure"))
        return [], problems
    label, (model, quant) = _model(fields)
    stated = Stated(
        index=index,
        metrics=metrics,
        workload=_workload(fields),
        label=label,
        model=model,
        quant=quant,
        date=_date(fields.get("date")),
        backend=_text(fields.get("backend") or fields.get("endpoint_type")),
        settings=settings,
    )
    return [serving_result(stated, place)], problems


def _setting(settings: dict[str, Scalar], key: str, value: object, index: int, problems: list[Unread]) -> None:
    if isinstance(value, str | bool):
        settings[key[:80]] = value[:300] if isinstance(value, str) else value
    elif isinstance(value, int | float):
        if abs(value) < 1e300:
            settings[key[:80]] = value
    elif isinstance(value, list | dict) and value:
        problems.append(unread(index, key[:80], "this key is not known; what it holds was left out"))


def _number(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnreadableNumberError(f"{key} is no number")
    if not -1e300 < value < 1e300:
        raise UnreadableNumberError(f"{key} is {str(value)[:40]}, which is not finite")
    if value < 0:
        raise UnreadableNumberError(f"{key} is negative: {value:g}")
    return float(value)


def _samples(fields: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    """Return the requests' times in ms: those of requests that succeeded, where errors are told."""
    found: dict[str, tuple[float, ...]] = {}
    errors = fields.get("errors")
    for key, metric in (("ttfts", "ttft_ms"), ("latencies", "e2el_ms")):
        values = fields.get(key)
        if not isinstance(values, list) or not values:
            continue
        told = errors if isinstance(errors, list) and len(errors) == len(values) else [""] * len(values)
        kept = [value for value, error in zip(values, told, strict=True) if not error]
        if kept and all(isinstance(value, int | float) and 0 <= value < 1e9 for value in kept):
            found[metric] = tuple(float(value) * 1000 for value in kept)
    return found


def _model(fields: Mapping[str, Any]) -> tuple[str | None, tuple[str | None, str | None]]:
    """Return the model as it is written, and taken apart; a tokenizer's path tells more than a served alias."""
    names = [name for name in (_text(fields.get("model_id")), _text(fields.get("tokenizer_id"))) if name]
    names.sort(key=lambda name: "/" not in name)
    return (names[0], of_path(names[0])) if names else (None, (None, None))


def _workload(fields: Mapping[str, Any]) -> dict[str, Scalar]:
    workload: dict[str, Scalar] = {}
    for key in ("num_prompts", "max_concurrency"):
        value = fields.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**9:
            workload[key] = value
    rate = fields.get("request_rate")
    if isinstance(rate, int | float) and not isinstance(rate, bool) and 0 < rate < 1e9:
        workload["request_rate"] = float(rate)
    for key, name in (("input_lens", "input_len"), ("output_lens", "output_len")):
        lengths = fields.get(key)
        if (
            isinstance(lengths, list)
            and lengths
            and all(type(each) is int for each in lengths)
            and len(set(lengths)) == 1
        ):
            workload[name] = lengths[0]
    return workload


def _date(value: object) -> str | None:
    match = re.fullmatch(r"(\d{4})(\d{2})(\d{2})-(\d{2})(\d{2})(\d{2})", value) if isinstance(value, str) else None
    if match:
        return "{}-{}-{}T{}:{}:{}".format(*match.groups())
    return iso_date(value) if isinstance(value, str) else None


def _text(value: object) -> str | None:
    return value[:300] if isinstance(value, str) and value else None
