"""A regression that was seen and is not called: nothing confirmed it, or the machine explains it as well."""

from __future__ import annotations

from dataclasses import replace

from pytest_thor.cell import Kind
from pytest_thor.verdict import Judgement, Verdict

_NO_SPEEDS = {"peak_memory_bytes"}
"""Metrics of a speed's cell that a busy machine does not make worse."""


def suspected(judgement: Judgement, because: str) -> Judgement:
    """Return a judgement whose regressions are suspicions only."""
    metrics = tuple(
        replace(metric, verdict=Verdict.INCONCLUSIVE) if metric.verdict is Verdict.REGRESSED else metric
        for metric in judgement.metrics
    )
    reason = f"{judgement.reason} This is a suspicion: {because}."
    return replace(judgement, verdict=Verdict.INCONCLUSIVE, reason=reason, metrics=metrics)


def excused(judgement: Judgement, *, kind: Kind, slowing: str | None) -> Judgement:
    """Return a judgement without regressions that ``slowing`` explains, which is None where nothing does.

    It explains every figure that is slower, and none of what an engine calculates or how much memory it takes.
    """
    regressed = {metric.metric for metric in judgement.metrics if metric.verdict is Verdict.REGRESSED}
    if slowing is None or kind == "quality" or judgement.verdict is not Verdict.REGRESSED or regressed & _NO_SPEEDS:
        return judgement
    return suspected(judgement, f"{slowing}; measure again when the machine is quiet")
