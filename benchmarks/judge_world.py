"""Worlds whose truth is known: launches, runs and histories as the product would have stored them.

What the judge's benchmarks share. Noise is relative and has three levels: between runs, between launches of a run, and
between samples of a launch, some of which are outliers.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_thor.judge.compare import judge_cell
from pytest_thor.judge.history import PastRun, launch_values
from pytest_thor.judge.policy import needs_another_launch
from pytest_thor.judge.spread import NO_SPREADS, CellPast, Spread, estimate_spreads
from pytest_thor.measurement import Samples
from pytest_thor.verdict import Judgement, Verdict

SPEED = 40.0
METRIC = "tg_tps"
THRESHOLD = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Relative standard deviations of one world; ``outliers`` is the share of samples that take ``slower`` longer."""

    between: float
    runs: float = 0.0
    within: float = 0.004
    samples: int = 5
    outliers: float = 0.02
    slower: float = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Random launches of one kind of machine."""

    noise: Noise
    numbers: random.Random = field(repr=False)

    def launch(self, level: float) -> Samples:
        """Return one launch of a run whose speed is ``level``."""
        noise, gauss = self.noise, self.numbers.gauss
        centre = level * math.exp(gauss(0, noise.between))
        samples = []
        for _ in range(noise.samples):
            slow = 1 - noise.slower if self.numbers.random() < noise.outliers else 1
            samples.append(centre * math.exp(gauss(0, noise.within)) * slow)
        return {METRIC: tuple(samples)}

    def level(self, change: float = 0.0) -> float:
        """Return the speed that a new run has, of a cell that differs by ``change`` (-0.05 is 5 % slower)."""
        return SPEED * (1 + change) * math.exp(self.numbers.gauss(0, self.noise.runs))


@dataclass(slots=True, kw_only=True)
class Stored:
    """What the product has stored of one cell: the accepted launches, and every run's values."""

    baseline: list[Samples]
    history: list[PastRun]

    def add(self, launches: Sequence[Samples]) -> None:
        """Store a finished run."""
        self.history.append(
            PastRun(finished_at=f"{len(self.history):04}", values=tuple(launch_values(taken) for taken in launches))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How many launches a cell gets."""

    minimum: int
    maximum: int

    @property
    def looks(self) -> int:
        """How often the judge may look."""
        return self.maximum - self.minimum + 1


def run_cell(
    world: World, stored: Stored, rule: Rule, *, change: float = 0.0, spreads: Mapping[str, Spread] = NO_SPREADS
) -> tuple[Judgement, list[Samples]]:
    """Launch one cell until the product's rule stops, and return its judgement with the launches."""
    level = world.level(change)
    launches = [world.launch(level) for _ in range(rule.minimum)]
    verdicts = [Verdict.INCONCLUSIVE] * (rule.minimum - 1)
    while True:
        judgement = judge_cell(
            title="cell",
            kind="decode",
            thresholds={METRIC: THRESHOLD},
            baseline=stored.baseline,
            launches=launches,
            history=stored.history,
            spreads=spreads,
            look=len(launches) - rule.minimum + 1,
            looks=rule.looks,
        )
        verdicts.append(judgement.verdict)
        if not needs_another_launch(verdicts, minimum=rule.minimum, maximum=rule.maximum, hopeless=judgement.hopeless):
            return judgement, launches
        launches.append(world.launch(level))


def first_run(world: World, rule: Rule) -> Stored:
    """Measure a cell for the first time: the maximum of launches becomes the baseline, and the first run stored."""
    level = world.level()
    stored = Stored(baseline=[world.launch(level) for _ in range(rule.maximum)], history=[])
    stored.add(stored.baseline)
    return stored


def past(world: World, rule: Rule, *, cells: int, runs: int) -> tuple[list[Stored], Mapping[str, Spread]]:
    """Return what is stored of a matrix after its first run and ``runs`` further ones, all of the same build.

    Each of them ended when the product would have ended it.
    """
    matrix = [first_run(world, rule) for _ in range(cells)]
    for _ in range(runs):
        spreads = shown_by(matrix)
        for stored in matrix:
            stored.add(run_cell(world, stored, rule, spreads=spreads)[1])
    return matrix, shown_by(matrix)


def shown_by(matrix: Sequence[Stored]) -> Mapping[str, Spread]:
    """Return the spreads that the cells of a matrix show together."""
    return estimate_spreads(
        CellPast(kind="decode", baseline=stored.baseline, history=stored.history) for stored in matrix
    )
