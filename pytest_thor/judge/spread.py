"""How far launches of one run lie apart, and how far runs do: estimated per cell, shrunk towards all cells.

Two levels, since they are two things: launches of one run share the machine's state of that hour, so that they may
agree with one another and still differ from the same build's launches of yesterday. Only a history of runs shows the
second; where there is none, a stated prior stands in, with few degrees of freedom. docs/statistics.md derives what is
computed here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType

from pytest_thor.cell import Kind
from pytest_thor.judge.gates import Gate
from pytest_thor.judge.history import Past, PastRun, launch_values, past_of
from pytest_thor.judge.statistics import mean, squares
from pytest_thor.measurement import METRICS, Samples

LAUNCH_SHARE = 1 / 3
"""The prior spread between launches, as a share of the metric's default threshold: 1 % for decode speed."""
RUN_SHARE = 1 / 12
"""The prior spread between runs, as a share of the metric's threshold: 0.25 % for decode speed."""
LAUNCH_DF = 4.0
"""How many degrees of freedom the prior spread between launches is worth: four launches' more outweigh it."""
RUN_DF = 2.0
"""The same of the spread between runs: little, for nothing is known of the machine yet."""
RESTLESS = 3.0
"""So many times the prior spread between launches is a machine at rest; what lies beyond it, its runs have too."""
ALIKE_DF = 100.0
"""At most so many degrees of freedom has the spread that all cells show, however alike they are."""

_REPEATED = frozenset({"pp_tps", "tg_tps"})
_MEDIAN_ERROR = math.sqrt(math.pi / 2)
_TRIMMED_FROM = 4
_EFFICIENCY = 2 / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What is believed of a metric before a cell's own figures.

    Standard deviations are relative (0.01 is 1 %): ``launch_sd`` is between launches of one run, ``run_sd`` what
    runs differ by beyond that. The degrees of freedom say how firmly each is believed.
    """

    launch_sd: float
    launch_df: float
    run_sd: float
    run_df: float

    def __post_init__(self) -> None:
        known = (self.launch_sd, self.launch_df, self.run_df)
        if not (all(0 < number < math.inf for number in known) and 0 <= self.run_sd < math.inf):
            raise ValueError(f"a spread needs positive deviations and degrees of freedom, not {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CellPast:
    """What is stored of one cell: the launches of its baseline, and its earlier runs, oldest first."""

    kind: Kind
    baseline: Sequence[Samples]
    history: Sequence[PastRun] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Variances:
    """One cell's own: the variance between launches and between runs, with their degrees of freedom."""

    launch: float
    launch_df: float
    run: float
    run_df: float


NO_SPREADS: Mapping[str, Spread] = MappingProxyType({})


def stated(key: str, threshold: float | None = None) -> Spread:
    """Return the prior of a metric of which nothing is known yet.

    A ``threshold`` above the metric's default tells that its user knows the machine to move by more, and widens the
    spread between runs; one below it makes no machine quieter.
    """
    usual = METRICS[key.partition(".")[0]].threshold
    wide = max(usual, threshold or usual)
    return Spread(launch_sd=usual * LAUNCH_SHARE, launch_df=LAUNCH_DF, run_sd=wide * RUN_SHARE, run_df=RUN_DF)


def spread_of(gate: Gate, key: str, spreads: Mapping[str, Spread]) -> Spread:
    """Return what is believed of a gate's metric: what the cells of the run show, else the stated prior."""
    prior = stated(key, gate.threshold)
    known = spreads.get(key)
    if known is None:
        return prior
    return known if known.run_df > RUN_DF else replace(known, run_sd=max(known.run_sd, prior.run_sd))


