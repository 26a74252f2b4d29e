"""Launches held against a baseline's: one verdict per judged metric, and one per cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pytest_thor.cell import Kind
from pytest_thor.judge import reasons
from pytest_thor.judge.gates import gates
from pytest_thor.judge.metric import NO_PRIORS, judge_metric, spoiled
from pytest_thor.judge.statistics import Prior
from pytest_thor.measurement import Samples
from pytest_thor.verdict import Judgement, MetricJudgement, Verdict, worst


def compare(
    *,
    baseline: Sequence[Samples],
    launches: Sequence[Samples],
    kind: Kind,
    thresholds: Mapping[str, float],
    priors: Mapping[str, Prior] = NO_PRIORS,
) -> tuple[MetricJudgement, ...]:
    """Judge each gated metric of some launches against those of the baseline (empty where there is none).

    ``thresholds`` are fractions by metric (``tg_tps``, ``ttft_ms.p99``): they gate what they name, beside what the
    kind gates by itself. ``priors`` hold a run's estimates of the spread between launches, by the same keys. A
    metric that is not gated is judged only where its samples are impossible: then nothing of the launch is believed.

    Raises:
        ValueError: a threshold names no metric, or is not a positive fraction.
    """
    gated = gates(kind, thresholds)
    judged = [judge_metric(gate, baseline, launches, priors) for gate in gated]
    seen = {gate.metric.name for gate in gated}
    others = sorted({name for launch in launches for name in launch} - seen)
    return (*judged, *(found for name in others if (found := spoiled(name, launches)) is not None))


def judge_cell(
    *,
    title: str,
    kind: Kind,
    thresholds: Mapping[str, float],
    baseline: Sequence[Samples],
    launches: Sequence[Samples],
    priors: Mapping[str, Prior] = NO_PRIORS,
) -> Judgement:
    """Return a cell's verdict, the worst of its metrics', with the paragraph that a failing test shows.

    ``title`` begins the paragraph. The other arguments are those of :func:`compare`.
    """
    metrics = compare(baseline=baseline, launches=launches, kind=kind, thresholds=thresholds, priors=priors)
    verdict = worst(metric.verdict for metric in metrics) or Verdict.INVALID
    footing = reasons.footing(launches=len(launches), baseline_launches=len(baseline))
    return Judgement(verdict=verdict, reason=reasons.paragraph(title, verdict, metrics, footing), metrics=metrics)


def incomparable(
    differences: Sequence[str],
    *,
    kind: Kind,
    thresholds: Mapping[str, float],
    launches: Sequence[Samples],
    title: str = "This cell",
    priors: Mapping[str, Prior] = NO_PRIORS,
) -> Judgement:
    """Return what is said of launches whose baseline was taken under another fingerprint: values, no comparison.

    ``differences`` are the fields that forbid it, one phrase each. Impossible figures are invalid here too.
    """
    alone = compare(baseline=(), launches=launches, kind=kind, thresholds=thresholds, priors=priors)
    metrics = tuple(_not_compared(metric, kind, thresholds, len(launches)) for metric in alone)
    verdict = worst([Verdict.INCOMPARABLE, *(metric.verdict for metric in metrics)]) or Verdict.INCOMPARABLE
    footing = (
        f"The baseline was taken under other conditions ({'; '.join(differences)}): run under the same ones,"
        " or accept this as the new baseline with --thor-update-baseline=accept."
    )
    return Judgement(verdict=verdict, reason=reasons.paragraph(title, verdict, metrics, footing), metrics=metrics)


def doubted(judgement: Judgement, *, title: str, doubts: Sequence[str]) -> Judgement:
    """Return the judgement, or that it is invalid where a launch gave reason to disbelieve its own figures."""
    if not doubts:
        return judgement
    told = "; ".join(dict.fromkeys(doubts))
    metrics = tuple(replace(metric, verdict=Verdict.INVALID, reason=told) for metric in judgement.metrics)
    return Judgement(
        verdict=Verdict.INVALID, reason=f"{title} is invalid. {told[:1].upper()}{told[1:]}.", metrics=metrics
    )


def _not_compared(
    metric: MetricJudgement, kind: Kind, thresholds: Mapping[str, float], launches: int
) -> MetricJudgement:
    if metric.value is None or metric.ci_low is None or metric.ci_high is None:
        return metric
    gate = next(gate for gate in gates(kind, thresholds) if gate.key == metric.metric)
    reason = reasons.not_compared(gate, value=metric.value, low=metric.ci_low, high=metric.ci_high, launches=launches)
    return replace(metric, verdict=Verdict.INCOMPARABLE, reason=reason)
