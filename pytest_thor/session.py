"""What is running now: the plan, the journal, and the record of every cell measured.

A cell is measured when it is first asked for, together with the planned cells that share its engine start. One that
its first launches leave in doubt may be put off: later launches see the machine at another time, and by then more is
known of the other cells.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from pytest_thor import journal
from pytest_thor.beside import Beside, crowding
from pytest_thor.bounds import confirmed_doubt
from pytest_thor.cell import Cell
from pytest_thor.engines.base import Progress
from pytest_thor.engines.service import Served
from pytest_thor.errors import EngineFailure
from pytest_thor.host.device import Device
from pytest_thor.judge.conditions import Rule
from pytest_thor.judge.policy import outcome
from pytest_thor.jury import Jury
from pytest_thor.measure import Group, Trial
from pytest_thor.measurement import Launch
from pytest_thor.opening import Opening, Refusal, refusing
from pytest_thor.pace import Pace
from pytest_thor.preparation import Prepared
from pytest_thor.progress import Observer, Reporter
from pytest_thor.record import cell_record, unmeasured_record
from pytest_thor.report.document import CellRecord, Outcome
from pytest_thor.resuming import is_sound, last_number, taken_over
from pytest_thor.setup import Setup
from pytest_thor.units import format_duration
from pytest_thor.verdict import Judgement


class Session:
    """One run of pytest on one device; nothing is started or touched before a record is asked for."""

    def __init__(self, setup: Setup, observer: Observer) -> None:
        self._setup = setup
        self._pace = Pace(setup.budget_s)
        self._reporter = Reporter(observer, self._pace)
        self._opening = Opening(setup=setup, reporter=self._reporter)
        self._jury: Jury | None = None
        self._trials: dict[Cell, Trial] = {}
        self._groups: dict[Cell, Group] = {}
        self._prepared: dict[Cell, Prepared] = {}
        self._records: dict[Cell, CellRecord] = {}
        cpus = len(os.sched_getaffinity(0))
        self._beside = Beside(cpus=cpus, part=setup.part, cool_down_c=setup.cool_down_c)
        self._finished_before: Mapping[journal.Key, list[journal.Entry]] | None = None
        self.planned: tuple[Cell, ...] = ()
        """The cells that will be asked for, in the order of the tests."""

    @property
    def device(self) -> Device:
        """The machine, identified once."""
        return self._opening.device

    def close(self) -> None:
        """Let go of what watches the machine."""
        self._beside.close()

    def plan(self, cells: Sequence[Cell]) -> None:
        """Say which cells will be asked for, so that those of one engine start are measured together."""
        self.planned = tuple(dict.fromkeys(cells))

    def record(self, cell: Cell, *, may_put_off: bool = False) -> CellRecord | None:
        """Return what is known of a cell, measuring it and its group first where that was not done.

        None, only where it ``may_put_off``: the cell is in doubt; ask for the others first, then again.

        Raises:
            ReportError: the journal cannot be written.
        """
        if cell not in self._records and cell not in self._trials:
            group = [other for other in self.planned if other.group == cell.group and other not in self._trials]
            self._open(group if cell in group else [cell])
        if cell not in self._records:
            trial = self._trials[cell]
            if self._puts_off(trial, may_put_off=may_put_off):
                trial.visited_at = len(trial.launches)
                return None
            if cell not in self._records:  # its launch may have given it up
                self._close(trial)
        return self._records[cell]

    def doubt(self, cell: Cell) -> float:
        """Return how much a cell that was put off is in doubt: the larger, the sooner it should be asked for."""
        trial = self._trials.get(cell)
        return self.jury.doubt(trial) if trial else 0.0

    def provisional(self, cell: Cell) -> Judgement | None:
        """Return what the judge says so far of a cell that was put off."""
        trial = self._trials.get(cell)
        return trial.judgement if trial else None

    def launch(self, cell: Cell) -> Launch:
        """Launch the cell's engine once, outside any judgement.

        Raises:
            ArtifactError, EngineMissing: it cannot start.
            EngineFailure: it started and failed.
        """
        engine = self._opening.engine(cell)
        prepared = self._opening.prepare(cell, engine)
        if cell.reference is not None:
            self._opening.reference(cell)  # before the device is held
        with self._opening.alone(), self._beside.watching() as watched:
            [(_, measured)] = engine.launch([cell], prepared.path, self._on_progress)
            launch = watched(cell, measured)
        if launch.failure is not None:
            raise EngineFailure(launch.failure, log_tail=launch.log_tail or "")
        return launch

    @contextmanager
    def serve(self, cell: Cell) -> Iterator[Served]:
        """Have the cell's server running, alone on the device, for a check of one's own.

        Raises:
            ArtifactError, EngineError: it cannot start.
        """
        engine = self._opening.server(cell)
        prepared = self._opening.prepare(cell, engine)
        with self._opening.alone(), engine.serve([cell], prepared.path) as served:
            yield served

    @property
    def jury(self) -> Jury:
        """Who judges; made when the first cell is asked for, from all that is stored of the planned cells."""
        if self._jury is None:
            self._jury = Jury(
                launches=self._setup.launches,
                references={cell: self._opening.stored(cell).reference for cell in self.planned},
                relative=self._setup.relative,
            )
        return self._jury

    def _open(self, cells: Sequence[Cell]) -> None:
        """Get cells ready that share an engine start, and take what an earlier run finished of them."""
        opened = self._opening.open(cells)
        self._refuse(opened.refused)
        if opened.group is None or opened.prepared is None:
            return
        for trial in opened.group.trials:
            self._resume(trial)
            self._trials[trial.cell] = trial
            self._groups[trial.cell] = opened.group
            self._prepared[trial.cell] = opened.prepared

    def _resume(self, trial: Trial) -> None:
        """Take the launches that an earlier run finished under the same conditions, and judge as if they were new."""
        if self._finished_before is None:
            self._finished_before = journal.read(self._setup.journal) if self._setup.resume else {}
        own, beside = (self._finished_before.get(_key(trial, reference=side), ()) for side in (False, True))
        pairs = taken_over(
            own, beside if trial.reference.against else None, counts=lambda launch: self._counts(trial, launch)
        )
        for launch, reference in pairs:
            if reference is not None:
                trial.reference_launches.append(reference)
            trial.launches.append(launch)
            self._hear(trial)
        trial.uncounted = last_number(own, beside) - len(trial.launches)

    def _counts(self, trial: Trial, launch: Launch) -> bool:
        """Tell whether a launch measured, and nothing makes its figures invalid."""
        return is_sound(self._held_to_limits(trial, launch)) and not any(
            condition.rule == self._spoils(trial) for condition in self._beside.conditions([launch])
        )

    def _spoils(self, trial: Trial) -> Rule | None:
        """Return the rule of conditions that make a figure invalid."""
        # What slows a machine down changes nothing in what it calculates.
        return "invalid" if trial.cell.kind != "quality" else None

    def _refuse(self, refused: Mapping[Cell, Refusal]) -> None:
        strict = self._setup.policy.strict
        for cell, refusal in refused.items():
            self._records[cell] = unmeasured_record(
                cell,
                device=self.device.slug,
                outcome="skipped" if refusal.missing and not strict else "error",
                reason=refusal.reason,
            )

    def _puts_off(self, trial: Trial, *, may_put_off: bool) -> bool:
        """Launch for a trial; tell whether it is better asked for again later.

        The least launches, and those that may become a baseline, are made at once. Beyond them, each visit launches
        once, so that the launches of a cell in doubt spread over the run.
        """
        seen = len(trial.launches)
        launched = trial.visited_at is None or seen > trial.visited_at
        while self.jury.wants_another(trial) and trial.cell not in self._records:
            in_doubt = seen >= self._setup.launches[0] and (trial.reference.compares or self._pace.is_limited)
            if may_put_off and in_doubt and launched:
                return True
            if not self._pace.affords(self._groups[trial.cell].last_round_s):
                return False
            self._launch(self._groups[trial.cell])
            launched = True
            seen = len(trial.launches)
        return may_put_off and self.jury.depends_on_others(trial) and self._others_are_open(trial)

    def _others_are_open(self, trial: Trial) -> bool:
        return any(
            other is not trial
            and self.jury.wants_another(other)
            and self._pace.affords(self._groups[cell].last_round_s)
            for cell, other in self._trials.items()
            if cell not in self._records
        ) or any(cell not in self._records and cell not in self._trials for cell in self.planned)

    def _launch(self, group: Group) -> None:
        """Launch once for every trial of a group that wants it."""
        wanting = [
            trial for trial in group.trials if trial.cell not in self._records and self.jury.wants_another(trial)
        ]
        self._pace.begin()
        before = {trial.cell: len(trial.launches) for trial in wanting}
        started = time.monotonic()
        refused: dict[Cell, Refusal] = {}
        with refusing([trial.cell for trial in wanting], refused), self._opening.alone() as had_to_wait:
            if had_to_wait and not self._pace.affords(group.last_round_s):
                return  # that has used the budget up
            started = time.monotonic()
            # A Jetson's page cache takes what the GPU needs; another part's measurement may need its pages.
            drop_caches = self.device.l4t is not None and self.device.part is None
            with self._beside.at_rest_after(drop_caches=drop_caches):
                group.launch(wanting, watching=self._beside.watching, keep=self._keep, on_progress=self._on_progress)
        self._refuse(refused)
        group.last_round_s = time.monotonic() - started
        self._reporter.launches_left = self._count_launches_left()
        for trial in wanting:
            if len(trial.launches) > before[trial.cell] or trial.failure is not None:
                self._hear(trial)

    def _hear(self, trial: Trial) -> None:
        """Have a trial judged after its last launch, with what the machine says against the figures."""
        for launches in (trial.launches, trial.reference_launches):
            if launches:
                launches[-1] = self._held_to_limits(trial, launches[-1])
        told = self._beside.conditions([*trial.launches, *trial.reference_launches])
        spoils = self._spoils(trial)
        trial.doubts = [condition.sentence for condition in told if condition.rule == spoils]
        trial.advice = [condition.sentence for condition in told if condition.rule != spoils]
        if (sentence := crowding(trial.cell)) is not None:
            trial.advice.append(sentence)
        trial.slowing = self._beside.slowing(trial.launches)
        self.jury.hear(trial)

    def _held_to_limits(self, trial: Trial, launch: Launch) -> Launch:
        if launch.failure is not None:
            return launch
        trial.bounds, doubt = confirmed_doubt(
            trial.bounds,
            trial.cell,
            launch.samples,
            device=self.device,
            cache=self._setup.cache,
            alone=self._opening.alone_on_the_machine,
        )
        return launch if doubt is None or doubt in launch.doubts else replace(launch, doubts=(*launch.doubts, doubt))

    def _close(self, trial: Trial) -> None:
        """Make the record of a trial: nothing more will be launched for it."""
        cell = trial.cell
        over = f"The budget of {format_duration(self._setup.budget_s or 0)} was used up"
        if not trial.launches and trial.failure is None:
            self._refuse({cell: Refusal(reason=f"{over} before this cell's turn came.", missing=True)})
            self._records[cell] = self._records[cell].model_copy(update={"left_over": True})
            return
        cut_short = self.jury.wants_another(trial)
        self.jury.conclude(trial)
        self._records[cell] = cell_record(
            trial,
            device=self.device,
            prepared=self._prepared[cell],
            outcome=self._outcome(trial),
            past=self._opening.stored(cell),
            spreads=self.jury.spreads,
            note=f"{over} before another launch could tell more." if cut_short else None,
        )

    def _outcome(self, trial: Trial) -> Outcome:
        if trial.judgement is None:
            return "error"
        policy = self._setup.policy
        return outcome(
            trial.judgement.verdict,
            inconclusive=policy.inconclusive,
            invalid=policy.invalid,
            strict=policy.strict,
        )

    def _on_progress(self, progress: Progress) -> None:
        trial = self._trials.get(progress.cell)
        self._reporter.advances(progress, launch=len(trial.launches) + 1 if trial else 1)

    def _keep(self, trial: Trial, launch: Launch, is_reference: bool) -> Launch:
        """Keep a finished launch at once: whatever happens next, it is not lost."""
        self._pace.took(launch.duration_s)
        cell = trial.cell
        number = len(trial.reference_launches if is_reference else trial.launches) + 1
        if self._beside.settled is not None:
            launch = replace(launch, evidence={**launch.evidence, "rest": self._beside.settled.to_json()})
        journal.append(
            self._setup.journal,
            _key(trial, reference=is_reference),
            launch,
            device=self.device.slug,
            number=trial.uncounted + number,
        )
        self._reporter.finishes(cell, launch, number=number, is_reference=is_reference)
        return launch

    def _count_launches_left(self) -> int:
        """Return how many launches are probably still to come."""
        left = 0
        for cell in self.planned:
            if cell in self._records:
                continue
            trial = self._trials.get(cell)
            compares = trial.reference.compares if trial else self._opening.stored(cell).reference.compares
            planned = self.jury.planned(cell)
            expected = max(planned.least, 1) if compares else planned.for_baseline
            pair = 2 if self._opening.is_paired(cell) else 1
            left += pair * max(expected - (len(trial.launches) if trial else 0), 0)
        return left


def _key(trial: Trial, *, reference: bool) -> journal.Key:
    cell = trial.cell
    return journal.key(matrix=cell.matrix, cell=cell.id, fingerprint=trial.fingerprint, reference=reference)