def no_finer_than_repetitions(spread: Spread, gate: Gate, launches: Sequence[Samples]) -> Spread:
    """Widen the spread between launches to what their repetitions alone make of it.

    Launches lie apart by more than the repetitions within them explain, never by less: a median of n of them has a
    standard error of 1.25 s/√n. Of two launches or three nothing else tells. Requests of a load are no repetitions.
    """
    if gate.metric.name not in _REPEATED:
        return spread
    errors = sorted(
        _MEDIAN_ERROR * math.sqrt(squares(logs) / (len(logs) - 1) / len(logs))
        for logs in (
            [math.log(sample) for sample in launch.get(gate.metric.name, ()) if 0 < sample < math.inf]
            for launch in launches
        )
        if len(logs) > 1
    )
    if not errors:
        return spread
    return replace(spread, launch_sd=max(spread.launch_sd, errors[len(errors) // 2]))


def estimate_spreads(pasts: Iterable[CellPast]) -> Mapping[str, Spread]:
    """Return what all cells of a run show together, by the keys of :func:`launch_values`.

    Metrics that no past holds are not in it: the stated prior holds for them.
    """
    by_key: dict[str, list[Past]] = {}
    for cell in pasts:
        launches = [launch_values(samples) for samples in cell.baseline]
        keys = {key for launch in launches for key in launch} | {
            key for run in cell.history for launch in run.values for key in launch if _is_known(key)
        }
        for key in keys:
            baseline = [launch[key] for launch in launches if key in launch]
            by_key.setdefault(key, []).append(past_of(key, baseline, cell.history))
    return {key: _pooled(key, by_key[key]) for key in sorted(by_key)}


def variances(past: Past, current: Sequence[Sequence[float]], spread: Spread) -> Variances:
    """Return a cell's own variances: those of its past and of ``current`` groups of launches, shrunk to the spread.

    Of the past, only the baseline tells of the launches of one run: other runs ended when they looked calm and went on
    when they did not, so that their spread is that of a selection.
    s̃² = (d₀ s₀² + d s²) / (d₀ + d) with d₀ + d degrees of freedom (Smyth 2004, section 3).
    """
    own, own_df = _within([past.baseline, *current])
    launch_df = spread.launch_df + own_df
    launch = (spread.launch_df * spread.launch_sd**2 + own) / launch_df
    seen = _between_runs(past.levels)
    run = spread.run_sd**2
    if seen is None:
        return Variances(launch=launch, launch_df=launch_df, run=run, run_df=spread.run_df)
    excess = max(0.0, seen.excess(launch))
    weight = seen.weight(max(run, excess), launch)
    together = (spread.run_df * run + weight * excess) / (spread.run_df + weight)
    return Variances(launch=launch, launch_df=launch_df, run=together, run_df=spread.run_df + weight)


def _within(groups: Iterable[Sequence[float]]) -> tuple[float, int]:
    """Return the squared deviations within groups of launches, and their degrees of freedom."""
    several = [group for group in groups if len(group) > 1]
    return math.fsum(map(squares, several)), sum([len(group) - 1 for group in several])


@dataclass(frozen=True, slots=True)
class _BetweenRuns:
    """Half the mean squared difference of successive runs: ``total`` = σ_run² + ``share`` σ_launch² on average."""

    total: float
    share: float
    df: float

    def excess(self, launch: float) -> float:
        """Return what the launches' own variance does not explain; below 0 by chance."""
        return self.total - self.share * launch

    def weight(self, run: float, launch: float) -> float:
        """Return the degrees of freedom that are left for ``run`` beside the noise of the launches."""
        return self.df * (run / (run + self.share * launch)) ** 2


def _between_runs(levels: Sequence[Sequence[Sequence[float]]]) -> _BetweenRuns | None:
    """Measure from one run of a level to the next (von Neumann 1941): a lasting change counts once at most.

    Of four differences or more the largest is left out, and the rest corrected for it: one real change in the past
    does not blind the judge to the next.
    """
    means = [[(mean(run), 1 / len(run)) for run in runs] for runs in levels]
    steps = sorted([((new - old) ** 2 / 2, (a + b) / 2) for runs in means for (old, a), (new, b) in pairwise(runs)])
    if not steps:
        return None
    kept = steps[:-1] if len(steps) >= _TRIMMED_FROM else steps
    divisor = len(steps) - _largest_square(len(steps)) if len(kept) < len(steps) else float(len(steps))
    return _BetweenRuns(
        total=math.fsum([step for step, _ in kept]) / divisor,
        share=mean([share for _, share in steps]),
        df=_EFFICIENCY * len(kept),
    )


@lru_cache
def _largest_square(count: int) -> float:
    """Return the expected largest of so many independent squared standard normals: ∫ 1 − F(x)^count dx."""
    parts = 4000
    width = 60 / parts
    return width * math.fsum(1 - math.erf(math.sqrt((part + 0.5) * width / 2)) ** count for part in range(parts))


def _pooled(key: str, pasts: Sequence[Past]) -> Spread:
    prior = stated(key)
    own = [_within([past.baseline]) for past in pasts]
    between = [_between_runs(past.levels) for past in pasts]
    launch, launch_df = _common(prior, own)
    steps = [
        (step, (launch_df * launch + squared) / (launch_df + df))
        for step, (squared, df) in zip(between, own, strict=True)
        if step is not None
    ]
    run, run_df = _pooled_runs(_restless(prior, launch), steps)
    return Spread(launch_sd=math.sqrt(launch), launch_df=launch_df, run_sd=math.sqrt(run), run_df=run_df)


def _restless(prior: Spread, launch: float) -> Spread:
    """Widen the prior between runs where launches lie far apart: what moves them did not begin with this run."""
    beyond = launch - (RESTLESS * prior.launch_sd) ** 2
    return replace(prior, run_sd=max(prior.run_sd, math.sqrt(max(0.0, beyond))))


def _common(prior: Spread, own: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the launches' variance that all cells show, from squares and freedoms of each, and its weight."""
    total, df = math.fsum([squared for squared, _ in own]), math.fsum([df for _, df in own])
    launch = (prior.launch_df * prior.launch_sd**2 + total) / (prior.launch_df + df)
    return launch, _alikeness([(squared / df / launch, df) for squared, df in own if df])


def _pooled_runs(prior: Spread, steps: Sequence[tuple[_BetweenRuns, float]]) -> tuple[float, float]:
    """Pool every cell's steps, each with its variance of launches: the variance of runs, and its weight.

    Runs are shared, so that many cells say no more of them than the one that says most.
    """
    if not steps:
        return prior.run_sd**2, prior.run_df
    plain = math.fsum([step.excess(launch) * step.df for step, launch in steps]) / sum(step.df for step, _ in steps)
    guess = max(prior.run_sd**2, plain)
    weights = [step.weight(guess, launch) for step, launch in steps]
    total = math.fsum(weights)
    excess = math.fsum([weight * step.excess(launch) for weight, (step, launch) in zip(weights, steps, strict=True)])
    df = min(max(step.df for step, _ in steps), total)
    run = (prior.run_df * prior.run_sd**2 + df * max(0.0, excess / total)) / (prior.run_df + df)
    return run, prior.run_df + df


def _alikeness(ratios: Sequence[tuple[float, float]]) -> float:
    """Return the degrees of freedom of the common variance, from each cell's own over it, by moments.

    If the true variances are a scaled inverse χ² with d₀ degrees of freedom, their squared coefficient of variation
    is 2/(d₀ − 4); that of the estimates is larger by their own noise.
    """
    if len(ratios) < 3:
        return LAUNCH_DF
    excess = [((ratio - 1) ** 2 - 2 / df) / (1 + 2 / df) for ratio, df in ratios]
    weights = [df for _, df in ratios]
    varied = math.fsum([one * weight for one, weight in zip(excess, weights, strict=True)]) / math.fsum(weights)
    return min(ALIKE_DF, LAUNCH_DF + 2 / varied) if varied > 0 else ALIKE_DF


def _is_known(key: str) -> bool:
    return key.partition(".")[0] in METRICS
