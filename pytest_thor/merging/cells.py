"""The same cell in several shards: kept once, its launches together, or refused by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from pytest_thor.baseline.fingerprint import differences
from pytest_thor.errors import ReportError
from pytest_thor.judge.describe import describe
from pytest_thor.judge.policy import outcome
from pytest_thor.judge.suspicion import excused
from pytest_thor.merging.judging import Anchors, fingerprint_of, judge_again
from pytest_thor.plain_text import one_line
from pytest_thor.record import metric_record
from pytest_thor.report.document import CellRecord, LaunchRecord, MetricRecord, Outcome, PolicyRecord
from pytest_thor.report.doubts import with_launches
from pytest_thor.units import counted
from pytest_thor.verdict import Judgement, Verdict

_INFORMATIVE: Mapping[Outcome, int] = {"failed": 0, "error": 0, "warned": 0, "passed": 0, "skipped": 1}
_SHOWN_RUNS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """One cell of a merged report; ``judgement`` is there where its launches come from several shards."""

    record: CellRecord
    judgement: Judgement | None = None


def join(records: Sequence[CellRecord], anchors: Anchors, *, relative: bool) -> Joined:
    """Return one record of a cell that several shards tell of, in whatever order they do.

    One that was measured stands before those that were not. Launches of several are put together in the order of their
    start and judged anew, where all facts of the fingerprints agree; a launch that several tell of counts once.
    ``relative`` says that a shard's verdicts left a common shift out, which no other launches share.

    Raises:
        ReportError: the shards measured different things, or their launches cannot be judged together.
        BaselineError: the baseline that this takes cannot be read.
    """
    ordered = _each_once(records)
    measured = [record for record in ordered if record.verdict is not None]
    if len(ordered) == 1:
        return Joined(record=ordered[0])
    if not measured:
        return Joined(record=min(ordered, key=_emptiness))
    if len(measured) == 1:
        return Joined(record=_with_advice(measured[0], [_told(each) for each in ordered if each.outcome == "error"]))
    return _together(measured, anchors, relative=relative)


def _each_once(records: Sequence[CellRecord]) -> list[CellRecord]:
    """Return the records in an order of their own; one that several shards tell of alike has the names of all."""
    unique: dict[str, list[CellRecord]] = {}
    for record in records:
        unique.setdefault(record.model_dump_json(exclude={"shards"}), []).append(record)
    return [unique[text][0].model_copy(update={"shards": _shards(unique[text])}) for text in sorted(unique)]


def _shards(records: Sequence[CellRecord]) -> list[str]:
    return sorted({name for record in records for name in record.shards})


def concluded(joined: CellRecord, judgement: Judgement, *, outcomes: Mapping[str, Outcome]) -> CellRecord:
    """Return a record of launches from several shards with its judgement; ``outcomes`` are what verdicts mean there."""
    if not joined.reference_launches:  # engines side by side had the same machine
        judgement = excused(judgement, kind=joined.kind, slowing=joined.slowing)
    limits = {name: metric.limit for name, metric in joined.metrics.items() if metric.limit}
    judged = {metric.metric: metric_record(metric) for metric in judgement.metrics}
    others = {
        plain.metric: MetricRecord(
            unit=plain.unit, better=plain.better, value=plain.value, ci_low=plain.ci_low, ci_high=plain.ci_high
        )
        for plain in describe(
            [{name: tuple(taken) for name, taken in each.samples.items()} for each in joined.launches]
        )
        if plain.metric not in judged
    }
    metrics = {name: _with_limit(metric, limits.get(name)) for name, metric in {**judged, **others}.items()}
    verdict = judgement.verdict
    launches = "launch" if len(joined.launches) == 1 else "launches"
    origin = f"Its {len(joined.launches)} {launches} come from several shards ({', '.join(joined.shards)})."
    return joined.model_copy(
        update={
            "verdict": verdict.value,
            "outcome": outcomes[verdict.value],
            "reason": f"{with_launches(judgement.reason, joined)} {origin}",
            "metrics": metrics,
        }
    )


def outcomes_of(records: Sequence[CellRecord], policy: PolicyRecord | None) -> dict[str, Outcome]:
    """Return what each verdict means for its test: by the policy, and where a report does not tell it by its cells.

    Of cells that the shards treated differently the worst counts; for a verdict that none has, the usual policy.
    """
    order: Sequence[Outcome] = ("failed", "warned", "passed")
    asked = policy or PolicyRecord()
    outcomes = {}
    for verdict in Verdict:
        found = {each.outcome for each in records if each.verdict == verdict.value and each.outcome in order}
        usual = outcome(verdict, inconclusive=asked.inconclusive, invalid=asked.invalid, strict=asked.strict)
        outcomes[verdict.value] = usual if policy or not found else min(found, key=order.index)
    return outcomes


def _together(measured: Sequence[CellRecord], anchors: Anchors, *, relative: bool) -> Joined:
    first = measured[0]
    for one, other in combinations(measured, 2):
        _same_conditions(one, other)
    launches = _launches([launch for record in measured for launch in record.launches])
    references = _launches([launch for record in measured for launch in record.reference_launches])
    if not launches:
        raise ReportError(
            f"{one_line(first.id)}: several reports state figures of it, and none has launches; merge one of them"
        )
    for record in measured:
        # A report that has been merged already has every launch of its shards.
        if len(record.launches) == len(launches) and len(record.reference_launches) == len(references):
            return Joined(record=record)
    if relative:
        raise ReportError(
            f"{one_line(first.id)} was measured by several shards, and the verdicts leave out what a shard's machine "
            "shifted by, which the others do not share; merge only one of them"
        )
    history = {run.model_dump_json(): run for record in measured for run in record.history}
    joined = first.model_copy(
        update={
            "launches": launches,
            "reference_launches": references,
            "history": sorted(history.values(), key=lambda run: (run.finished_at, run.model_dump_json()))[
                -_SHOWN_RUNS:
            ],
            "advice": list(dict.fromkeys(sorted(sentence for record in measured for sentence in record.advice))),
            "slowing": _slowing(measured),
            "differences": list(dict.fromkeys(each for record in measured for each in record.differences)),
            "shards": _shards(measured),
        }
    )
    return Joined(record=joined, judgement=judge_again(joined, measured, anchors))


def _slowing(measured: Sequence[CellRecord]) -> str | None:
    """Return what slowed most launches, as of one run's; None where as many were not slowed."""
    slowed = [record for record in measured if record.slowing]
    count, of = (sum(len(record.launches) for record in records) for records in (slowed, measured))
    return slowed[0].slowing if 2 * count > of else None


