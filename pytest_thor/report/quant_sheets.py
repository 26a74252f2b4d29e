"""The quants of a model as tables: size, speed, quality, each beside its share of the reference quant's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_thor.measurement import GATED, METRICS
from pytest_thor.report.document import CellRecord, ReportDocument
from pytest_thor.report.figures import shown_quantity
from pytest_thor.report.quants import (
    HELD_AGAINST_ONE,
    Workload,
    bits_of,
    is_believed,
    reference_of,
    share_of,
    size_bytes_of,
    workloads_of,
)
from pytest_thor.report.ranking import judged
from pytest_thor.report.sheets import Column, Sheet
from pytest_thor.units import format_bytes, format_significant

_ABREAST = 4
_SPEEDS = frozenset({"prefill", "decode"})
_LOAD = "serving"
_ENERGY = "energy_j_per_token"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figure:
    """A column with figures: one metric under one workload."""

    head: str
    metric: str
    workload: Workload


def quant_sheets(document: ReportDocument) -> list[Sheet]:
    """Return tables with a row per quant, the widest first; models with one quant only have none.

    A model has a table for each backend, with its quality beside its speed whatever measured it; one for each load; one
    for the energy. Sweeps have tables of their own.
    """
    found = workloads_of(document)
    models: dict[tuple[str, ...], list[Workload]] = {}
    for workload in found:
        models.setdefault((workload.model, workload.matrix, workload.device), []).append(workload)
    several = [len({key[place] for key in models}) > 1 for place in range(3)]
    sheets = []
    for key, workloads in models.items():
        words = [word for place, word in enumerate(key) if place == 0 or several[place]]
        sheets += [
            sheet
            for words_of_table, figures in _tables(workloads)
            for sheet in _sheets(" · ".join([*words, *words_of_table]), figures, document.reference_quant)
        ]
    return sheets


def _tables(workloads: Sequence[Workload]) -> Iterator[tuple[list[str], list[_Figure]]]:
    """Yield what each table of a model is of, with its columns."""
    backends = dict.fromkeys(each.backend for each in workloads if each.kind in _SPEEDS)
    others = [each for each in workloads if each.kind not in {*_SPEEDS, _LOAD}]
    for backend in backends or dict.fromkeys(each.backend for each in others):
        own = [each for each in workloads if each.backend == backend and each.kind in _SPEEDS]
        yield [backend], [figure for each in [*own, *others] for figure in _figures(each, backend)]
    for load in workloads:
        if load.kind == _LOAD and not any(record.parameters.get("sweep") for record in load.quants.values()):
            figures = [_Figure(head=name, metric=name, workload=load) for name in _metrics(load)]
            yield [load.backend, load.name], figures
    for backend in backends:
        energies = [
            _Figure(head=each.name, metric=_ENERGY, workload=each)
            for each in workloads
            if each.backend == backend and any(_ENERGY in record.metrics for record in each.quants.values())
        ]
        yield [backend, METRICS[_ENERGY].title], energies


def _figures(workload: Workload, backend: str) -> Iterator[_Figure]:
    """Yield a workload's columns, by its name alone where there is one; by its backend too where that is another."""
    names = _metrics(workload)
    for name in names:
        head = workload.name if len(names) == 1 else f"{workload.name} {name}"
        told = head if workload.backend == backend else f"{head} ({workload.backend})"
        yield _Figure(head=told, metric=name, workload=workload)


def _metrics(workload: Workload) -> list[str]:
    """Return what gates a workload of its kind, else what was judged."""
    names: dict[str, None] = {}
    for record in workload.quants.values():
        gated = GATED.get(workload.kind) or tuple(judged(record))
        names.update(dict.fromkeys(name for name in gated if name in record.metrics))
    return list(names)


def _sheets(title: str, figures: Sequence[_Figure], wanted: str | None) -> Iterator[Sheet]:
    for start in range(0, len(figures), _ABREAST):
        abreast = figures[start : start + _ABREAST]
        quants = _ordered([each.workload for each in abreast])
        references = [reference_of(each.workload.quants, wanted) for each in abreast]
        heads = [Column(title="quant"), Column(title="size", right=True), Column(title="bits", right=True)]
        for each, reference in zip(abreast, references, strict=True):
            heads.append(Column(title=each.head, right=True))
            if each.metric not in HELD_AGAINST_ONE:
                heads.append(Column(title=f"% of {reference.quant}" if reference else "", right=True))
        rows = []
        for quant, known in quants.items():
            texts = [quant, *_about(known)]
            for each, reference in zip(abreast, references, strict=True):
                pair = _pair(each.workload.quants.get(quant), reference, each.metric)
                texts += pair[:1] if each.metric in HELD_AGAINST_ONE else pair
            rows.append(tuple(texts))
        yield Sheet(title=title, columns=tuple(heads), rows=tuple(rows))


def _about(record: CellRecord) -> tuple[str, str]:
    size, bits = size_bytes_of(record), bits_of(record)
    return "" if size is None else format_bytes(size), "" if bits is None else format_significant(bits, 3)


def _pair(record: CellRecord | None, reference: CellRecord | None, name: str) -> tuple[str, str]:
    metric = None if record is None else record.metrics.get(name)
    if record is None or metric is None:
        return "", ""
    value = shown_quantity(metric.value, metric.unit)
    if not is_believed(record) or metric.verdict == "invalid":
        return value, "invalid"
    if record is reference:
        return value, "100 %" if value else ""
    share = None if reference is None else share_of(record, reference, name)
    return value, "" if share is None else share.told


def _ordered(workloads: Sequence[Workload]) -> Mapping[str, CellRecord]:
    """Return one record for each quant that was measured, the widest first where all are known, else as they came."""
    found: dict[str, CellRecord] = {}
    for workload in workloads:
        for quant, record in workload.quants.items():
            if record.metrics and (quant not in found or size_bytes_of(found[quant]) is None):
                found[quant] = record
    widths = {quant: bits_of(record) for quant, record in found.items()}
    if None in widths.values():
        return found
    return dict(sorted(found.items(), key=lambda item: -(widths[item[0]] or 0.0)))
