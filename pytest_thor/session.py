"""What is running now: the device and its lock, the plan, the journal, and the record of every cell measured.

A cell is measured when it is first asked for, together with the planned cells that share its engine start.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal, TypeAlias

from pytest_thor.cell import Cell
from pytest_thor.engines import ENGINES, SERVING_ENGINES
from pytest_thor.engines.base import Engine, Progress
from pytest_thor.engines.serving_engine import Served
from pytest_thor.errors import ArtifactMissing, BaselineError, EngineFailure, EngineMissing, ReportError, ThorError
from pytest_thor.files import append_line
from pytest_thor.host.device import Device, identify
from pytest_thor.host.lock import exclusive
from pytest_thor.judge.policy import outcome
from pytest_thor.measure import Measured, Reference, measure
from pytest_thor.measurement import Launch
from pytest_thor.preparation import Prepared, fingerprint_of, model_facts, prepare, reference_of
from pytest_thor.record import cell_record, launch_record, unmeasured_record
from pytest_thor.report.document import CellRecord, Outcome

JOURNAL_SCHEMA = "pytest-thor/journal/1"
"""The version of journal.jsonl. History: 1, the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What follows from a verdict, as the user chose."""

    inconclusive: Literal["pass", "warn", "fail"]
    invalid: Literal["warn", "fail"]
    strict: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How a session measures; folders are absolute, baseline stores by matrix path."""

    models: tuple[Path, ...]
    engines: Mapping[str, Path]
    baselines: Mapping[str, Path]
    launches: tuple[int, int]
    policy: Policy
    full_hash: bool
    journal: Path
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


Observer: TypeAlias = Callable[[Status], None]