def _same_conditions(one: CellRecord, other: CellRecord) -> None:
    if one.fingerprint == other.fingerprint is None and not (one.launches or other.launches):
        return  # published figures; what follows refuses them
    found = differences(fingerprint_of(one), fingerprint_of(other))
    if found:
        told = one_line("; ".join(str(each) for each in found))
        raise ReportError(
            f"{one_line(one.id)} on {one_line(one.device)} was measured by several shards under different "
            f"conditions ({told}): their launches are not of one thing. Merge only one of them, or see "
            "both with pytest-thor compare"
        )


def _launches(launches: Sequence[LaunchRecord]) -> list[LaunchRecord]:
    unique = {launch.model_dump_json(): launch for launch in launches}
    return [unique[text] for text in sorted(unique, key=lambda text: (unique[text].started_at, text))]


def _with_limit(metric: MetricRecord, limit: float | None) -> MetricRecord:
    if limit is None or metric.value is None or metric.value <= 0:
        return metric
    efficiency = metric.value / limit if metric.better == "higher" else limit / metric.value
    return metric.model_copy(update={"limit": limit, "efficiency": efficiency})


def _emptiness(record: CellRecord) -> tuple[int, bool, str]:
    return _INFORMATIVE[record.outcome], record.left_over, record.model_dump_json()


def _told(record: CellRecord) -> str:
    launches = counted(len(record.launches), "launch").replace("launchs", "launches")
    return f"another shard could not measure it ({launches}): {record.reason.partition(chr(10))[0]}"


def _with_advice(record: CellRecord, sentences: Sequence[str]) -> CellRecord:
    return record.model_copy(update={"advice": [*record.advice, *sentences]}) if sentences else record
