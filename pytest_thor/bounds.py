"""What a cell can reach at most on this machine, and what becomes of figures that claim more."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_thor.artifacts.cost import cost_of_artifact
from pytest_thor.cell import Cell
from pytest_thor.host.device import Device
from pytest_thor.host.limits import roof_of, table_roof
from pytest_thor.host.measured_roof import cache_bytes, measured_roof
from pytest_thor.judge.peers import Peer, unusually_slow
from pytest_thor.judge.physical import doubt_of, held_samples, hold, limits, load_of
from pytest_thor.measurement import Samples
from pytest_thor.report.document import CellRecord, MetricRecord
from pytest_thor.roofline import Cost, Limit, Roof


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The limits of one cell by metric, with what they were made of."""

    cost: Cost
    roof: Roof
    limits: Mapping[str, Limit]

    def doubt(self, samples: Samples) -> str | None:
        """Return why one launch's samples cannot be what they claim, None where they can."""
        return doubt_of(held_samples(samples, self.limits, cost=self.cost, roof=self.roof))


def bounds_of(cell: Cell, *, path: Path | None, device: Device, cache: Path) -> Bounds | None:
    """Return the limits of a cell whose model is at ``path``, None where the model or the device is not known.

    ``path`` is None for a server that is attached to: its device and its model are not ours to know. No device limits
    how well a text is predicted. A machine without a known GPU is measured the first time, which takes two seconds,
    unless the model is a toy that its cache holds.

    Raises:
        ArtifactError: the model's files are not sound.
    """
    if path is None or cell.kind == "quality":  # which is no speed
        return None
    settings = dict(cell.backend.settings)
    cost = cost_of_artifact(path, quant=cell.quant, architecture=cell.model.architecture, settings=settings)
    if cost is None:
        return None
    roof = table_roof(device)
    if roof is None and cost.weight_bytes(math.inf) > 2 * cache_bytes():
        roof = roof_of(device, cache=cache)
    if roof is None:
        return None
    named = replace(cost, name=f"{cell.model.name} {cell.quant}")
    return Bounds(cost=named, roof=roof, limits=limits(named, roof, load_of(cell.workload, settings)))


def confirmed_doubt(
    bounds: Bounds | None,
    cell: Cell,
    samples: Samples,
    *,
    device: Device,
    cache: Path,
    alone: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> tuple[Bounds | None, str | None]:
    """Return why one launch's samples cannot be, with the limits that they were held against in the end.

    Limits that were measured are measured once more, with the device held ``alone``, before a figure is called
    impossible: noise may have hidden how fast this machine is.
    """
    doubt = bounds.doubt(samples) if bounds is not None else None
    if bounds is None or doubt is None or not bounds.roof.measured:
        return bounds, doubt
    with alone():
        roof = measured_roof(device, cache=cache, again=True)
    if roof is None:
        return bounds, doubt
    load = load_of(cell.workload, dict(cell.backend.settings))
    again = replace(bounds, roof=roof, limits=limits(bounds.cost, roof, load))
    return again, again.doubt(samples)


def with_limits(metrics: Mapping[str, MetricRecord], bounds: Bounds | None) -> dict[str, MetricRecord]:
    """Return a cell's metrics with the limit of each that has one, and the share of it that was reached."""
    if bounds is None:
        return dict(metrics)
    values = {key: metric.value for key, metric in metrics.items() if metric.value is not None}
    held = hold(values, bounds.limits, cost=bounds.cost, roof=bounds.roof)
    return {
        key: metric.model_copy(update={"limit": held[key].limit.value, "efficiency": held[key].efficiency})
        if key in held
        else metric
        for key, metric in metrics.items()
    }


def advice_on(records: Sequence[CellRecord]) -> dict[tuple[str, str], str]:
    """Return a sentence for each cell that is far behind those like it on its device, by matrix and cell id."""
    found: dict[tuple[str, str], str] = {}
    alike: dict[tuple[str, str], list[Peer]] = {}
    for record in records:  # another device may be many times as fast
        alike.setdefault((record.matrix, record.device), []).append(_peer(record))
    for (matrix, _), peers in alike.items():
        found |= {(matrix, name): sentence for name, sentence in unusually_slow(peers).items()}
    return found


def _peer(record: CellRecord) -> Peer:
    believed = {} if record.verdict == "invalid" else record.metrics
    return Peer(
        id=record.id,
        workload=record.workload,
        architecture=record.model,
        values={name: metric.value for name, metric in believed.items() if metric.value is not None},
        efficiencies={name: metric.efficiency for name, metric in believed.items() if metric.efficiency is not None},
    )
