"""Launches held against a baseline's, or against a reference's: one verdict per judged metric, and one per cell."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pytest_thor.cell import Kind
from pytest_thor.judge import reasons
from pytest_thor.judge.change import Change, level_of
from pytest_thor.judge.drift import Shift
from pytest_thor.judge.exact import described_exactly, hold_exactly
from pytest_thor.judge.gates import Gate, gates
from pytest_thor.judge.history import Past, PastRun, past_of, value_key
from pytest_thor.judge.metric import BY_ITSELF, Judged, Moment, hold_against_past, hold_in_pairs
from pytest_thor.judge.spread import (
    NO_SPREADS,
    Spread,
    Variances,
    no_finer_than_repetitions,
    spread_of,
    variances,
)
from pytest_thor.judge.statistics import mean, squares
from pytest_thor.judge.usable import problem_of, spoiled, values_of
from pytest_thor.measurement import Samples
from pytest_thor.verdict import Judgement, MetricJudgement, Verdict, worst


def judge_cell(
    *,
    title: str,
    kind: Kind,
    thresholds: Mapping[str, float],
    baseline: Sequence[Samples],
    launches: Sequence[Samples],
    history: Sequence[PastRun] = (),
    spreads: Mapping[str, Spread] = NO_SPREADS,
    look: int = 1,
    looks: int = 1,
    shift: Shift | None = None,
) -> Judgement:
    """Return a cell's verdict, the worst of its metrics', with the paragraph that a failing test shows.

    ``title`` begins the paragraph. ``thresholds`` are fractions by metric (``tg_tps``, ``ttft_ms.p99``): they gate
    what they name, beside what the kind gates by itself. ``baseline`` are the launches of the accepted run (empty
    where there is none), ``history`` the comparable runs that were stored, oldest first, the accepted one among them
    or not. ``spreads`` are what all cells show (:func:`~pytest_thor.judge.spread.estimate_spreads`). This is look
    ``look`` of at most ``looks``, each one launch apart. Under a ``shift`` the change is judged beside that of the
    whole machine.

    A metric that is not gated is judged only where its samples are impossible: then nothing of the launch is believed.

    Raises:
        ValueError: a threshold names no metric, or is not a positive fraction; or there is no such look.
    """
    moment = Moment(look=look, looks=looks, shift=shift)
    judged = _metrics(
        kind,
        thresholds,
        launches,
        lambda gate: _against_past(gate, baseline, launches, history=history, spreads=spreads, moment=moment),
    )
    footing = reasons.footing(
        launches=len(launches),
        most=len(launches) + looks - look,
        baseline_launches=len(baseline),
        shift=None if shift is None else shift.shift,
    )
    return conclude(title, judged, footing)


def judge_pairs(
    *,
    title: str,
    kind: Kind,
    thresholds: Mapping[str, float],
    reference: Sequence[Samples],
    launches: Sequence[Samples],
    against: str,
    spreads: Mapping[str, Spread] = NO_SPREADS,
    look: int = 1,
    looks: int = 1,
) -> Judgement:
    """Return the verdict of launches that alternated with those of a reference, the i-th with the i-th.

    What the machine does to both of a pair cancels, so that no spread between runs enters. ``against`` names the
    reference in the paragraph. What one side has more of is left out. The other arguments are those of
    :func:`judge_cell`.

    Raises:
        ValueError: as :func:`judge_cell`.
    """
    pairs = min(len(reference), len(launches))
    moment = Moment(look=look, looks=looks)
    judged = _metrics(
        kind,
        thresholds,
        launches,
        lambda gate: _against_pairs(gate, reference[:pairs], launches[:pairs], spreads=spreads, moment=moment),
    )
    return conclude(title, judged, reasons.pairs_footing(pairs=pairs, most=pairs + looks - look, against=against))


def incomparable(
    differences: Sequence[str],
    *,
    kind: Kind,
    thresholds: Mapping[str, float],
    launches: Sequence[Samples],
    title: str = "This cell",
    spreads: Mapping[str, Spread] = NO_SPREADS,
) -> Judgement:
    """Return what is said of launches whose baseline was taken under another fingerprint: values, no comparison.

    ``differences`` are the fields that forbid it, one phrase each. Impossible figures are invalid here too.
    """

    def alone(gate: Gate) -> Judged:
        judged, hopeless = _against_past(gate, (), launches, spreads=spreads)
        if judged.verdict is not Verdict.NO_BASELINE:
            return judged, hopeless
        reason = reasons.not_compared(gate, judged, launches=len(launches))
        return replace(judged, verdict=Verdict.INCOMPARABLE, reason=reason), False

    footing = (
        f"The baseline was taken under other conditions ({'; '.join(differences)}): run under the same ones,"
        " or accept this as the new baseline with --thor-update-baseline=accept."
    )
    return conclude(title, _metrics(kind, thresholds, launches, alone), footing, least=Verdict.INCOMPARABLE)


def doubted(judgement: Judgement, *, title: str, doubts: Sequence[str]) -> Judgement:
    """Return the judgement, or that it is invalid where a launch gave reason to disbelieve its own figures."""
    if not doubts:
        return judgement
    told = "; ".join(dict.fromkeys(doubts))
    metrics = tuple(replace(metric, verdict=Verdict.INVALID, reason=told) for metric in judgement.metrics)
    return Judgement(
        verdict=Verdict.INVALID, reason=f"{title} is invalid. {told[:1].upper()}{told[1:]}.", metrics=metrics
    )


def conclude(title: str, judged: Sequence[Judged], footing: str, *, least: Verdict | None = None) -> Judgement:
    """Return the judgement of a cell from its metrics'; ``least`` is a verdict that it is at least as bad as.

    A metric without a baseline beside others that have one does not speak for the cell, and is told.
    """
    metrics = tuple([metric for metric, _ in judged])
    verdicts = [metric.verdict for metric in metrics]
    spoken = [verdict for verdict in verdicts if verdict is not Verdict.NO_BASELINE] or verdicts
    verdict = worst([*spoken, *([] if least is None else [least])]) or Verdict.INVALID
    return Judgement(
        verdict=verdict,
        reason=reasons.paragraph(title, verdict, metrics, footing),
        metrics=metrics,
        title=title,
        footing=footing,
        unsettled=frozenset([metric.metric for metric, hopeless in judged if hopeless]),
    )


def _metrics(
    kind: Kind,
    thresholds: Mapping[str, float],
    launches: Sequence[Samples],
    judge: Callable[[Gate], Judged],
) -> list[Judged]:
    gated = [
        gate
        for gate in gates(kind, thresholds)
        if not gate.where_measured or any(launch.get(gate.metric.name) for launch in launches)
    ]
    seen = {gate.metric.name for gate in gated}
    others = sorted({name for launch in launches for name in launch} - seen)
    judged = list(map(judge, gated))
    return [*judged, *((found, False) for name in others if (found := spoiled(name, launches)) is not None)]


def _against_past(
    gate: Gate,
    baseline: Sequence[Samples],
    launches: Sequence[Samples],
    *,
    history: Sequence[PastRun] = (),
    spreads: Mapping[str, Spread],
    moment: Moment = BY_ITSELF,
) -> Judged:
    judged, fit = _begun(gate, launches)
    if not fit:
        return judged, judged.verdict is Verdict.INCONCLUSIVE
    stored = [launch for launch in baseline if launch.get(gate.metric.name)]
    problem = problem_of(gate, stored) if stored else None
    accepted = values_of(gate, stored) if problem is None else []
    values = values_of(gate, launches)
    key = value_key(gate)
    past = past_of(key, accepted, history)
    known = no_finer_than_repetitions(spread_of(gate, key, spreads), gate, [*stored, *launches])
    own = variances(past, [[math.log(value) for value in values]], known)
    judged = _described(gate, judged, values, own)
    if problem is not None:
        return replace(judged, verdict=Verdict.INCOMPARABLE, reason=reasons.unusable_baseline(problem)), False
    if not stored:
        reason = reasons.without_baseline(gate, judged, launches=len(values), anything_stored=bool(baseline))
        return replace(judged, reason=reason), False
    if gate.is_exact:
        return hold_exactly(gate, judged, stored=accepted, values=values)
    return hold_against_past(gate, judged, stored=accepted, values=values, past=past, variances=own, moment=moment)


def _against_pairs(
    gate: Gate,
    reference: Sequence[Samples],
    launches: Sequence[Samples],
    *,
    spreads: Mapping[str, Spread],
    moment: Moment,
) -> Judged:
    judged, fit = _begun(gate, launches)
    if not fit:
        return judged, judged.verdict is Verdict.INCONCLUSIVE
    values = values_of(gate, launches)
    known = no_finer_than_repetitions(spread_of(gate, value_key(gate), spreads), gate, [*reference, *launches])
    own = variances(Past(baseline=tuple([math.log(value) for value in values]), earlier=()), (), known)
    judged = _described(gate, judged, values, own)
    problem = problem_of(gate, reference)
    if problem is not None:
        return replace(judged, verdict=Verdict.INCOMPARABLE, reason=reasons.unusable_reference(problem)), False
    others = values_of(gate, reference)
    if gate.is_exact:
        return hold_exactly(gate, judged, stored=others, values=values)
    differences = [math.log(value) - math.log(other) for value, other in zip(values, others, strict=True)]
    df = known.launch_df + len(differences) - 1
    change = Change(
        log_ratio=mean(differences),
        launch=(known.launch_df * 2 * known.launch_sd**2 + squares(differences)) / df,
        launch_df=df,
        reference=math.inf,
        launches=len(differences),
        look=moment.look,
        looks=moment.looks,
    )
    return hold_in_pairs(gate, judged, change, reference=others, values=values)


def _described(gate: Gate, judged: MetricJudgement, values: Sequence[float], own: Variances) -> MetricJudgement:
    if gate.is_exact:
        return described_exactly(judged, values)
    value, low, high = level_of(values, own)
    return replace(judged, value=value, ci_low=low, ci_high=high)


def _begun(gate: Gate, launches: Sequence[Samples]) -> tuple[MetricJudgement, bool]:
    """Return what is known before anything is compared, and whether the launches are fit to be."""
    problem = problem_of(gate, launches)
    verdict = Verdict.NO_BASELINE
    if problem is not None:
        optional = not gate.required and not any(launch.get(gate.metric.name) for launch in launches)
        verdict = Verdict.INCONCLUSIVE if optional else Verdict.INVALID
    judged = MetricJudgement(
        metric=gate.key,
        unit=gate.metric.unit,
        better=gate.metric.better,
        verdict=verdict,
        reason=problem or "",
        threshold=gate.threshold,
    )
    return judged, problem is None