class Session:
    """One run of pytest on one device; nothing is started or touched before a record is asked for."""

    def __init__(self, setup: Setup, observer: Observer) -> None:
        self._setup = setup
        self._observer = observer
        self._device: Device | None = None
        self._engines: dict[str, Engine] = {}
        self._records: dict[Cell, CellRecord] = {}
        self.planned: tuple[Cell, ...] = ()
        """The cells that will be asked for, in the order of the tests."""
        self._expected_launches = setup.launches[0]
        self._finished: dict[Cell, int] = {}
        self._rates_tps: dict[Cell, float] = {}
        self._spent_s = 0.0

    @property
    def device(self) -> Device:
        """The machine, identified once."""
        if self._device is None:
            self._device = identify()
        return self._device

    def plan(self, cells: Sequence[Cell]) -> None:
        """Say which cells will be asked for, so that those of one engine start are measured together."""
        self.planned = tuple(dict.fromkeys(cells))

    def record(self, cell: Cell) -> CellRecord:
        """Return what is known of a cell, measuring it and its group first where that was not done.

        Raises:
            ReportError: the journal cannot be written.
        """
        if cell not in self._records:
            group = [other for other in self.planned if other.group == cell.group and other not in self._records]
            self._measure_group(group if cell in group else [cell])
        return self._records[cell]

    def launch(self, cell: Cell) -> Launch:
        """Launch the cell's engine once, outside any judgement.

        Raises:
            ArtifactError, EngineMissing: it cannot start.
            EngineFailure: it started and failed.
        """
        engine = self._engine(cell)
        prepared = self._prepare(cell, engine)
        with exclusive(self.device.slug, on_wait=self._on_wait):
            [(_, launch)] = engine.launch([cell], prepared.path, self._on_progress)
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
        engine = serving(self._setup.engines.get(cell.backend.engine), model_facts)
        prepared = self._prepare(cell, engine)
        with exclusive(self.device.slug, on_wait=self._on_wait), engine.serve([cell], prepared.path) as served:
            yield served

    def _measure_group(self, cells: Sequence[Cell]) -> None:
        try:
            engine = self._engine(cells[0])
            prepared = self._prepare(cells[0], engine)
            self._measure_prepared(cells, engine, prepared)
        except (ArtifactMissing, EngineMissing) as error:
            missing: Literal["error", "skipped"] = "error" if self._setup.policy.strict else "skipped"
            self._give_up(cells, str(error), missing)
        except ReportError:
            raise
        except ThorError as error:
            self._give_up(cells, str(error), "error")

    def _measure_prepared(self, cells: Sequence[Cell], engine: Engine, prepared: Prepared) -> None:
        references: dict[Cell, Reference] = {}
        fingerprints = {cell: fingerprint_of(cell, self.device, prepared) for cell in cells}
        for cell in cells:
            root = self._setup.baselines[cell.matrix_path]
            try:
                references[cell] = reference_of(root, self.device, cell, fingerprints[cell])
            except BaselineError as error:
                self._give_up([cell], str(error), "error")
        readable = list(references)
        if not readable:
            return
        compared = all(reference.launches and not reference.blocking for reference in references.values())
        self._expected_launches = self._setup.launches[0 if compared else 1]
        with exclusive(self.device.slug, on_wait=self._on_wait):
            measured = measure(
                readable,
                engine=engine,
                artifact=prepared.path,
                references=references,
                launches=self._setup.launches,
                on_launch=self._on_launch,
                on_progress=self._on_progress,
            )
        for cell, result in measured.items():
            self._records[cell] = cell_record(
                cell,
                device=self.device,
                prepared=prepared,
                fingerprint=fingerprints[cell],
                reference=references[cell],
                measured=result,
                outcome=self._outcome(result),
            )

    def _outcome(self, measured: Measured) -> Outcome:
        if measured.judgement is None:
            return "error"
        policy = self._setup.policy
        return outcome(
            measured.judgement.verdict,
            inconclusive=policy.inconclusive,
            invalid=policy.invalid,
            strict=policy.strict,
        )

    def _give_up(self, cells: Sequence[Cell], reason: str, result: Literal["error", "skipped"]) -> None:
        for cell in cells:
            self._records[cell] = unmeasured_record(cell, device=self.device, outcome=result, reason=reason)

    def _engine(self, cell: Cell) -> Engine:
        name = cell.backend.engine
        if name not in self._engines:
            override = self._setup.engines.get(name)
            serving = SERVING_ENGINES.get(name)
            self._engines[name] = serving(override, model_facts) if serving else ENGINES[name](override)
        return self._engines[name]

    def _prepare(self, cell: Cell, engine: Engine) -> Prepared:
        return prepare(
            cell,
            traits=engine.traits,
            build=engine.identify(),
            roots=self._setup.models,
            cache=self._setup.cache,
            quantizer=self._setup.engines.get("llama-quantize"),
            full_hash=self._setup.full_hash,
            on_progress=lambda step: self._observer(Status(step=step, cell=cell)),
        )

    def _on_wait(self, sentence: str) -> None:
        self._observer(Status(step=sentence))

    def _on_progress(self, progress: Progress) -> None:
        cell = progress.cell
        self._observer(
            Status(
                step=progress.step,
                cell=cell,
                launch=self._finished.get(cell, 0) + 1,
                rate_tps=progress.rate_tps or self._rates_tps.get(cell),
                left_s=self._left_s(),
            )
        )

    def _on_launch(self, cell: Cell, number: int, launch: Launch) -> None:
        """Keep a finished launch at once: whatever happens next, it is not lost."""
        self._spent_s += launch.duration_s
        entry = {
            "schema": JOURNAL_SCHEMA,
            "matrix": cell.matrix,
            "cell": cell.id,
            "device": self.device.slug,
            "number": number,
            "launch": launch_record(launch).model_dump(mode="json"),
        }
        try:
            append_line(self._setup.journal, json.dumps(entry, ensure_ascii=False))
        except OSError as error:
            raise ReportError(f"{self._setup.journal}: cannot write the journal: {error.strerror}") from error
        self._finished[cell] = number
        rates = next((samples for name, samples in launch.samples.items() if name.endswith("_tps")), ())
        if rates:
            self._rates_tps[cell] = median(rates)
        self._observer(
            Status(
                step=launch.failure or "measured",
                cell=cell,
                launch=number,
                finished=True,
                rate_tps=self._rates_tps.get(cell),
                left_s=self._left_s(),
            )
        )

    def _left_s(self) -> float | None:
        """Estimate the time left from the mean launch so far and the launches that are probably still to come."""
        taken = sum(self._finished.values())
        if not taken:
            return None
        current = taken - sum(self._finished.get(cell, 0) for cell in self._records)
        left = sum(cell not in self._records for cell in self.planned) * self._expected_launches
        return max(left - current, 0) * self._spent_s / taken
