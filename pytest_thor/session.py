"""What is running now: the device and its lock, the plan, the journal, and the record of every cell measured.

A cell is measured when it is first asked for, together with the planned cells that share its engine start. One that
its first launches leave in doubt may be put off: later launches see the machine at another time, and by then more is
known of the other cells.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Literal, TypeAlias

from pytest_thor import journal
from pytest_thor.artifacts.obtain import Means
from pytest_thor.beside import Beside
from pytest_thor.bounds import Bounds, bounds_of, confirmed_doubt
from pytest_thor.cell import Cell
from pytest_thor.engines import ENGINES, SERVING_ENGINES
from pytest_thor.engines.base import Engine, Progress
from pytest_thor.engines.serving_engine import AttachedEngine, Served
from pytest_thor.errors import ArtifactMissing, EngineFailure, EngineMissing, ReportError, ThorError
from pytest_thor.fitting import fit_of
from pytest_thor.host.device import Device, identify
from pytest_thor.host.hygiene import Hygiene, Rest, Settled
from pytest_thor.host.lock import exclusive
from pytest_thor.judge.policy import outcome
from pytest_thor.jury import Jury
from pytest_thor.measure import Group, Reference, Trial
from pytest_thor.measurement import Launch
from pytest_thor.pace import Pace
from pytest_thor.preparation import Prepared, Stored, fingerprint_of, model_facts, prepare, rival_reference, stored_of
from pytest_thor.record import cell_record, unmeasured_record
from pytest_thor.report.document import CellRecord, Outcome
from pytest_thor.units import format_duration
from pytest_thor.verdict import Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What follows from a verdict, as the user chose."""

    inconclusive: Literal["pass", "warn", "fail"]
    invalid: Literal["warn", "fail"]
    strict: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How a session measures; folders are absolute, baseline stores by matrix path.

    ``engines`` and ``against`` name programs by engine or by backend.
    """

    models: tuple[Path, ...]
    engines: Mapping[str, Path]
    against: Mapping[str, Path]
    baselines: Mapping[str, Path]
    launches: tuple[int, int]
    budget_s: float | None
    relative: bool
    cool_down_c: float | None
    policy: Policy
    full_hash: bool
    means: Means
    journal: Path
    resume: bool
    cache: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the session is doing right now, for whoever shows it.

    ``launch`` is the running or, where ``finished``, the finished launch of the cell; ``left_s`` is an estimate.
    """

    step: str
    cell: Cell | None = None
    launch: int | None = None
    finished: bool = False
    rate_tps: float | None = None
    left_s: float | None = None


_SETTLING_S = 20.0
"""How long an engine's memory may take to come back before the next launch is made all the same."""
_COOLING_S = 300.0
"""The same of a temperature that was asked for."""

Observer: TypeAlias = Callable[[Status], None]


