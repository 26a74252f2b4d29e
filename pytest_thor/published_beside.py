"""What others published of the cells of a report, so that it can be shown beside ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.artifacts.quants import known_quant
from pytest_thor.believable import Believed, architecture_named, hold_published
from pytest_thor.host.limits import known_roof
from pytest_thor.measurement import METRICS
from pytest_thor.published.records import PublishedResult, Reading
from pytest_thor.report.document import CellRecord, ReportDocument
from pytest_thor.report.published_figure import Published, PublishedFigure
from pytest_thor.weights import has_so_many

_ROUNDED = 0.01
"""Published numbers of weights are rounded (``8.19 B``); those of two sizes of one family lie further apart."""
_ASKED = {
    "prefill": ("n_prompt", "n_depth"),
    "decode": ("n_gen", "n_depth"),
    "serving": ("input_len", "output_len", "max_concurrency", "num_prompts", "request_rate"),
}
_STATED = {"prefill": ("n_prompt",), "decode": ("n_gen",), "serving": ("input_len", "output_len")}
"""What a result has to state, lest it be of any workload."""
_OF_ITS_OWN: Mapping[str, object] = {"trace": None, "prefix_cache": False, "request_rate": None}
"""Parameters of a load that no publication is taken to have, with the value that they have where they play no part."""


@dataclass(frozen=True, slots=True)
class _Model:
    """What a model is known by: its shape; where that is unknown its name, which then takes an equal size too."""

    shape: str | None
    name: str
    weights: float | None

    def is_surely(self, other: _Model) -> bool:
        """Tell whether both are of one shape, or bear one name and have as many weights."""
        if self.shape is not None or other.shape is not None:
            return self.shape == other.shape
        if self.weights is None or other.weights is None or self.name != other.name:
            return False
        return abs(self.weights - other.weights) <= _ROUNDED * self.weights


def published_beside(document: ReportDocument, readings: Sequence[Reading]) -> Published:
    """Return the figures of every cell that a reference has of the same model, quant and work, on any device.

    The model is known by its shape and its number of weights, whatever it is called. Where either side contradicts
    itself, or leaves open of which model or work it is, nothing is shown. Only figures that are metrics, in the
    metric's own unit, are taken; nothing is converted. What a result's device cannot reach says so.
    """
    if not readings:
        return {}
    dated = {reading.source.name: reading.source.date for reading in readings}
    results = _by_kind_and_quant(readings)
    believed: dict[int, Believed] = {}
    found = {}
    for record in document.cells:
        model = _model_of(record)
        if model is None:
            continue
        figures: list[PublishedFigure] = []
        for result, theirs in results.get((record.kind, _quant(record.quant)), ()):
            if theirs.is_surely(model) and _is_same_work(result, record):
                held = believed.setdefault(id(result), hold_published(result))
                figures += _figures(result, dated.get(result.source), held, record.device)
        if figures:
            figures.sort(key=lambda figure: (not figure.same_device, figure.doubt is not None))
            found[record.place] = tuple(figures)
    return found


def _by_kind_and_quant(
    readings: Sequence[Reading],
) -> dict[tuple[str, str], list[tuple[PublishedResult, _Model]]]:
    found: dict[tuple[str, str], list[tuple[PublishedResult, _Model]]] = {}
    for reading in readings:
        for result in reading.results:
            model = _model_published(result)
            if model is not None and result.quant is not None:
                found.setdefault((result.kind, _quant(result.quant)), []).append((result, model))
    return found


def _model_of(record: CellRecord) -> _Model | None:
    """Return a cell's model; None where its files are of another size than the shape that it is said to have.

    A shape that only its name tells counts if the number of weights bears it out.
    """
    weights = record.weights or (record.artifact.parameters if record.artifact else None)
    shape = record.architecture
    if shape is None and weights is not None:
        shape = architecture_named(record.model)
    return _held(_Model(shape=shape, name=_plain(record.model), weights=weights))


def _model_published(result: PublishedResult) -> _Model | None:
    if result.model is None:
        return None
    stated = result.metrics.get("parameters")
    shape = architecture_named(result.model)
    return _held(_Model(shape=shape, name=_plain(result.model), weights=None if stated is None else stated.value))


def _held(model: _Model) -> _Model | None:
    shape = None if model.shape is None else ARCHITECTURES.get(model.shape)
    if shape is None or model.weights is None or has_so_many(shape, model.weights, within=_ROUNDED):
        return model
    return None


def _is_same_work(result: PublishedResult, record: CellRecord) -> bool:
    """Tell whether all agrees that a result states of its workload, and it states enough."""
    stated, ours = result.workload, record.parameters
    if any(stated.get(name) is None for name in _STATED.get(record.kind, ())):
        return False
    if record.kind == "serving":
        alone = stated.get("num_prompts") == 1
        if ours.get("max_concurrency") is not None and stated.get("max_concurrency") is None and not alone:
            return False
        if any(ours.get(name, usual) != usual and stated.get(name) is None for name, usual in _OF_ITS_OWN.items()):
            return False
    elif (stated.get("n_depth") or 0) != (ours.get("n_depth") or 0):
        return False
    return all(
        stated[name] == ours.get(name)
        for name in _ASKED.get(record.kind, ())
        if name != "n_depth" and stated.get(name) is not None
    )


def _figures(result: PublishedResult, dated: str | None, believed: Believed, device: str) -> Iterator[PublishedFigure]:
    same = result.device is not None and _device(believed.device or result.device) == _device(device)
    for name, figure in result.metrics.items():
        metric = METRICS.get(name.partition(".")[0])
        if metric is not None and figure.unit == metric.unit:
            yield PublishedFigure(
                metric=name,
                value=figure.value,
                unit=figure.unit,
                source=f"{result.source}:{result.line}",
                date=result.date or dated,
                device=result.device,
                engine=" ".join(part for part in (result.engine, result.build) if part) or None,
                doubt=believed.doubt,
                same_device=same,
            )


@cache
def _device(name: str) -> str:
    roof = known_roof(name)
    return _plain(name) if roof is None else roof.name


@cache
def _quant(name: str) -> str:
    quant = known_quant(name)
    return _plain(name) if quant is None else quant.name


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())
