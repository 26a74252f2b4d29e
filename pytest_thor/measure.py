"""One group of cells, start to finish: launches of its engine, until the judge is satisfied with each cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_thor.cell import Cell
from pytest_thor.engines.base import Engine, ProgressCallback
from pytest_thor.judge.compare import doubted, incomparable, judge_cell
from pytest_thor.judge.policy import needs_another_launch
from pytest_thor.measurement import Launch, Samples
from pytest_thor.verdict import Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What a cell is held against: a baseline's launches, or why they cannot be used.

    ``launches`` is empty where nothing is stored. ``blocking`` names what makes the stored ones another machine's
    or another model's; ``named`` what is under test and differs.
    """

    launches: tuple[Samples, ...] = ()
    blocking: tuple[str, ...] = ()
    named: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A cell's launches and what the judge says of them; no judgement where a launch failed."""

    launches: tuple[Launch, ...]
    judgement: Judgement | None

    @property
    def failure(self) -> Launch | None:
        """The launch that could not measure the cell."""
        return next((launch for launch in self.launches if launch.failure is not None), None)


def judge(cell: Cell, launches: Sequence[Launch], reference: Reference) -> Judgement:
    """Return the verdict of launches that all measured."""
    samples = [launch.samples for launch in launches]
    thresholds = dict(cell.thresholds)
    doubts = [doubt for launch in launches for doubt in launch.doubts]
    if reference.blocking:
        judgement = incomparable(
            title=cell.id, kind=cell.kind, thresholds=thresholds, launches=samples, differences=reference.blocking
        )
    else:
        judgement = judge_cell(
            title=cell.id,
            kind=cell.kind,
            thresholds=thresholds,
            baseline=list(reference.launches),
            launches=samples,
        )
    return doubted(judgement, title=cell.id, doubts=doubts)


def measure(
    cells: Sequence[Cell],
    *,
    engine: Engine,
    artifact: Path,
    references: Mapping[Cell, Reference],
    launches: tuple[int, int],
    on_launch: Callable[[Cell, int, Launch], None],
    on_progress: ProgressCallback,
) -> dict[Cell, Measured]:
    """Launch the engine for cells of one model × quant × backend until each has its verdict.

    A launch covers only the cells that are still in doubt. A cell whose launch fails is not asked again: a
    failure is shown, never averaged away.

    Raises:
        EngineMissing: this build lacks an option that the cells ask for.
    """
    minimum, maximum = launches
    taken: dict[Cell, list[Launch]] = {cell: [] for cell in cells}
    judgements: dict[Cell, Judgement | None] = dict.fromkeys(cells)
    pending = list(cells)
    number = 0
    while pending:
        number += 1
        for batch in engine.batches(pending):
            for cell, launch in engine.launch(batch, artifact, on_progress):
                taken[cell].append(launch)
                on_launch(cell, number, launch)
        undecided = []
        for cell in pending:
            if taken[cell][-1].failure is not None:
                judgements[cell] = None
                continue
            judgement = judgements[cell] = judge(cell, taken[cell], references[cell])
            if needs_another_launch(judgement, launches=len(taken[cell]), minimum=minimum, maximum=maximum):
                undecided.append(cell)
        pending = undecided
    return {cell: Measured(launches=tuple(taken[cell]), judgement=judgements[cell]) for cell in cells}
