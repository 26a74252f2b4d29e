"""Judges the cells of a run: each by its launches, and what counts as a change among all of them together."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_thor.cell import Cell
from pytest_thor.judge.compare import doubted, incomparable, judge_cell, judge_pairs
from pytest_thor.judge.drift import Shift, common_shift
from pytest_thor.judge.multiplicity import adjust
from pytest_thor.judge.policy import (
    LaunchesPlanned,
    doubt,
    launches_planned,
    needs_another_launch,
    planned_comparisons,
)
from pytest_thor.judge.spread import CellPast, Spread, estimate_spreads
from pytest_thor.judge.suspicion import excused, suspected
from pytest_thor.measure import Reference, Trial
from pytest_thor.verdict import Judgement, Verdict

_MOVED = {Verdict.REGRESSED, Verdict.IMPROVED}


class Jury:
    """Hears the trials of one run on one device.

    ``launches`` are the least and the most of a cell, ``references`` what is stored for the planned cells.
    """

    def __init__(
        self, *, launches: tuple[int, int], references: Mapping[Cell, Reference], relative: bool = False
    ) -> None:
        self._minimum, self._maximum = launches
        self._relative = relative
        self.spreads: Mapping[str, Spread] = estimate_spreads(
            CellPast(kind=cell.kind, baseline=reference.launches, history=reference.history)
            for cell, reference in references.items()
        )
        """What the stored runs of all planned cells show of the noise."""
        self._planned = sum(
            planned_comparisons(cell.kind, dict(cell.thresholds))
            for cell, reference in references.items()
            if reference.compares
        )
        self._heard: dict[Cell, Judgement] = {}
        self._canary: Cell | None = None

    def hear(self, trial: Trial) -> None:
        """Judge a trial anew after a launch."""
        if trial.failure is not None:
            trial.judgement = None
            return
        alone = self._heard[trial.cell] = self._judge(trial)
        if trial.cell.canary:
            self._canary = trial.cell
        trial.judgement = self._among_all(trial.cell) if alone.verdict in _MOVED else alone
        trial.verdicts.append(trial.judgement.verdict)

    def wants_another(self, trial: Trial) -> bool:
        """Tell whether one launch more may tell what these do not."""
        if trial.failure is not None:
            return False
        if not trial.launches:
            return True
        planned = self.planned(trial.cell)
        if not trial.reference.compares and trial.judgement and trial.judgement.verdict is not Verdict.INVALID:
            return len(trial.launches) < planned.for_baseline
        hopeless = trial.judgement is not None and trial.judgement.hopeless
        return needs_another_launch(trial.verdicts, minimum=planned.least, maximum=planned.most, hopeless=hopeless)

    def planned(self, cell: Cell) -> LaunchesPlanned:
        """Return how often a cell is launched."""
        return launches_planned(cell.kind, self._minimum, self._maximum)

    def doubt(self, trial: Trial) -> float:
        """Return how much a trial is in doubt; the larger, the sooner it is launched again."""
        return doubt(trial.judgement) if trial.judgement else 0.0

    def conclude(self, trial: Trial) -> None:
        """Give the last word on a trial: by now more of the others are known.

        A regression that no fresh launch could confirm is not called, nor one that the machine explains; an A/B run's
        engines had the same machine.
        """
        if trial.failure is not None or trial.judgement is None:
            return
        unconfirmed = self.wants_another(trial)
        if self._heard[trial.cell].verdict in _MOVED:
            trial.judgement = self._among_all(trial.cell)
        if trial.judgement.verdict is not Verdict.REGRESSED:
            return
        if unconfirmed:
            trial.judgement = suspected(trial.judgement, "no fresh launch confirmed it")
        elif trial.reference.against is None:
            trial.judgement = excused(trial.judgement, kind=trial.cell.kind, slowing=trial.slowing)

    def depends_on_others(self, trial: Trial) -> bool:
        """Tell whether the launches of other cells may still turn the verdict."""
        alone = self._heard.get(trial.cell)
        return alone is not None and trial.judgement is not None and alone.verdict is not trial.judgement.verdict

    def shift(self) -> Shift | None:
        """Return how far all cells moved together, or None where the machine did not change."""
        return common_shift(
            {cell.id: judgement for cell, judgement in self._heard.items()},
            canary=self._canary.id if self._canary else None,
        )

    def _among_all(self, cell: Cell) -> Judgement:
        return adjust(self._heard, planned=max(self._planned, 1))[cell]

    def _judge(self, trial: Trial) -> Judgement:
        cell, reference = trial.cell, trial.reference
        samples = [launch.samples for launch in trial.launches]
        doubts = [doubt for launch in (*trial.launches, *trial.reference_launches) for doubt in launch.doubts]
        doubts += trial.doubts
        thresholds = dict(cell.thresholds)
        look, looks = self._looks(cell, len(samples))
        if reference.against is not None:
            judgement = judge_pairs(
                title=cell.id,
                kind=cell.kind,
                thresholds=thresholds,
                reference=[launch.samples for launch in trial.reference_launches],
                launches=samples,
                spreads=self.spreads,
                look=look,
                looks=looks,
                against=reference.against,
            )
        elif reference.blocking:
            judgement = incomparable(
                title=cell.id,
                kind=cell.kind,
                thresholds=thresholds,
                launches=samples,
                differences=reference.blocking,
                spreads=self.spreads,
            )
        else:
            judgement = judge_cell(
                title=cell.id,
                kind=cell.kind,
                thresholds=thresholds,
                baseline=list(reference.launches),
                launches=samples,
                history=reference.history,
                spreads=self.spreads,
                look=look,
                looks=looks,
                shift=self._relative_to(cell),
            )
        return doubted(judgement, title=cell.id, doubts=doubts)

    def _looks(self, cell: Cell, launches: int) -> tuple[int, int]:
        """Return which look this is, of how many: the first that can end the cell is after the least launches."""
        planned = self.planned(cell)
        look = max(launches - planned.least + 1, 1)
        return look, max(planned.most - planned.least + 1, look)

    def _relative_to(self, cell: Cell) -> Shift | None:
        if not self._relative or cell.canary or cell.kind == "quality" or self._canary is None:
            return None
        return self.shift()
