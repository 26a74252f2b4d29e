"""Shards joined into one report, with what has to be said of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_thor.merging.cells import Joined, concluded, join, outcomes_of
from pytest_thor.merging.expected import Expected
from pytest_thor.merging.judging import Anchors, among_all, judgement_of, with_q_of
from pytest_thor.merging.shards import (
    Shard,
    builds_of,
    cells_of,
    environment_of,
    in_order,
    matrices_of,
    policy_of,
    records_of,
    records_of_all,
    shift_of,
)
from pytest_thor.report.document import CellRecord, Outcome, PolicyRecord, ReportDocument, summarize
from pytest_thor.units import counted

OK, FAILED, NOTHING_COLLECTED, COULD_NOT_MEASURE, ALL_SKIPPED = 0, 1, 5, 8, 9
"""The exit statuses of a run, which a merged report has too."""
_FINISHED = frozenset({OK, FAILED, NOTHING_COLLECTED, COULD_NOT_MEASURE, ALL_SKIPPED})
_ENDS = {2: "was interrupted", 3: "ended with an internal error", 4: "ended with a usage error"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The report, its exit status, and a sentence for each thing that a reader must know of how it came about."""

    document: ReportDocument
    exit_status: int
    told: tuple[str, ...]


def merge(shards: Iterable[Shard], *, baselines: Path | None = None, expected: Expected | None = None) -> Merged:
    """Join the reports of shards, in whatever order they are given; of one report nothing changes.

    ``baselines`` is the store that they were held against: what one shard alone measured needs none. The exit status is
    that of pytest had it run all of it: 1 where a cell failed, 8 where something was not measured or is missing, 9
    where all was skipped; and that of a shard that did not end by itself (2, 3, 4), for then nobody knows.

    Raises:
        ReportError: shards measured the same cell, and their launches cannot be put together; by its name.
        BaselineError: a baseline that this takes cannot be read.
    """
    ordered = in_order(shards)
    told = [f"{name} {_ENDS.get(status, f'ended with status {status}')}" for name, status in _cut_short(ordered)]
    names = [record.name for shard in ordered for record in records_of(shard)]
    if len(ordered) == 1:
        document = ordered[0].document
        missing = expected.missing(names, document.cells) if expected else []
        if missing or document.summary.exit_status is not None:
            return _finished(document, ordered, [*told, *missing], incomplete=bool(missing))
        return Merged(document=document, exit_status=exit_status(document.cells, ordered), told=tuple(told))
    policy, policies = policy_of(ordered)
    cells = _cells(ordered, baselines, policy)
    matrices, versions = matrices_of(ordered)
    missing = expected.missing(names, cells) if expected else []
    references = {shard.document.reference_quant for shard in ordered}
    document = ReportDocument(
        started_at=min(shard.document.started_at for shard in ordered),
        finished_at=max(shard.document.finished_at for shard in ordered),
        environment=environment_of(ordered, cells),
        matrix=matrices,
        summary=summarize(cells, exit_status=None, environment=shift_of(ordered), policy=policy),
        reference_quant=references.pop() if len(references) == 1 else None,
        shards=records_of_all(ordered),
        cells=cells,
    )
    return _finished(
        document, ordered, [*told, *policies, *versions, *builds_of(ordered), *missing], incomplete=bool(missing)
    )


def _finished(document: ReportDocument, shards: Sequence[Shard], told: Sequence[str], *, incomplete: bool) -> Merged:
    status = exit_status(document.cells, shards, incomplete=incomplete)
    if document.summary.exit_status != status:
        summary = document.summary.model_copy(update={"exit_status": status})
        document = document.model_copy(update={"summary": summary})
    if told:
        notes = list(dict.fromkeys([*document.notes, *told]))
        document = document.model_copy(update={"notes": notes})
    return Merged(document=document, exit_status=status, told=tuple(told))


def exit_status(cells: Sequence[CellRecord], shards: Sequence[Shard], *, incomplete: bool = False) -> int:
    """Return the exit status of a merged report; a shard's own failures beside its cells (a user's tests) count."""
    cut_short = [status for _, status in _cut_short(shards)]
    if cut_short:
        return min(cut_short)
    outcomes = {record.outcome for record in cells}
    statuses = {_status(shard) for shard in shards}
    of_its_own = any(
        _status(shard) == FAILED and not any(record.outcome == "failed" for record in shard.document.cells)
        for shard in shards
    )
    if "failed" in outcomes or of_its_own:
        return FAILED
    if incomplete or "error" in outcomes or any(record.left_over for record in cells):
        return COULD_NOT_MEASURE
    if outcomes == {"skipped"} and OK not in statuses:
        return ALL_SKIPPED
    return NOTHING_COLLECTED if not cells and statuses == {NOTHING_COLLECTED} else OK


def _status(shard: Shard) -> int | None:
    return shard.document.summary.exit_status


def _cut_short(shards: Sequence[Shard]) -> list[tuple[str, int]]:
    """Return the shards that did not end by themselves, those inside merged reports included."""
    found = [(record.name, record.exit_status) for shard in shards for record in records_of(shard)]
    return [(name, status) for name, status in found if status is not None and status not in _FINISHED]


def _cells(shards: Sequence[Shard], baselines: Path | None, policy: PolicyRecord | None) -> list[CellRecord]:
    by_place: dict[tuple[str, str, str], list[CellRecord]] = {}
    everything = [record for shard in shards for record in cells_of(shard)]
    for record in everything:
        by_place.setdefault(record.place, []).append(record)
    shifts = [shard.document.summary.environment for shard in shards]
    relative = any(shift.judged_relative for shift in shifts if shift is not None)
    anchors = Anchors(root=baselines, records=[records[0] for records in by_place.values()])
    joined = [
        Joined(record=records[0]) if len(records) == 1 else join(records, anchors, relative=relative)
        for records in by_place.values()
    ]
    return _judged_among_all(joined, outcomes_of(everything, policy))


def _judged_among_all(joined: Sequence[Joined], outcomes: Mapping[str, Outcome]) -> list[CellRecord]:
    """Give every metric its q-value among all cells; a verdict stays, but that of launches from several shards."""
    alone = {
        number: judgement
        for number, each in enumerate(joined)
        if (judgement := each.judgement or judgement_of(each.record)) is not None
    }
    adjusted = among_all(alone)
    cells = []
    for number, each in enumerate(joined):
        record = each.record
        if each.judgement is not None:
            record = concluded(record, adjusted[number], outcomes=outcomes)
        elif number in adjusted:
            record = with_q_of(record, adjusted[number])
        cells.append(record)
    return cells


def told_of(merged: Merged) -> list[str]:
    """Return what is said at the end: how many cells of how many shards, and what a reader must know of them."""
    summary = merged.document.summary
    verdicts = ", ".join(f"{count} {name}" for name, count in summary.verdicts.items()) or "none judged"
    return [f"{counted(summary.cells, 'cell')}: {verdicts}", *merged.told]
