"""The cells of one engine start: what is launched for them, side by side with a reference engine where one is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean
from typing import TypeAlias

from pytest_thor.baseline.fingerprint import Fingerprint
from pytest_thor.beside import Watched
from pytest_thor.bounds import Bounds
from pytest_thor.cell import Cell
from pytest_thor.engines.base import Engine, Progress, ProgressCallback
from pytest_thor.judge.history import PastRun
from pytest_thor.judge.repetitions import worthwhile
from pytest_thor.measurement import Launch, Samples
from pytest_thor.verdict import Judgement, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What a cell is held against: a baseline's launches, or why they cannot be used.

    ``launches`` is empty where nothing is stored, and ``history`` holds the later runs that compare, oldest first.
    ``blocking`` names what makes the stored ones another machine's or another model's; ``named`` what is under test
    and differs. ``against`` is the reference engine of an A/B run, in words; what is stored then plays no part.
    """

    launches: tuple[Samples, ...] = ()
    history: tuple[PastRun, ...] = ()
    blocking: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    against: str | None = None

    @property
    def compares(self) -> bool:
        """Whether there is anything to compare with."""
        return self.against is not None or bool(self.launches and not self.blocking)


@dataclass(slots=True, kw_only=True)
class Trial:
    """One cell while it is measured: its launches, those of the reference engine, and the verdicts after each."""

    cell: Cell
    reference: Reference
    fingerprint: Fingerprint
    launches: list[Launch] = field(default_factory=list)
    reference_launches: list[Launch] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    judgement: Judgement | None = None
    bounds: Bounds | None = None
    """What the cell can reach at most, where that is known."""
    doubts: list[str] = field(default_factory=list)
    """What the machine did that makes the figures invalid, beside the launches' own doubts."""
    advice: list[str] = field(default_factory=list)
    """What a reader should know and no verdict says."""
    slowing: str | None = None
    """What the machine did that explains a slower figure as well as the engine does."""
    uncounted: int = 0
    """How many launches of earlier runs the journal has that do not count here; they keep their numbers."""
    visited_at: int | None = None
    """How many launches there were when a test last asked for this cell."""

    @property
    def failure(self) -> Launch | None:
        """The launch that could not measure the cell."""
        return next((launch for launch in (*self.launches, *self.reference_launches) if launch.failure), None)


Watching: TypeAlias = Callable[[], AbstractContextManager[Watched]]
"""Watches the machine for the length of one engine start."""
Keep: TypeAlias = Callable[[Trial, Launch, bool], Launch]
"""Keeps a finished launch, and is told whether it is the reference engine's; returns it as it shall be judged."""


@dataclass(slots=True, kw_only=True)
class Group:
    """The trials of one model × quant × backend, which share every start of their engine."""

    engine: Engine
    artifact: Path
    trials: tuple[Trial, ...]
    rival: Engine | None = None
    rounds: int = 0
    last_round_s: float = 0.0
    """How long the last round took: what the next one probably costs."""

    def launch(self, trials: Sequence[Trial], *, watching: Watching, keep: Keep, on_progress: ProgressCallback) -> None:
        """Launch once for these trials; a reference engine and the current one take turns in going first.

        A trial whose launch fails in the first half of a pair is left out of the second.

        Raises:
            EngineMissing: this build lacks an option that the cells ask for.
        """
        turns = [(self.engine, False)] if self.rival is None else [(self.rival, True), (self.engine, False)]
        if self.rounds % 2:
            turns.reverse()
        self.rounds += 1
        repetitions = self._repetitions(trials)
        for engine, is_reference in turns:
            asked = {_asking(trial.cell, repetitions): trial for trial in trials if trial.failure is None}

            def progress(made: Progress, asked: dict[Cell, Trial] = asked) -> None:
                on_progress(replace(made, cell=asked[made.cell].cell))

            for batch in engine.batches(list(asked)) if asked else ():
                with watching() as watched:
                    for cell, launch in engine.launch(batch, self.artifact, progress):
                        trial = asked[cell]
                        launches = trial.reference_launches if is_reference else trial.launches
                        launches.append(keep(trial, watched(cell, launch), is_reference))

    def _repetitions(self, trials: Sequence[Trial]) -> int | None:
        """Return how many repetitions the next launch is worth, the same for all of it; None while it is not known.

        An engine start that measures several cells takes one count, that of the cell which is worth most.
        """
        if not all(trial.launches and trial.launches[-1].windows for trial in trials):
            return None
        timed = {trial.cell: [end - start for start, end in trial.launches[-1].windows] for trial in trials}
        beside_s = max(self.last_round_s - sum(map(sum, timed.values())), _LEAST_S)
        worth = []
        for trial in trials:
            metric = _REPEATED.get(trial.cell.kind)
            if metric is None:
                return None
            past = [*trial.reference.launches, *(launch.samples for launch in trial.launches)]
            worth.append(
                worthwhile(
                    [launch[metric] for launch in past if launch.get(metric)],
                    launch_s=beside_s / len(trials),
                    repetition_s=max(mean(timed[trial.cell]), _LEAST_S),
                    most=trial.cell.workload.count("repetitions"),
                )
            )
        return max(worth, default=None)


_REPEATED = {"prefill": "pp_tps", "decode": "tg_tps"}
_LEAST_S = 1e-6


def _asking(cell: Cell, repetitions: int | None) -> Cell:
    """Return a cell that asks for fewer repetitions than the matrix does, where they are worth no more."""
    if repetitions is None or repetitions >= cell.workload.count("repetitions"):
        return cell
    parameters = {**dict(cell.workload.parameters), "repetitions": repetitions}
    return replace(cell, workload=replace(cell.workload, parameters=tuple(sorted(parameters.items()))))
