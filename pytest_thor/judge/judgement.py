"""One verdict per cell, with the paragraph that its test shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pytest_thor.cell import Kind
from pytest_thor.judge import reasons
from pytest_thor.judge.compare import NO_PRIORS, compare
from pytest_thor.judge.gates import gates
from pytest_thor.judge.statistics import Prior
from pytest_thor.measurement import Samples
from pytest_thor.verdict import Judgement, MetricJudgement, Verdict, worst


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
    *,
    title: str,
    kind: Kind,
    thresholds: Mapping[str, float],
    launches: Sequence[Samples],
    differences: Sequence[str],
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


def _not_compared(
    metric: MetricJudgement, kind: Kind, thresholds: Mapping[str, float], launches: int
) -> MetricJudgement:
    if metric.value is None or metric.ci_low is None or metric.ci_high is None:
        return metric
    gate = next(gate for gate in gates(kind, thresholds) if gate.key == metric.metric)
    reason = reasons.not_compared(gate, value=metric.value, low=metric.ci_low, high=metric.ci_high, launches=launches)
    return replace(metric, verdict=Verdict.INCOMPARABLE, reason=reason)
