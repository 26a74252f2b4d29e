"""A cell's stored runs, as the judge takes them and as a reader wants them told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from pytest_thor.baseline.history import StoredRun
from pytest_thor.judge.change_points import ChangePoint, change_points
from pytest_thor.judge.history import PastRun
from pytest_thor.units import format_percent
from pytest_thor.verdict import Verdict

_CALLED = {Verdict.REGRESSED, Verdict.IMPROVED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One metric of one stored run: the median of its launches' values."""

    run: StoredRun
    value: float


def comparable_runs(runs: Sequence[StoredRun], conditions: str) -> tuple[StoredRun, ...]:
    """Return the runs that were taken under these conditions (``fingerprint.conditions``), in their order."""
    return tuple(run for run in runs if run.conditions == conditions)


def past_runs(runs: Sequence[StoredRun]) -> tuple[PastRun, ...]:
    """Return stored runs, oldest first, as the judge takes them.

    A run that was called changed, and that had something else under test than the one before, says so: its figures tell
    nothing of how far the machine's own runs lie apart.
    """
    before = (None, *runs)
    return tuple(
        PastRun(
            finished_at=run.finished_at,
            values=run.values,
            changed=last is not None and run.verdict in _CALLED and last.tested != run.tested,
        )
        for last, run in zip(before, runs, strict=False)
    )


def levels(runs: Sequence[StoredRun], metric: str) -> tuple[Level, ...]:
    """Return a metric (``tg_tps``, ``ttft_ms.median``) of those runs that have it, in their order."""
    found = []
    for run in runs:
        values = [launch[metric] for launch in run.values if metric in launch]
        if values:
            found.append(Level(run=run, value=median(values)))
    return tuple(found)


def advice(runs: Sequence[StoredRun], metric: str) -> tuple[str, ...]:
    """Return a sentence for each change of a metric's level over comparable runs, oldest first."""
    known = levels(runs, metric)
    points = change_points([level.value for level in known])
    return tuple(_sentence(metric, point, known[point.index].run, len(known)) for point in points)


def _sentence(metric: str, point: ChangePoint, run: StoredRun, runs: int) -> str:
    built = " ".join(filter(None, (run.version, f"({run.commit})" if run.commit else None)))
    engine = f", engine {built}" if built else ""
    return (
        f"{metric} changed its level by {format_percent(point.change, signed=True)} with the run of"
        f" {run.finished_at[:10]}{engine} (run {point.index + 1} of {runs})"
    )
