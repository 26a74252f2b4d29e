"""The quants of one model side by side: each figure as a share of the same figure under a reference quant.

Nothing is judged here. The ratio's interval is made of those of both figures, which the report has (MOVER, Zou and
Donner 2008, on logarithms); both were measured in one run, so that it is rather too wide than too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_thor.measurement import GATED
from pytest_thor.report.document import CellRecord, MetricRecord, ReportDocument
from pytest_thor.report.figures import shown_quantity
from pytest_thor.report.ranking import judged, sign
from pytest_thor.report.sheets import Column, Sheet
from pytest_thor.units import format_bytes, format_percent, format_significant

_ABREAST = 4
_ALSO = ("energy_j_per_token",)
_HELD_AGAINST_ONE = frozenset({"kl_divergence"})
"""Metrics that tell how far a quant is from another one: they are no share of anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A figure divided by that of the ``reference`` quant, with its 90 % interval where both figures have one."""

    reference: str
    ratio: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """One model on one device: its cells by backend and workload, then by quant."""

    title: str
    columns: Mapping[tuple[str, str], Mapping[str, CellRecord]]


def widest(records: Sequence[CellRecord]) -> CellRecord | None:
    """Return the record whose quant has the most bits per weight, the first of equals; None where not all tell.

    Where a report does not have the bits of all of them, the sizes of the files decide.
    """
    keys: tuple[Callable[[CellRecord], float | None], ...] = (bits_of, _size_bytes)
    for key in keys:
        known = [(width, record) for record in records if (width := key(record)) is not None]
        if known and len(known) == len(records):
            return max(known, key=lambda item: item[0])[1]
    return None


def shares_of(document: ReportDocument) -> dict[tuple[str, str, str], dict[str, Share]]:
    """Return every share by the cell's matrix, id and device, then by metric; the reference's own are left out.

    A cell whose figure cannot be believed, or whose reference is not there or was measured under other conditions (by
    another shard, on a machine in another state), has none.
    """
    found: dict[tuple[str, str, str], dict[str, Share]] = {}
    for group in _groups(document):
        for by_quant in group.columns.values():
            reference = _reference(by_quant, document.reference_quant)
            for record in by_quant.values():
                if reference is None or record is reference:
                    continue
                shares = {
                    name: share
                    for name in record.metrics
                    if name not in _HELD_AGAINST_ONE and (share := _share(record, reference, name))
                }
                if shares:
                    found[record.matrix, record.id, record.device] = shares
    return found


def quant_sheets(document: ReportDocument) -> list[Sheet]:
    """Return tables with a row per quant, the widest first; models with one quant only have none."""
    return [sheet for group in _groups(document) for sheet in _sheets(group, document.reference_quant)]


def _groups(document: ReportDocument) -> Iterator[_Group]:
    found: dict[tuple[str, str, str], dict[tuple[str, str], dict[str, CellRecord]]] = {}
    for record in document.cells:
        columns = found.setdefault((record.model, record.matrix, record.device), {})
        columns.setdefault((record.backend, record.workload), {}).setdefault(record.quant, record)
    several = [len({key[place] for key in found}) > 1 for place in range(3)]
    for key, columns in found.items():
        kept = {place: by_quant for place, by_quant in columns.items() if sum(map(_is_measured, by_quant.values())) > 1}
        if kept:
            words = [word for place, word in enumerate(key) if place == 0 or several[place]]
            yield _Group(title=" · ".join(words), columns=kept)


def _reference(by_quant: Mapping[str, CellRecord], wanted: str | None) -> CellRecord | None:
    believed = [record for record in by_quant.values() if _is_believed(record)]
    if wanted is None:
        return widest(believed)
    return next((record for record in believed if record.quant.casefold() == wanted.casefold()), None)


def _share(record: CellRecord, reference: CellRecord, name: str) -> Share | None:
    if not _is_believed(record) or _conditions(record) != _conditions(reference):
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


def _sheets(group: _Group, wanted: str | None) -> Iterator[Sheet]:
    places = [(place, name) for place, by_quant in group.columns.items() for name in _metrics(by_quant.values())]
    quants = _ordered(group)
    backends = len({backend for backend, _ in group.columns}) > 1
    for start in range(0, len(places), _ABREAST):
        yield _sheet(group, places[start : start + _ABREAST], quants, wanted, backends=backends)


def _sheet(
    group: _Group,
    places: Sequence[tuple[tuple[str, str], str]],
    quants: Mapping[str, CellRecord],
    wanted: str | None,
    *,
    backends: bool,
) -> Sheet:
    references = {place: _reference(group.columns[place], wanted) for place, _ in places}
    heads = [Column(title="quant"), Column(title="size", right=True), Column(title="bits", right=True)]
    for place, name in places:
        reference = references[place]
        head = " ".join([*place[0 if backends else 1 :], name])
        heads.append(Column(title=head, right=True))
        if name not in _HELD_AGAINST_ONE:
            heads.append(Column(title=f"% of {reference.quant}" if reference else "", right=True))
    rows = []
    for quant, known in quants.items():
        size, bits = _size_bytes(known), bits_of(known)
        texts = [quant, "" if size is None else format_bytes(size), "" if bits is None else format_significant(bits, 3)]
        for place, name in places:
            pair = _pair(group.columns[place].get(quant), references[place], name)
            texts += pair[:1] if name in _HELD_AGAINST_ONE else pair
        rows.append(tuple(texts))
    return Sheet(title=group.title, columns=tuple(heads), rows=tuple(rows))


def _pair(record: CellRecord | None, reference: CellRecord | None, name: str) -> tuple[str, str]:
    metric = None if record is None else record.metrics.get(name)
    if record is None or metric is None:
        return "", ""
    value = shown_quantity(metric.value, metric.unit)
    if not _is_believed(record) or metric.verdict == "invalid":
        return value, f"{sign('invalid')} invalid"
    if record is reference:
        return value, "100 %" if value else ""
    share = None if reference is None else _share(record, reference, name)
    return value, "" if share is None else shown_share_of(share)


def shown_share_of(share: Share) -> str:
    """Return a share with its interval: ``72.3 % (71.9 to 72.7)``."""
    told = format_percent(share.ratio)
    if share.low is None or share.high is None:
        return told
    low, high = (format_percent(bound).removesuffix(" %") for bound in (share.low, share.high))
    return f"{told} ({low} to {high})"


def _metrics(records: Iterable[CellRecord]) -> list[str]:
    """Return what is told of a workload: what gates its kind, else what was judged, and energy where it is known."""
    names: dict[str, None] = {}
    for record in records:
        gated = GATED.get(record.kind) or tuple(judged(record))
        names.update(dict.fromkeys(name for name in (*gated, *_ALSO) if name in record.metrics))
    return sorted(names, key=lambda name: name in _ALSO)


def _ordered(group: _Group) -> dict[str, CellRecord]:
    """Return one record per quant, the widest first where all are known, else as they came."""
    found: dict[str, CellRecord] = {}
    for by_quant in group.columns.values():
        for quant, record in by_quant.items():
            if quant not in found or _size_bytes(found[quant]) is None:
                found[quant] = record
    widths = {quant: bits_of(record) for quant, record in found.items()}
    if None in widths.values():
        return found
    return dict(sorted(found.items(), key=lambda item: -(widths[item[0]] or 0.0)))


def _is_measured(record: CellRecord) -> bool:
    return record.verdict is not None


def _is_believed(record: CellRecord) -> bool:
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


def _size_bytes(record: CellRecord) -> float | None:
    artifact = record.artifact
    return None if artifact is None else artifact.tensor_bytes or artifact.size_bytes
