"""Many comparisons in one run: how many of the changes that are called may be none."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from pytest_thor.judge import reasons
from pytest_thor.judge.compare import conclude
from pytest_thor.verdict import Judgement, MetricJudgement, Verdict

FALSE_DISCOVERY_RATE = 0.05
"""The expected share of unchanged metrics among those that a run calls changed, at most."""

_CALLED = {Verdict.REGRESSED, Verdict.IMPROVED}
_COMPARED = {*_CALLED, Verdict.UNCHANGED, Verdict.INCONCLUSIVE}

K = TypeVar("K", bound=Hashable)


def adjust(judgements: Mapping[K, Judgement], *, planned: int) -> dict[K, Judgement]:
    """Return the judgements with q-values (Benjamini & Hochberg 1995) over every compared metric.

    What was called changed and is not, among so many, becomes inconclusive. ``planned`` comparisons are made in the
    whole run: those not seen yet count as p = 1, so that further cells only ever add to what is called. Judgements
    that were adjusted before are adjusted anew, from what they said by themselves.
    """
    alone = {key: judgement.by_itself or judgement for key, judgement in judgements.items()}
    places = [
        (key, number, metric.p_value)
        for key, judgement in alone.items()
        for number, metric in enumerate(judgement.metrics)
        if metric.p_value is not None and metric.verdict in _COMPARED
    ]
    planned = max(planned, len(places))
    q_values: dict[K, dict[int, float]] = {}
    for (key, number, _), q in zip(places, _q_values([p for _, _, p in places], planned), strict=True):
        q_values.setdefault(key, {})[number] = q
    return {key: _adjusted(judgement, q_values.get(key, {}), planned) for key, judgement in alone.items()}


def _q_values(p_values: Sequence[float], planned: int) -> list[float]:
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    found = [1.0] * len(p_values)
    least = 1.0
    for rank in range(len(order), 0, -1):
        index = order[rank - 1]
        least = min(least, p_values[index] * planned / rank)
        found[index] = least
    return found


def _adjusted(judgement: Judgement, q_values: Mapping[int, float], planned: int) -> Judgement:
    if not q_values:
        return judgement
    metrics = [
        (
            metric if number not in q_values else _with_q(metric, q_values[number], planned),
            metric.metric in judgement.unsettled,
        )
        for number, metric in enumerate(judgement.metrics)
    ]
    return replace(conclude(judgement.title, metrics, judgement.footing), by_itself=judgement)


def _with_q(metric: MetricJudgement, q: float, planned: int) -> MetricJudgement:
    if metric.verdict not in _CALLED:
        return replace(metric, q_value=q)
    if q <= FALSE_DISCOVERY_RATE:
        told = f"{metric.reason}, {reasons.among(q, planned)}" if planned > 1 else metric.reason
        return replace(metric, q_value=q, reason=told)
    doubt = reasons.above_chance(q, planned, FALSE_DISCOVERY_RATE)
    return replace(metric, q_value=q, verdict=Verdict.INCONCLUSIVE, reason=f"{metric.reason}, {doubt}")
