"""From a cell of a report to what the store keeps of it: its anchor, its line of history, and whether it may."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from pytest_thor.baseline.entry import BaselineEntry, Move, Replaced, StoredLaunch
from pytest_thor.baseline.fingerprint import conditions, from_json, tested
from pytest_thor.baseline.history import StoredRun
from pytest_thor.baseline.store import may_store
from pytest_thor.judge.describe import describe
from pytest_thor.judge.history import launch_values
from pytest_thor.report.document import CellRecord, LaunchRecord
from pytest_thor.verdict import Verdict

FREELY = frozenset({Verdict.NO_BASELINE, Verdict.IMPROVED, Verdict.INCOMPARABLE})
"""What a reviewer would let pass without a word: nothing stood there, it is better, or it could not be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether a cell of a report becomes its anchor, and why (not), as the rest of a sentence."""

    accepted: bool
    why: str


def words_of(record: CellRecord) -> dict[str, str]:
    """Return the words that name a record's cell, as ``Cell.fields`` has them."""
    return {
        "matrix": record.matrix,
        "model": record.model,
        "quant": record.quant,
        "backend": record.backend,
        "engine": record.engine,
        "workload": record.workload,
        "kind": record.kind,
    }


def verdicts_of(record: CellRecord) -> list[Verdict]:
    """Return the verdicts on a cell and on each of its metrics; none where it was not judged."""
    if record.verdict is None:
        return []
    return [Verdict(record.verdict), *(Verdict(metric.verdict) for metric in record.metrics.values() if metric.verdict)]


def entry_of(
    record: CellRecord, *, accepted_at: str, replacing: BaselineEntry | None = None, note: str | None = None
) -> BaselineEntry:
    """Return a measured cell as the anchor that it would be, in place of the one that stands.

    Raises:
        ValueError: the record has no fingerprint: it was not measured.
    """
    launches = tuple(
        StoredLaunch(
            started_at=launch.started_at,
            engine=launch.engine.name,
            version=launch.engine.version,
            commit=launch.engine.commit,
            samples={name: tuple(samples) for name, samples in launch.samples.items()},
        )
        for launch in _finished(record)
    )
    entry = BaselineEntry(
        device=record.device,
        cell=words_of(record),
        accepted_at=accepted_at,
        fingerprint=from_json(record.fingerprint),
        launches=launches,
        note=note,
    )
    if replacing is None:
        return entry
    judged = [name for name, metric in record.metrics.items() if metric.verdict]
    replaced = Replaced(
        accepted_at=replacing.accepted_at,
        version=replacing.launches[-1].version,
        commit=replacing.launches[-1].commit,
        launches=len(replacing.launches),
        verdict=record.verdict,
        changes=moves(replacing, entry, judged),
    )
    return replace(entry, replaces=replaced)


def run_of(record: CellRecord) -> StoredRun:
    """Return a measured cell as a line of its history: the same line whenever the same record is stored.

    Raises:
        ValueError: the record has no fingerprint, or no launch of it finished.
    """
    launches = _finished(record)
    if not launches:
        raise ValueError(f"no launch of {record.id} finished")
    last = launches[-1]
    ended = _time(last.started_at) + timedelta(seconds=last.duration_s)
    return StoredRun(
        finished_at=ended.isoformat(timespec="milliseconds"),
        verdict=record.verdict,
        version=last.engine.version,
        commit=last.engine.commit,
        conditions=conditions(from_json(record.fingerprint)),
        values=tuple(
            launch_values({name: tuple(samples) for name, samples in launch.samples.items()}) for launch in launches
        ),
        tested=tested(from_json(record.fingerprint)),
    )


def moves(before: BaselineEntry, after: BaselineEntry, metrics: Iterable[str]) -> Mapping[str, Move]:
    """Return what became of each of these metrics (``tg_tps``, ``ttft_ms.median``) that both anchors hold."""
    old, new = ({plain.metric: plain.value for plain in describe(entry.samples)} for entry in (before, after))
    return {key: Move(before=old[key], after=new[key]) for key in metrics if key in old and key in new}


def decide(record: CellRecord, existing: BaselineEntry | None, *, also: Collection[Verdict] = ()) -> Decision:
    """Tell whether a cell of a finished report may become its anchor.

    Never what was not measured or is invalid in any metric, what an A/B run measured, or what was measured before the
    present anchor was accepted: its verdict is about another one. What regressed, was unclear or unchanged only where
    ``also`` says so.
    """
    problem = _never(record)
    if problem is not None:
        return Decision(accepted=False, why=problem)
    if existing is None:
        return Decision(accepted=True, why="nothing was stored")
    if _time(_finished(record)[0].started_at) <= _time(existing.accepted_at):
        return Decision(accepted=False, why="was measured before the present anchor was accepted")
    verdict = verdicts_of(record)[0]
    if verdict in FREELY or verdict in also:
        return Decision(accepted=True, why=str(verdict))
    return Decision(accepted=False, why=f"is {verdict}: accept it with --also {verdict}")


def _never(record: CellRecord) -> str | None:
    """Return why a record can be no anchor whatever anybody asks for, or None."""
    verdicts = verdicts_of(record)
    if not verdicts or record.fingerprint is None or not _finished(record):
        return "was not measured"
    if record.reference_launches:
        return "was judged against another engine in pairs, not against an anchor"
    if not may_store(mode="accept", existing=None, verdicts=verdicts):
        return "is invalid, and never becomes a baseline"
    return None


def _finished(record: CellRecord) -> list[LaunchRecord]:
    return [launch for launch in record.launches if launch.failure is None and launch.samples]


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith("Z") else text)
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