class Session:
    """One run of pytest on one device; nothing is started or touched before a record is asked for."""

    def __init__(self, setup: Setup, observer: Observer) -> None:
        self._setup = setup
        self._observer = observer
        self._device: Device | None = None
        self._engines: dict[tuple[str, Path | None], Engine] = {}
        self._stored: dict[Cell, Stored] = {}
        self._jury: Jury | None = None
        self._pace = Pace(setup.budget_s)
        self._trials: dict[Cell, Trial] = {}
        self._groups: dict[Cell, Group] = {}
        self._prepared: dict[Cell, Prepared] = {}
        self._records: dict[Cell, CellRecord] = {}
        self._rates_tps: dict[Cell, float] = {}
        self._launches_left = 0
        self._beside = Beside(cpus=len(os.sched_getaffinity(0)))
        self._hygiene = Hygiene()
        self._settled: Settled | None = None
        self._finished_before: Mapping[journal.Key, list[Launch]] | None = None
        self.planned: tuple[Cell, ...] = ()
        """The cells that will be asked for, in the order of the tests."""

    @property
    def device(self) -> Device:
        """The machine, identified once."""
        if self._device is None:
            self._device = identify()
        return self._device

    def close(self) -> None:
        """Let go of what watches the machine."""
        self._beside.close()

    @property
    def _rest(self) -> Rest:
        """What the machine should be at before the next launch; an engine's memory takes a while to come back."""
        return Rest(
            hottest_c=self._setup.cool_down_c,
            drop_caches=self.device.l4t is not None,
            deadline_s=_COOLING_S if self._setup.cool_down_c else _SETTLING_S,
        )

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
        engine = self._engine(cell)
        prepared = self._prepare(cell, engine)
        with exclusive(self.device.slug, on_wait=self._on_wait), self._beside.watching() as watched:
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
        serving = SERVING_ENGINES.get(cell.backend.engine)
        if serving is None:
            raise EngineMissing(f"{cell.id} has no server: {cell.backend.engine} measures without one")
        engine = serving(_program(self._setup.engines, cell), model_facts, self._setup.engines.get("vllm"))
        prepared = self._prepare(cell, engine)
        with exclusive(self.device.slug, on_wait=self._on_wait), engine.serve([cell], prepared.path) as served:
            yield served

    @property
    def jury(self) -> Jury:
        """Who judges; made when the first cell is asked for, from all that is stored of the planned cells."""
        if self._jury is None:
            self._jury = Jury(
                launches=self._setup.launches,
                references={cell: self._stored_of(cell).reference for cell in self.planned},
                relative=self._setup.relative,
            )
        return self._jury

    def _stored_of(self, cell: Cell) -> Stored:
        if cell not in self._stored:
            if _program(self._setup.against, cell) is not None:
                self._stored[cell] = Stored(reference=Reference(against="the reference engine"))
            else:
                self._stored[cell] = stored_of(self._setup.baselines[cell.matrix_path], self.device, cell)
        return self._stored[cell]

    def _open(self, cells: Sequence[Cell]) -> None:
        """Get everything ready for cells that share an engine start: a trial each, or a record that says why not."""
        with self._giving_up(cells):
            engine = self._engine(cells[0])
            prepared = self._prepare(cells[0], engine)
            rival = self._rival(cells[0])
            trials = []
            for cell in cells:
                if not self._fits(cell, prepared):
                    continue
                fingerprint = fingerprint_of(cell, self.device, prepared)
                with self._giving_up([cell]):
                    if rival is None:
                        reference = self._stored_of(cell).held_against(fingerprint)
                    else:
                        build = rival.identify()
                        beside = fingerprint_of(cell, self.device, prepared, build=build)
                        reference = rival_reference(beside, fingerprint, build)
                    trials.append(
                        Trial(
                            cell=cell,
                            reference=reference,
                            fingerprint=fingerprint,
                            bounds=self._bounds_of(cell, prepared),
                        )
                    )
            group = Group(engine=engine, rival=rival, artifact=prepared.path, trials=tuple(trials))
            for trial in trials:
                self._resume(trial)
                self._trials[trial.cell] = trial
                self._groups[trial.cell] = group
                self._prepared[trial.cell] = prepared

    def _fits(self, cell: Cell, prepared: Prepared) -> bool:
        """Tell whether a cell's launch fits in memory; one that does not is skipped with the sum, not tried."""
        fit = fit_of(cell, prepared.path, self.device) if prepared.artifact else None
        if fit is None or fit.fits:
            return True
        self._give_up([cell], fit.sentence, self._missing)
        return False

    def _resume(self, trial: Trial) -> None:
        """Take the launches that an earlier run finished under the same conditions, and judge as if they were new."""
        if self._finished_before is None:
            self._finished_before = journal.read(self._setup.journal) if self._setup.resume else {}
        own = self._finished_before.get(_key(trial, reference=False), ())
        beside = self._finished_before.get(_key(trial, reference=True), ())
        pairs = zip(own, beside, strict=False) if trial.reference.against else ((launch, None) for launch in own)
        for launch, reference in pairs:
            if reference is not None:
                trial.reference_launches.append(reference)
            trial.launches.append(launch)
            self._hear(trial)

    @contextmanager
    def _giving_up(self, cells: Sequence[Cell]) -> Iterator[None]:
        """Turn what speaks against measuring some cells into their records."""
        try:
            yield
        except (ArtifactMissing, EngineMissing) as error:
            self._give_up(cells, str(error), self._missing)
        except ReportError:
            raise
        except ThorError as error:
            self._give_up(cells, str(error), "error")

    def _bounds_of(self, cell: Cell, prepared: Prepared) -> Bounds | None:
        """Return what a cell can reach at most; a machine that no table knows is measured once, alone."""
        with exclusive(self.device.slug, on_wait=self._on_wait):
            path = prepared.path if prepared.artifact else None
            return bounds_of(cell, path=path, device=self.device, cache=self._setup.cache)

    @property
    def _missing(self) -> Literal["error", "skipped"]:
        return "error" if self._setup.policy.strict else "skipped"

    def _give_up(self, cells: Sequence[Cell], reason: str, result: Literal["error", "skipped"]) -> None:
        for cell in cells:
            self._records[cell] = unmeasured_record(cell, device=self.device, outcome=result, reason=reason)

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
        with self._giving_up([trial.cell for trial in wanting]), exclusive(self.device.slug, on_wait=self._on_wait):
            state = self._hygiene.look()
            group.launch(wanting, watching=self._beside.watching, keep=self._keep, on_progress=self._on_progress)
            self._settled = self._hygiene.settle(self._rest, before=state)
        group.last_round_s = time.monotonic() - started
        self._launches_left = self._count_launches_left()
        for trial in wanting:
            if len(trial.launches) > before[trial.cell] or trial.failure is not None:
                self._hear(trial)

    def _hear(self, trial: Trial) -> None:
        """Have a trial judged after its last launch, with what the machine says against the figures."""
        for launches in (trial.launches, trial.reference_launches):
            if launches:
                launches[-1] = self._held_to_limits(trial, launches[-1])
        told = self._beside.conditions([*trial.launches, *trial.reference_launches])
        trial.doubts = [condition.sentence for condition in told if condition.rule == "invalid"]
        trial.advice = [condition.sentence for condition in told if condition.rule == "advice"]
        self.jury.hear(trial)

    def _held_to_limits(self, trial: Trial, launch: Launch) -> Launch:
        if launch.failure is not None:
            return launch
        trial.bounds, doubt = confirmed_doubt(
            trial.bounds, trial.cell, launch.samples, device=self.device, cache=self._setup.cache
        )
        return launch if doubt is None or doubt in launch.doubts else replace(launch, doubts=(*launch.doubts, doubt))

    def _close(self, trial: Trial) -> None:
        """Make the record of a trial: nothing more will be launched for it."""
        cell = trial.cell
        over = f"The budget of {format_duration(self._setup.budget_s or 0)} was used up"
        if not trial.launches and trial.failure is None:
            self._give_up([cell], f"{over} before this cell's turn came.", self._missing)
            self._records[cell] = self._records[cell].model_copy(update={"left_over": True})
            return
        cut_short = self.jury.wants_another(trial)
        self.jury.conclude(trial)
        self._records[cell] = cell_record(
            trial,
            device=self.device,
            prepared=self._prepared[cell],
            outcome=self._outcome(trial),
            past=self._stored_of(cell),
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

    def _engine(self, cell: Cell) -> Engine:
        return self._engine_at(cell, _program(self._setup.engines, cell))

    def _rival(self, cell: Cell) -> Engine | None:
        program = _program(self._setup.against, cell)
        return None if program is None else self._engine_at(cell, program)

    def _engine_at(self, cell: Cell, program: Path | None) -> Engine:
        name = cell.backend.engine
        if (name, program) not in self._engines:
            serving = SERVING_ENGINES.get(name)
            self._engines[name, program] = (
                serving(program, model_facts, self._setup.engines.get("vllm")) if serving else ENGINES[name](program)
            )
        return self._engines[name, program]

    def _prepare(self, cell: Cell, engine: Engine) -> Prepared:
        return prepare(
            cell,
            traits=engine.traits,
            build=engine.identify_for(cell) if isinstance(engine, AttachedEngine) else engine.identify(),
            roots=self._setup.models,
            cache=self._setup.cache,
            quantizer=self._setup.engines.get("llama-quantize"),
            full_hash=self._setup.full_hash,
            means=self._setup.means,
            on_progress=lambda step: self._observer(Status(step=step, cell=cell)),
        )

    def _on_wait(self, sentence: str) -> None:
        self._observer(Status(step=sentence))

    def _on_progress(self, progress: Progress) -> None:
        cell = progress.cell
        trial = self._trials.get(cell)
        self._observer(
            Status(
                step=progress.step,
                cell=cell,
                launch=len(trial.launches) + 1 if trial else 1,
                rate_tps=progress.rate_tps or self._rates_tps.get(cell),
                left_s=self._pace.estimate_s(self._launches_left),
            )
        )

    def _keep(self, trial: Trial, launch: Launch, is_reference: bool) -> Launch:
        """Keep a finished launch at once: whatever happens next, it is not lost."""
        self._pace.took(launch.duration_s)
        cell = trial.cell
        number = len(trial.reference_launches if is_reference else trial.launches) + 1
        if self._settled is not None:
            launch = replace(launch, evidence={**launch.evidence, "rest": self._settled.to_json()})
        journal.append(
            self._setup.journal, _key(trial, reference=is_reference), launch, device=self.device.slug, number=number
        )
        rates = next((samples for name, samples in launch.samples.items() if name.endswith("_tps")), ())
        if rates:
            self._rates_tps[cell] = median(rates)
        step = "measured (reference)" if is_reference else "measured"
        self._observer(
            Status(
                step=launch.failure or step,
                cell=cell,
                launch=number,
                finished=True,
                rate_tps=self._rates_tps.get(cell),
                left_s=self._pace.estimate_s(self._launches_left),
            )
        )
        return launch

    def _count_launches_left(self) -> int:
        """Return how many launches are probably still to come."""
        least, most = self._setup.launches
        left = 0
        for cell in self.planned:
            if cell in self._records:
                continue
            trial = self._trials.get(cell)
            compares = trial.reference.compares if trial else self._stored_of(cell).reference.compares
            expected = max(least, 1) if compares else most
            pair = 2 if _program(self._setup.against, cell) is not None else 1
            left += pair * max(expected - (len(trial.launches) if trial else 0), 0)
        return left


def _key(trial: Trial, *, reference: bool) -> journal.Key:
    cell = trial.cell
    return journal.key(matrix=cell.matrix, cell=cell.id, fingerprint=trial.fingerprint, reference=reference)


def _program(programs: Mapping[str, Path], cell: Cell) -> Path | None:
    """Return what the user named for a cell's backend, else for its engine."""
    return programs.get(cell.backend.name) or programs.get(cell.backend.engine)
