"""Records of a report as the judge's own, and back; and launches of several shards judged as one cell's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pytest_thor.anchors import words_of
from pytest_thor.baseline import history, store
from pytest_thor.baseline.entry import BaselineEntry
from pytest_thor.baseline.fingerprint import Fingerprint, conditions, differences, from_json
from pytest_thor.errors import ReportError
from pytest_thor.judge.compare import doubted, incomparable, judge_cell, judge_pairs
from pytest_thor.judge.history import PastRun
from pytest_thor.judge.multiplicity import adjust
from pytest_thor.judge.spread import CellPast, Spread, estimate_spreads
from pytest_thor.past import comparable_runs, past_runs
from pytest_thor.plain_text import one_line
from pytest_thor.report.document import CellRecord, LaunchRecord
from pytest_thor.report.doubts import with_launches
from pytest_thor.report.figures import first_paragraph
from pytest_thor.verdict import Judgement, MetricJudgement, Verdict

_SAME_ANCHOR = 1e-9
_UNANCHORED = frozenset({"no-baseline", "incomparable"})


@dataclass(frozen=True, kw_only=True)
class Anchors:
    """The baselines that the shards were held against, where they are at hand: read only if a cell needs one."""

    root: Path | None
    records: Sequence[CellRecord] = field(default=())

    def of(self, record: CellRecord) -> BaselineEntry | None:
        """Return what is stored of a cell.

        Raises:
            BaselineError: it cannot be read.
        """
        return None if self.root is None else store.load_named(self.root, record.device, words_of(record))

    def past_of(self, record: CellRecord, entry: BaselineEntry) -> tuple[PastRun, ...]:
        """Return the runs that compare with an anchor and were over when the cell was first launched."""
        if self.root is None:
            return ()
        began = min(launch.started_at for launch in record.launches)
        runs = history.load_named(self.root, record.device, words_of(record))
        before = [run for run in runs if run.finished_at < began]
        return past_runs(comparable_runs(before, conditions(entry.fingerprint)))

    @cached_property
    def spreads(self) -> dict[str, Spread]:
        """What all cells of the report show together, as in a run of all of them."""
        found = ((record, entry) for record in self.records if (entry := self.of(record)) is not None)
        return dict(
            estimate_spreads(
                CellPast(kind=record.kind, baseline=entry.samples, history=self.past_of(record, entry))
                for record, entry in found
                if record.launches
            )
        )


def judgement_of(record: CellRecord) -> Judgement | None:
    """Return the judgement that a record tells, None where it was not judged."""
    if record.verdict is None:
        return None
    metrics = tuple(
        MetricJudgement(
            metric=name,
            unit=metric.unit,
            better=metric.better,
            verdict=Verdict(metric.verdict),
            reason=metric.reason,
            value=metric.value,
            ci_low=metric.ci_low,
            ci_high=metric.ci_high,
            baseline=metric.baseline,
            change=metric.change,
            change_low=metric.change_low,
            change_high=metric.change_high,
            threshold=metric.threshold,
            minimum_detectable_effect=metric.minimum_detectable_effect,
            p_value=metric.p_value,
        )
        for name, metric in record.metrics.items()
        if metric.verdict
    )
    return Judgement(verdict=Verdict(record.verdict), reason=record.reason, metrics=metrics, title=record.id)


def among_all(judgements: dict[int, Judgement]) -> dict[int, Judgement]:
    """Return judgements with the q-values that they have among one another."""
    compared = sum(metric.p_value is not None for judgement in judgements.values() for metric in judgement.metrics)
    return adjust(judgements, planned=max(compared, 1))


def judge_again(joined: CellRecord, parts: Sequence[CellRecord], anchors: Anchors) -> Judgement:
    """Judge the launches of several shards as one cell's, by the rules and thresholds by which each was judged.

    ``joined`` has the launches of all ``parts``. A report holds no samples of the baseline: where the parts were held
    against one, it must be among ``anchors``.

    Raises:
        ReportError: the parts were not judged alike, or their baseline is not at hand, or is another one by now.
        BaselineError: it cannot be read.
    """
    thresholds = _thresholds(joined, parts)
    samples = [_samples(launch) for launch in joined.launches]
    verdicts = {Verdict(part.verdict) for part in parts if part.verdict}
    anchored = any(metric.baseline is not None for part in parts for metric in part.metrics.values())
    looks = len(samples)
    if joined.reference_launches:
        judgement = judge_pairs(
            title=joined.id,
            kind=joined.kind,
            thresholds=thresholds,
            reference=[_samples(launch) for launch in joined.reference_launches],
            launches=samples,
            against=_against(joined, parts),
            look=looks,
            looks=looks,
        )
    elif not anchored and Verdict.INCOMPARABLE in verdicts:
        judgement = incomparable(
            joined.differences, title=joined.id, kind=joined.kind, thresholds=thresholds, launches=samples
        )
    else:
        entry = _anchor(joined, anchors) if anchored else None
        judgement = judge_cell(
            title=joined.id,
            kind=joined.kind,
            thresholds=thresholds,
            baseline=entry.samples if entry else (),
            launches=samples,
            history=anchors.past_of(joined, entry) if entry else (),
            spreads=anchors.spreads if entry else {},
            look=looks,
            looks=looks,
        )
        _same_anchor(joined, parts, judgement)
    doubts = [doubt for launch in (*joined.launches, *joined.reference_launches) for doubt in launch.doubts]
    doubts += [reason for part in parts if (reason := _other_doubt(part, judgement)) is not None]
    return doubted(judgement, title=joined.id, doubts=doubts)


def _other_doubt(part: CellRecord, judgement: Judgement) -> str | None:
    """Return why a part is invalid, None where that is just what its launches say, which is told already."""
    if part.verdict != Verdict.INVALID.value:
        return None
    own = [doubt for launch in (*part.launches, *part.reference_launches) for doubt in launch.doubts]
    reason = first_paragraph(part.reason)[0]
    told = doubted(judgement, title=part.id, doubts=own).reason
    return None if own and reason.startswith((told, with_launches(told, part))) else reason


def _samples(launch: LaunchRecord) -> dict[str, tuple[float, ...]]:
    return {name: tuple(taken) for name, taken in launch.samples.items()}


def _thresholds(joined: CellRecord, parts: Sequence[CellRecord]) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in parts:
        for name, metric in part.metrics.items():
            if metric.threshold is not None and found.setdefault(name, metric.threshold) != metric.threshold:
                raise ReportError(
                    f"{one_line(joined.id)}: its shards judged {name} at different thresholds; merge one of them"
                )
    return found


def _against(joined: CellRecord, parts: Sequence[CellRecord]) -> str:
    engines = {tuple(launch.engine.model_dump().values()) for launch in joined.reference_launches}
    paired = all(len(part.launches) == len(part.reference_launches) for part in parts)
    if len(engines) > 1 or not paired:
        raise ReportError(
            f"{one_line(joined.id)}: its shards were not held against the same reference engine; merge one of them"
        )
    engine = joined.reference_launches[0].engine
    commit = f" ({engine.commit})" if engine.commit and engine.commit not in (engine.version or "") else ""
    return f"{' '.join(filter(None, (engine.name, engine.version)))}{commit}"


def _anchor(joined: CellRecord, anchors: Anchors) -> BaselineEntry:
    entry = anchors.of(joined)
    if entry is None:
        raise ReportError(
            f"{one_line(joined.id)} was measured by several shards against a baseline whose samples no report "
            "holds: name its store with --baseline DIR to judge all launches together, or merge only one of the shards"
        )
    if any(each.blocks for each in differences(entry.fingerprint, fingerprint_of(joined))):
        raise ReportError(_other_anchor(joined))
    return entry


def _same_anchor(joined: CellRecord, parts: Sequence[CellRecord], judgement: Judgement) -> None:
    """Refuse a baseline that is another by now than the one that the shards were held against."""
    now = {metric.metric: metric.baseline for metric in judgement.metrics}
    for part in parts:
        for name, metric in part.metrics.items():
            held = now.get(name)
            if metric.baseline is not None and held is not None:
                same = math.isclose(held, metric.baseline, rel_tol=_SAME_ANCHOR)
            elif held is not None:
                same = metric.verdict not in _UNANCHORED
            else:
                same = metric.baseline is None or judgement.verdict is Verdict.INVALID
            if not same:
                raise ReportError(_other_anchor(joined))


def _other_anchor(joined: CellRecord) -> str:
    return (
        f"{one_line(joined.id)}: its stored baseline is not the one that each of its shards was held against; name the "
        "store as it was then with --baseline DIR, or merge only one of the shards"
    )


def fingerprint_of(record: CellRecord) -> Fingerprint:
    """Return a measured cell's fingerprint.

    Raises:
        ReportError: the record has none that can be read.
    """
    try:
        return from_json(record.fingerprint)
    except ValueError as error:
        raise ReportError(
            f"{one_line(record.id)}: its report has no fingerprint of it that can be read: {error}"
        ) from error


def with_q_values(records: Sequence[CellRecord]) -> list[CellRecord]:
    """Return records with the q-values that their metrics have among one another; a verdict that was given stays."""
    alone = {number: told for number, record in enumerate(records) if (told := judgement_of(record)) is not None}
    adjusted = among_all(alone)
    return [
        with_q_of(record, adjusted[number]) if number in adjusted else record for number, record in enumerate(records)
    ]


def with_q_of(record: CellRecord, adjusted: Judgement) -> CellRecord:
    """Return a record with the q-values of its judgement among others."""
    q_values = {metric.metric: metric.q_value for metric in adjusted.metrics}
    metrics = {
        name: metric if q_values.get(name) is None else metric.model_copy(update={"q_value": q_values[name]})
        for name, metric in record.metrics.items()
    }
    return record.model_copy(update={"metrics": metrics})
