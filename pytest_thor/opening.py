"""What cells need before they can be launched: engines, artifacts, what is stored of them, and what they can reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pytest_thor.bounds import Bounds, bounds_of
from pytest_thor.cell import ArtifactReference, Cell
from pytest_thor.engines import ENGINES, REFERRING_ENGINES, SERVING_ENGINES
from pytest_thor.engines.base import Engine
from pytest_thor.engines.reference_model import ReferenceModel
from pytest_thor.engines.serving_engine import AttachedEngine, ServingEngine
from pytest_thor.errors import ArtifactMissing, DeviceError, EngineMissing, ReportError, ThorError
from pytest_thor.fitting import fit_of
from pytest_thor.host.device import Device, identify
from pytest_thor.host.lock import Claim, claim_of, exclusive
from pytest_thor.measure import Group, Reference, Trial
from pytest_thor.preparation import Prepared, Stored, fingerprint_of, model_facts, prepare, rival_reference, stored_of
from pytest_thor.progress import Reporter
from pytest_thor.reference_quant import cell_of_reference, reference_model
from pytest_thor.setup import Setup


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a cell is not measured; ``missing`` where this machine lacks what it needs, else it is an error."""

    reason: str
    missing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The cells of one engine start, ready to be launched, and those that cannot be."""

    refused: Mapping[Cell, Refusal]
    group: Group | None = None
    prepared: Prepared | None = None


@contextmanager
def refusing(cells: Sequence[Cell], refused: dict[Cell, Refusal]) -> Iterator[None]:
    """Turn what speaks against measuring some cells into their refusals."""
    try:
        yield
    except (ArtifactMissing, EngineMissing) as error:
        refused.update(dict.fromkeys(cells, Refusal(reason=str(error), missing=True)))
    except ReportError:
        raise
    except ThorError as error:
        refused.update(dict.fromkeys(cells, Refusal(reason=str(error), missing=False)))


@dataclass(kw_only=True)  # without slots, so that the device is identified once
class Opening:
    """Gets cells ready on this machine; each engine, and what is stored of each cell, is looked at once."""

    setup: Setup
    reporter: Reporter
    _engines: dict[tuple[str, Path | None], Engine] = field(default_factory=dict)
    _stored: dict[Cell, Stored] = field(default_factory=dict)
    _references: dict[tuple[str, ArtifactReference], ReferenceModel] = field(default_factory=dict)
    _is_held: bool = False

    @cached_property
    def device(self) -> Device:
        """The machine, or the part of it that measures.

        Raises:
            DeviceError: the part is not there.
        """
        return identify(part=self.setup.part)

    def alone(self) -> AbstractContextManager[bool]:
        """Have the device to oneself; tell whether it had to be waited for.

        Raises:
            DeviceError: this run has it already, and would wait for itself.
        """
        return self._holding(claim_of(self.device))

    def alone_on_the_machine(self) -> AbstractContextManager[bool]:
        """Have all of the machine to oneself, where the device is a part of it too.

        Raises:
            DeviceError: as :meth:`alone`.
        """
        return self._holding(Claim(device=self.device.slug))

    @contextmanager
    def _holding(self, claim: Claim) -> Iterator[bool]:
        if self._is_held:
            raise DeviceError(
                "this run holds the device already, as thor_server does for the length of its test:"
                " measure in a test of its own"
            )
        told: list[str] = []

        def waits(sentence: str) -> None:
            told.append(sentence)
            self.reporter.waits(sentence)

        with exclusive(claim, on_wait=waits, command=self.setup.command):
            self._is_held = True
            try:
                yield bool(told)
            finally:
                self._is_held = False

    def engine(self, cell: Cell) -> Engine:
        """Return the engine that measures a cell."""
        return self._engine_at(cell, program_of(self.setup.engines, cell))

    def server(self, cell: Cell) -> ServingEngine:
        """Return the engine that serves a cell.

        Raises:
            EngineMissing: its backend measures without a server.
        """
        serving = SERVING_ENGINES.get(cell.backend.engine)
        if serving is None:
            raise EngineMissing(f"{cell.id} has no server: {cell.backend.engine} measures without one")
        return serving(program_of(self.setup.engines, cell), model_facts, self.setup.engines.get("vllm"))

    def is_paired(self, cell: Cell) -> bool:
        """Tell whether a reference engine is launched beside the cell's."""
        return program_of(self.setup.against, cell) is not None

    def stored(self, cell: Cell) -> Stored:
        """Return what is stored of a cell; nothing, where it is held against a reference engine."""
        if cell not in self._stored:
            if self.is_paired(cell):
                self._stored[cell] = Stored(reference=Reference(against="the reference engine"))
            else:
                self._stored[cell] = stored_of(self.setup.baselines[cell.matrix_path], self.device, cell)
        return self._stored[cell]

    def prepare(self, cell: Cell, engine: Engine) -> Prepared:
        """Find a cell's artifact, or obtain it.

        Raises:
            ArtifactError, EngineError: it cannot be had.
        """
        return prepare(
            cell,
            traits=engine.traits,
            build=engine.identify_for(cell) if isinstance(engine, AttachedEngine) else engine.identify(),
            roots=self.setup.models,
            cache=self.setup.cache,
            quantizer=self.setup.engines.get("llama-quantize"),
            full_hash=self.setup.full_hash,
            means=self.setup.means,
            on_progress=lambda step: self.reporter.prepares(cell, step),
            alone=self.alone,
        )

    def reference(self, cell: Cell) -> ReferenceModel:
        """Find, once, the quant that a cell is held against.

        Raises:
            ArtifactError, EngineError: it cannot be had.
            ValueError: the cell has no reference.
        """
        beside = cell_of_reference(cell)
        key = (beside.quant, beside.artifact)  # a synthetic model's quants are in one place
        if key not in self._references:
            path = self.prepare(beside, self.engine(beside)).path
            with self.alone():  # reading all of it is nothing for another's measurement
                self._references[key] = reference_model(
                    beside,
                    path,
                    device=self.device,
                    kept=self._logits,
                    tell=lambda step: self.reporter.prepares(cell, step),
                )
        return self._references[key]

    @property
    def _logits(self) -> Path:
        return self.setup.cache / "logits"

    def open(self, cells: Sequence[Cell]) -> Opened:
        """Get everything ready for cells that share an engine start: a trial each, or a refusal that says why not."""
        refused: dict[Cell, Refusal] = {}
        with refusing(cells, refused):
            engine = self.engine(cells[0])
            prepared = self.prepare(cells[0], engine)
            against = program_of(self.setup.against, cells[0])
            rival = None if against is None else self._engine_at(cells[0], against)
            trials = []
            for cell in cells:
                with refusing([cell], refused):
                    if (refusal := self._does_not_fit(cell, prepared)) is not None:
                        refused[cell] = refusal
                    else:
                        trials.append(self._trial(cell, prepared, rival))
            group = Group(engine=engine, rival=rival, artifact=prepared.path, trials=tuple(trials))
            return Opened(refused=refused, group=group, prepared=prepared)
        return Opened(refused=refused)

    def _does_not_fit(self, cell: Cell, prepared: Prepared) -> Refusal | None:
        """Return the sum of a cell whose launch does not fit in memory: that one is not tried."""
        fit = fit_of(cell, prepared.path, self.device) if prepared.artifact else None
        return None if fit is None or fit.fits else Refusal(reason=fit.sentence, missing=True)

    def _trial(self, cell: Cell, prepared: Prepared, rival: Engine | None) -> Trial:
        against = self.reference(cell).sha256 if cell.reference else None
        fingerprint = fingerprint_of(cell, self.device, prepared, against=against)
        if rival is None:
            reference = self.stored(cell).held_against(fingerprint)
        else:
            build = rival.identify()
            beside = fingerprint_of(cell, self.device, prepared, build=build, against=against)
            reference = rival_reference(beside, fingerprint, build)
        return Trial(cell=cell, reference=reference, fingerprint=fingerprint, bounds=self._bounds_of(cell, prepared))

    def _bounds_of(self, cell: Cell, prepared: Prepared) -> Bounds | None:
        """Return what a cell can reach at most; a machine that no table knows is measured once, alone."""
        with self.alone():
            path = prepared.path if prepared.artifact else None
            return bounds_of(cell, path=path, device=self.device, cache=self.setup.cache)

    def _engine_at(self, cell: Cell, program: Path | None) -> Engine:
        name = cell.backend.engine
        if (name, program) not in self._engines:
            if serving := SERVING_ENGINES.get(name):
                made: Engine = serving(program, model_facts, self.setup.engines.get("vllm"))
            elif referring := REFERRING_ENGINES.get(name):
                made = referring(program, self.reference, self._logits)
            else:
                made = ENGINES[name](program)
            self._engines[name, program] = made
        return self._engines[name, program]


def program_of(programs: Mapping[str, Path], cell: Cell) -> Path | None:
    """Return what the user named for a cell's backend, else for its engine."""
    return programs.get(cell.backend.name) or programs.get(cell.backend.engine)
