"""Every side of a row held against the reference: the change, its interval, and what the judge says of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pytest_thor.baseline.fingerprint import Difference, differences
from pytest_thor.comparison.matching import By, LeftOut, Matched, Row
from pytest_thor.comparison.subject import Subject, is_metric
from pytest_thor.judge.compare import doubted, judge_cell
from pytest_thor.judge.gates import gates
from pytest_thor.judge.multiplicity import adjust
from pytest_thor.judge.spread import CellPast, Spread, estimate_spreads
from pytest_thor.measurement import METRICS, Better
from pytest_thor.verdict import Judgement, Verdict

_WORK = "workload."
_EXPECTED: Mapping[By, tuple[str, ...]] = {
    "report": (),
    "build": ("engine.",),
    "device": ("device",),
    "quant": ("model.",),
    "engine": ("engine.", "settings."),
    "backend": ("engine.", "settings."),
    "model": ("model.",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """One metric of one cell beside the reference's, both in its unit; None is "not known".

    ``change`` and its interval are relative to the reference and signed as the figure moved (−0.05 is 5 % lower).
    ``verdict`` is None where nobody can tell: one side has no launches, or the reference not this metric; and of the
    reference itself, unless that is invalid. ``reason`` says why there is no change, or what the judge says of it.
    """

    metric: str
    unit: str
    better: Better
    value: float | None
    reference: float | None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    threshold: float | None = None
    verdict: Verdict | None = None
    p_value: float | None = None
    q_value: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrasts:
    """A row with its contrasts by column and metric; the reference's own are its values alone."""

    row: Row
    by_column: Mapping[str, Mapping[str, Contrast]]

    @property
    def verdict_order(self) -> tuple[int, float]:
        """What to sort by: the worst verdict first, and within it the largest loss in thresholds."""
        all_of_it = [contrast for metrics in self.by_column.values() for contrast in metrics.values()]
        ranks = [_ORDER.index(each.verdict) for each in all_of_it if each.verdict is not None]
        return min(ranks, default=len(_ORDER)), -max(map(_loss, all_of_it), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Sides by side: ``columns`` with the ``reference`` among them, the rows, what differs, and what was left out.

    ``differences`` are phrases (``B: engine version: b7 → b8``) with the number of rows in which they hold.
    """

    by: By
    columns: tuple[str, ...]
    reference: str
    rows: tuple[Contrasts, ...]
    differences: Mapping[str, int]
    left_out: tuple[LeftOut, ...]


_ORDER = tuple(Verdict)


def contrast(matched: Matched, by: By, *, reference: str, metrics: Sequence[str] = ()) -> Comparison:
    """Hold every column of every row against the reference's.

    ``metrics`` are patterns (``tg_tps``, ``ttft_ms.*``) for what is compared: without any, the metrics that gate, and
    where a publication has none of these all that both sides have. Launches are judged as those of two runs, at the
    thresholds of the reports, as if it had been looked at after every launch of them; of all the comparisons at most
    5 % of those called changes are none.
    """
    pairs: dict[tuple[int, str], tuple[Subject, Subject]] = {}
    left_out = list(matched.left_out)
    told: Counter[str] = Counter()
    foreign: dict[tuple[int, str], str] = {}
    for number, row in enumerate(matched.rows):
        base = row.subjects.get(reference)
        for column, subject in row.subjects.items():
            if base is None:
                left_out.append(LeftOut(column=column, subject=subject, why=f"has no counterpart in {reference}"))
            elif column != reference:
                pairs[number, column] = (base, subject)
                found = _differences(base, subject)
                foreign[number, column] = "; ".join(str(each) for each in found if _other_work(each))
                told.update(f"{column}: {each}" for each in found if not _is_expected(each, by))
    spreads = estimate_spreads(
        CellPast(kind=base.kind, baseline=base.samples)
        for row in matched.rows
        if (base := row.subjects.get(reference)) is not None and base.samples
    )
    keys = {place: _keys(base, subject, metrics) for place, (base, subject) in pairs.items()}
    judgements = {
        place: _judge(base, subject, keys[place] if metrics else (), spreads)
        for place, (base, subject) in pairs.items()
        if base.samples and subject.samples and not foreign[place]
    }
    judgements = adjust(judgements, planned=len(judgements))
    rows = []
    for number, row in enumerate(matched.rows):
        if reference not in row.subjects:
            continue
        by_column = {
            column: _contrasts(base, subject, keys[number, column], judgements.get((number, column)), why)
            for column in row.subjects
            if column != reference
            for base, subject in [pairs[number, column]]
            for why in [foreign[number, column]]
        }
        rows.append(Contrasts(row=row, by_column=_with_reference(row, reference, by_column)))
    return Comparison(
        by=by,
        columns=matched.columns,
        reference=reference,
        rows=tuple(rows),
        differences=dict(told),
        left_out=tuple(left_out),
    )


def _differences(base: Subject, subject: Subject) -> tuple[Difference, ...]:
    if base.fingerprint is None or subject.fingerprint is None:
        return ()
    return differences(base.fingerprint, subject.fingerprint)


def _other_work(difference: Difference) -> bool:
    return difference.blocks and difference.field.startswith(_WORK)


def _is_expected(difference: Difference, by: By) -> bool:
    return difference.field.startswith(_EXPECTED[by])


def _keys(base: Subject, subject: Subject, patterns: Sequence[str]) -> tuple[str, ...]:
    both = [key for key in subject.values if key in base.values]
    if patterns:
        return tuple(key for key in both if any(fnmatchcase(key, pattern) for pattern in patterns))
    judged = [gate.key for gate in gates(base.kind, {**base.thresholds, **subject.thresholds})]
    if base.samples and subject.samples:
        return tuple(judged)
    return tuple([key for key in judged if key in both] or both)


def _judge(base: Subject, subject: Subject, wanted: Sequence[str], spreads: Mapping[str, Spread]) -> Judgement:
    more = {key: METRICS[key.partition(".")[0]].threshold for key in wanted if is_metric(key)}
    launches = len(subject.samples)
    judgement = judge_cell(
        title=subject.id,
        kind=subject.kind,
        thresholds={**more, **base.thresholds, **subject.thresholds},
        baseline=base.samples,
        launches=subject.samples,
        spreads=spreads,
        look=launches,
        looks=launches,
    )
    return doubted(judgement, title=subject.id, doubts=_doubts(base, subject))


def _doubts(base: Subject, subject: Subject) -> list[str]:
    return [f"{each.source}: {each.doubt}" for each in (base, subject) if each.doubt]


def _contrasts(
    base: Subject, subject: Subject, keys: Sequence[str], judgement: Judgement | None, foreign: str
) -> dict[str, Contrast]:
    """Return one column's contrasts: as judged, else values side by side."""
    judged = {} if judgement is None else {metric.metric: metric for metric in judgement.metrics}
    shown = list(dict.fromkeys([*keys, *(key for key, each in judged.items() if each.verdict is Verdict.INVALID)]))
    found = {}
    for key in shown:
        if key not in judged:
            plain = _plain(key, base, subject, foreign)
            if plain is not None:
                found[key] = plain
            continue
        metric = judged[key]
        stands = metric.verdict is not Verdict.INVALID
        lacks = metric.verdict is Verdict.NO_BASELINE
        found[key] = Contrast(
            metric=key,
            unit=metric.unit,
            better=metric.better,
            value=metric.value if metric.value is not None else _value(subject, key),
            reference=metric.baseline if metric.baseline is not None else _value(base, key),
            change=metric.change if stands else None,
            low=metric.change_low if stands else None,
            high=metric.change_high if stands else None,
            threshold=metric.threshold,
            verdict=None if lacks else metric.verdict,
            p_value=metric.p_value,
            q_value=metric.q_value,
            reason="the reference has no such figure" if lacks else metric.reason,
        )
    return found


def _plain(key: str, base: Subject, subject: Subject, foreign: str) -> Contrast | None:
    """Return two values as they are stated; their ratio without an interval where both may be believed."""
    ours = subject.values.get(key) or base.values.get(key)
    if ours is None:
        return None
    value, reference = _value(subject, key), _value(base, key)
    verdict, reason = None, "no interval: one side has no launches"
    doubts = _doubts(base, subject)
    if foreign:
        verdict, reason = Verdict.INCOMPARABLE, f"is other work ({foreign})"
    elif doubts:
        verdict, reason = Verdict.INVALID, "; ".join(doubts)
    elif key in subject.values and key in base.values and subject.values[key].unit != base.values[key].unit:
        verdict, reason = Verdict.INCOMPARABLE, "is in another unit"
    change = None
    if verdict is None and value is not None and reference is not None and value > 0 and reference > 0:
        ratio = value / reference
        change = ratio - 1 if math.isfinite(ratio) else None
    return Contrast(
        metric=key,
        unit=ours.unit,
        better=ours.better,
        value=value,
        reference=reference,
        change=change,
        verdict=verdict,
        reason=reason,
    )


def _with_reference(
    row: Row, reference: str, by_column: Mapping[str, Mapping[str, Contrast]]
) -> dict[str, Mapping[str, Contrast]]:
    """Return the columns in their order, the reference's own values among them."""
    held = {key: each for metrics in by_column.values() for key, each in metrics.items()}
    own = {
        key: Contrast(
            metric=key,
            unit=each.unit,
            better=each.better,
            value=_value(row.subjects[reference], key),
            reference=_value(row.subjects[reference], key),
            verdict=Verdict.INVALID if row.subjects[reference].doubt else None,
            reason=row.subjects[reference].doubt or "",
        )
        for key, each in held.items()
    }
    return {column: own if column == reference else by_column[column] for column in row.subjects}


def _value(subject: Subject, key: str) -> float | None:
    stated = subject.values.get(key)
    return None if stated is None else stated.value


def _loss(contrast: Contrast) -> float:
    if contrast.change is None:
        return 0.0
    loss = -contrast.change if contrast.better == "higher" else contrast.change
    return loss / contrast.threshold if contrast.threshold else loss
