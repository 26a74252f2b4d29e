"""The quants of one model beside one another: each figure as a share of the same figure under a reference quant.

Nothing is judged here. The ratio's interval is made of those of both figures, which the report has (MOVER, Zou and
Donner 2008, on logarithms); both were measured in one run, so that it is rather too wide than too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_thor.report.document import CellRecord, MetricRecord, ReportDocument
from pytest_thor.units import format_percent

HELD_AGAINST_ONE = frozenset({"kl_divergence"})
"""Metrics that tell how far a quant is from another one: they are no share of anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A figure divided by that of the ``reference`` quant, with its 90 % interval where both figures have one."""

    reference: str
    ratio: float
    low: float | None = None
    high: float | None = None

    @property
    def told(self) -> str:
        """The share as people read it: ``72.3 % (71.9 to 72.7)``."""
        ratio = format_percent(self.ratio)
        if self.low is None or self.high is None:
            return ratio
        low, high = (format_percent(bound).removesuffix(" %") for bound in (self.low, self.high))
        return f"{ratio} ({low} to {high})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What one backend measured of one model under one workload, by quant; at least two of them were measured."""

    matrix: str
    model: str
    device: str
    backend: str
    name: str
    kind: str
    quants: dict[str, CellRecord] = field(default_factory=dict)


def workloads_of(document: ReportDocument) -> list[Workload]:
    """Return every workload that several quants of a model were measured under, in the order of the report.

    A quant that is there twice under it, as what others published may be, is left out: nothing tells which is meant.
    """
    found: dict[tuple[str, ...], Workload] = {}
    twice: list[tuple[Workload, str]] = []
    for record in document.cells:
        key = (record.matrix, record.model, record.device, record.backend, record.workload)
        workload = found.get(key)
        if workload is None:
            workload = found[key] = Workload(
                matrix=record.matrix,
                model=record.model,
                device=record.device,
                backend=record.backend,
                name=record.workload,
                kind=record.kind,
            )
        if workload.quants.setdefault(record.quant, record) is not record:
            twice.append((workload, record.quant))
    for workload, quant in twice:
        workload.quants.pop(quant, None)
    return [each for each in found.values() if sum(map(is_measured, each.quants.values())) > 1]


def shares_of(document: ReportDocument) -> dict[tuple[str, str, str], dict[str, Share]]:
    """Return every share by the cell's matrix, id and device, then by metric; the reference's own are left out.

    A cell whose figure cannot be believed, or whose reference is not there or was measured under other conditions (by
    another shard, on a machine in another state), has none.
    """
    found: dict[tuple[str, str, str], dict[str, Share]] = {}
    for workload in workloads_of(document):
        reference = reference_of(workload.quants, document.reference_quant)
        for record in workload.quants.values():
            if reference is None or record is reference:
                continue
            shares = {name: share for name in record.metrics if (share := share_of(record, reference, name))}
            if shares:
                found[record.place] = shares
    return found


def reference_of(quants: Mapping[str, CellRecord], wanted: str | None) -> CellRecord | None:
    """Return what the others are told as a share of: the quant that is wanted, else the widest; if it is believed."""
    believed = [record for record in quants.values() if is_believed(record)]
    if wanted is None:
        return widest(believed)
    return next((record for record in believed if record.quant.casefold() == wanted.casefold()), None)


def widest(records: Sequence[CellRecord]) -> CellRecord | None:
    """Return the record whose quant has the most bits per weight, the first of equals; None where not all tell.

    Where a report does not have the bits of all of them, the sizes of the files decide.
    """
    keys: tuple[Callable[[CellRecord], float | None], ...] = (bits_of, size_bytes_of)
    for key in keys:
        known = [(width, record) for record in records if (width := key(record)) is not None]
        if known and len(known) == len(records):
            return max(known, key=lambda item: item[0])[1]
    return None


def share_of(record: CellRecord, reference: CellRecord, name: str) -> Share | None:
    """Return one metric's share, None where it has none."""
    if name in HELD_AGAINST_ONE or not is_believed(record) or _conditions(record) != _conditions(reference):
        return None
    ours, theirs = record.metrics.get(name), reference.metrics.get(name)
    if ours is None or theirs is None or ours.unit != theirs.unit:
        return None
    above, below = _logs(ours), _logs(theirs)
    if above is None or below is None:
        return None
    middle = above[1] - below[1]
    down = math.hypot(above[1] - above[0], below[2] - below[1])
    up = math.hypot(above[2] - above[1], below[1] - below[0])
    if not math.isfinite(down + up):
        return Share(reference=reference.quant, ratio=_exp(middle))
    return Share(reference=reference.quant, ratio=_exp(middle), low=_exp(middle - down), high=_exp(middle + up))


def _logs(metric: MetricRecord) -> tuple[float, float, float] | None:
    """Return the logarithms of a figure's interval and of itself between them, without an interval unbounded ones.

    None stands for what is not positive or not to be believed.
    """
    if metric.verdict == "invalid" or metric.value is None or not 0 < metric.value < math.inf:
        return None
    middle = math.log(metric.value)
    if metric.ci_low is None or metric.ci_high is None or not 0 < metric.ci_low <= metric.value <= metric.ci_high:
        return -math.inf, middle, math.inf
    return math.log(metric.ci_low), middle, math.log(metric.ci_high)


def _exp(logarithm: float) -> float:
    return math.exp(min(logarithm, 700.0))


def is_measured(record: CellRecord) -> bool:
    """Tell whether a cell has figures, to be believed or not."""
    return record.verdict is not None


def is_believed(record: CellRecord) -> bool:
    """Tell whether a cell has figures that can be what they claim."""
    return record.verdict not in {None, "invalid"}


def _conditions(record: CellRecord) -> dict[str, object]:
    """Return every fact of a fingerprint but those of the model itself."""
    groups = [group for group in (record.fingerprint or {}).values() if isinstance(group, dict)]
    return {name: fact for group in groups for name, fact in group.items() if not name.startswith("model.")}


def bits_of(record: CellRecord) -> float | None:
    """Return the bits per weight of a cell's quant, None where the report does not tell them."""
    if record.bits_per_weight is not None:
        return record.bits_per_weight
    artifact = record.artifact
    if artifact is None or not artifact.tensor_bytes or not artifact.parameters:
        return None
    return 8 * artifact.tensor_bytes / artifact.parameters


def size_bytes_of(record: CellRecord) -> float | None:
    """Return the size of a cell's weights, where that is not known the size of its files."""
    artifact = record.artifact
    return None if artifact is None else artifact.tensor_bytes or artifact.size_bytes
