"""What became of the anchors between two stores, cell by cell, for whoever reviews it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias, cast

from pytest_thor.baseline.entry import BaselineEntry
from pytest_thor.baseline.fingerprint import Difference, differences
from pytest_thor.baseline.place import cell_id
from pytest_thor.cell import Kind
from pytest_thor.judge.compare import judge_cell
from pytest_thor.verdict import MetricJudgement

State: TypeAlias = Literal["added", "removed", "changed"]
Anchors: TypeAlias = Mapping[tuple[str, str, str], BaselineEntry]
"""By device, matrix and cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorChange:
    """One cell whose anchor is not the same in both stores.

    ``metrics`` are judged as if the second were a run held against the first (without thresholds of the matrix): empty
    where only one is there. Their changes say nothing where one of ``differences`` blocks the comparison.
    """

    device: str
    matrix: str
    cell: str
    state: State
    before: BaselineEntry | None
    after: BaselineEntry | None
    metrics: tuple[MetricJudgement, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def comparable(self) -> bool:
        """Whether nothing forbids to compare the two."""
        return not any(difference.blocks for difference in self.differences)

    def to_json(self) -> dict[str, object]:
        """Return it as plain values; changes and intervals are null where the two cannot be compared."""
        return {
            "device": self.device,
            "matrix": self.matrix,
            "cell": self.cell,
            "state": self.state,
            "comparable": self.comparable if self.state == "changed" else None,
            "note": self.after.note if self.after else None,
            "accepted_at": {"from": _accepted(self.before), "to": _accepted(self.after)},
            "launches": {"from": _launches(self.before), "to": _launches(self.after)},
            "metrics": {metric.metric: self._metric_to_json(metric) for metric in self.metrics},
            "differences": [asdict(difference) for difference in self.differences],
        }

    def _metric_to_json(self, metric: MetricJudgement) -> dict[str, object]:
        change = metric if self.comparable else None
        return {
            "unit": metric.unit,
            "better": metric.better,
            "from": metric.baseline,
            "to": metric.value,
            "change": change and change.change,
            "change_low": change and change.change_low,
            "change_high": change and change.change_high,
        }


def keyed(entry: BaselineEntry) -> tuple[str, str, str]:
    """Return what an anchor is found by: device, matrix and cell."""
    return entry.device, entry.cell["matrix"], cell_id(entry.cell)


def changes(before: Anchors, after: Anchors, *, partial: bool = False) -> Iterator[AnchorChange]:
    """Yield what differs between two stores, by device, matrix and cell.

    ``partial`` says that ``after`` is only some of a store, such as one run's cells: then what it lacks is not removed.
    """
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if new is None and partial:
            continue
        if old is None or new is None:
            yield _one_sided(key, old, new)
        elif old.launches != new.launches or old.fingerprint != new.fingerprint:
            yield _changed(key, old, new)


def _one_sided(key: tuple[str, str, str], old: BaselineEntry | None, new: BaselineEntry | None) -> AnchorChange:
    device, matrix, cell = key
    state: State = "added" if old is None else "removed"
    return AnchorChange(device=device, matrix=matrix, cell=cell, state=state, before=old, after=new)


def _changed(key: tuple[str, str, str], old: BaselineEntry, new: BaselineEntry) -> AnchorChange:
    device, matrix, cell = key
    judgement = judge_cell(
        title=cell,
        kind=cast("Kind", new.cell["kind"]),
        thresholds={},
        baseline=old.samples,
        launches=new.samples,
    )
    return AnchorChange(
        device=device,
        matrix=matrix,
        cell=cell,
        state="changed",
        before=old,
        after=new,
        metrics=judgement.metrics,
        differences=differences(old.fingerprint, new.fingerprint),
    )


def _accepted(entry: BaselineEntry | None) -> str | None:
    return entry.accepted_at if entry else None


def _launches(entry: BaselineEntry | None) -> int | None:
    return len(entry.launches) if entry else None
