"""One cell of one source as a comparison takes it, whether a report, a store or a publication says so."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from pytest_thor.baseline.entry import BaselineEntry
from pytest_thor.baseline.fingerprint import Fingerprint, from_json
from pytest_thor.baseline.place import cell_id
from pytest_thor.cell import Kind
from pytest_thor.judge.describe import describe
from pytest_thor.measurement import METRICS, SUMMARIES, Better, Samples
from pytest_thor.report.document import CellRecord, LaunchRecord
from pytest_thor.report.figures import first_paragraph
from pytest_thor.report.quants import bits_of

_REASON_CHARS = 200
_WORK = "workload."


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """A metric's value as its source states it."""

    value: float
    unit: str
    better: Better


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a source says of one cell.

    ``samples`` are those of the finished launches: none where only figures are published. ``values`` are by metric
    (``tg_tps``, ``ttft_ms.p99``), what is not known or not finite left out. ``thresholds`` are those that it was
    judged with. ``doubt`` says why its figures are not to be believed, ``problem`` why there are none.
    """

    source: str
    id: str
    matrix: str
    model: str
    quant: str
    backend: str
    engine: str
    workload: str
    kind: Kind
    device: str
    build: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    samples: tuple[Samples, ...] = ()
    values: Mapping[str, Stated] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    size_bytes: int | None = None
    architecture: str | None = None
    bits_per_weight: float | None = None
    fingerprint: Fingerprint | None = None
    doubt: str | None = None
    problem: str | None = None

    @property
    def published(self) -> bool:
        """Whether there are figures and no launches: they can be shown beside others, and not be judged."""
        return not self.samples and bool(self.values)


def of_record(record: CellRecord, *, source: str, size_bytes: int | None = None) -> Subject:
    """Return a report's cell; ``size_bytes`` is the model's where the record does not say."""
    finished = [launch for launch in record.launches if launch.failure is None and launch.samples]
    samples = tuple({name: tuple(taken) for name, taken in launch.samples.items()} for launch in finished)
    values = {
        key: Stated(value=metric.value, unit=metric.unit, better=metric.better)
        for key, metric in record.metrics.items()
        if metric.value is not None and math.isfinite(metric.value)
    }
    problem = None
    if record.verdict is None or not (samples or values):
        problem = f"{record.outcome}: {_first_sentence(record)}"
    artifact = record.artifact
    return Subject(
        source=source,
        id=record.id,
        matrix=record.matrix,
        model=record.model,
        quant=record.quant,
        backend=record.backend,
        engine=record.engine,
        workload=record.workload,
        kind=record.kind,
        device=record.device,
        build=_build(finished) or "no build known",
        parameters=record.parameters,
        settings=record.settings,
        samples=samples,
        values=values,
        thresholds={
            key: metric.threshold
            for key, metric in record.metrics.items()
            if metric.threshold is not None and 0 < metric.threshold < 1 and is_metric(key)
        },
        size_bytes=(artifact.tensor_bytes or artifact.size_bytes) if artifact else size_bytes,
        architecture=record.architecture,
        bits_per_weight=bits_of(record),
        fingerprint=_fingerprint(record.fingerprint),
        doubt=_first_sentence(record) if record.verdict == "invalid" else None,
        problem=problem,
    )


def of_entry(entry: BaselineEntry, *, source: str) -> Subject:
    """Return what a store holds of a cell."""
    words = entry.cell
    builds = {_named(launch.engine, launch.version or launch.commit) for launch in entry.launches}
    return Subject(
        source=source,
        id=cell_id(words),
        matrix=words["matrix"],
        model=words["model"],
        quant=words["quant"],
        backend=words["backend"],
        engine=words.get("engine", ""),
        workload=words["workload"],
        kind=cast("Kind", words["kind"]),
        device=entry.device,
        build=", ".join(sorted(builds)),
        parameters={
            name.removeprefix(_WORK): value for name, value in entry.fingerprint.must_match if name.startswith(_WORK)
        },
        samples=entry.samples,
        values={
            plain.metric: Stated(value=plain.value, unit=plain.unit, better=plain.better)
            for plain in describe(entry.samples)
        },
        fingerprint=entry.fingerprint,
    )


def is_metric(key: str) -> bool:
    """Tell whether a key names a metric of pytest-thor, or a summary of one."""
    name, dot, summary = key.partition(".")
    return name in METRICS and (not dot or summary in SUMMARIES)


def _build(launches: list[LaunchRecord]) -> str:
    builds = {_named(launch.engine.name, launch.engine.version or launch.engine.commit) for launch in launches}
    return ", ".join(sorted(builds))


def _named(engine: str, build: str | None) -> str:
    return f"{engine} {build}" if build else engine


def _fingerprint(data: object) -> Fingerprint | None:
    try:
        return None if data is None else from_json(data)
    except ValueError:  # what is not a table of plain values tells nothing
        return None


def _first_sentence(record: CellRecord) -> str:
    head = first_paragraph(record.reason)[0]
    return head if len(head) <= _REASON_CHARS else f"{head[: _REASON_CHARS - 1]}…"
