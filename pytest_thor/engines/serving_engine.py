"""What the engines that serve have in common: what they must know of a model, and their launch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, TypeAlias, runtime_checkable

from pytest_thor.cell import Cell, EngineTraits
from pytest_thor.engines.base import ProgressCallback
from pytest_thor.engines.service import Served, ServiceOrder
from pytest_thor.errors import EngineFailure
from pytest_thor.measurement import EngineBuild, Launch
from pytest_thor.serving.load import TokenIds


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What a load needs to know of a model's files: the ids for its prompts, and the context it was made for."""

    token_ids: TokenIds
    context_length: int | None = None


ReadModel: TypeAlias = Callable[[Path], ModelFacts]
"""Reads an artifact's files; handed in by whoever makes the engine, since another room reads them."""


class ServingEngine(ABC):
    """An engine whose cells are answered by a server, all those of one backend by the same.

    One of these says how it is identified and what a launch must know to have its server; the launch is the same.
    ``read_model`` is what reads an artifact; ``vllm`` is the vLLM that the user chose (``--thor-engine vllm=PATH``),
    for workloads whose load its client sends.
    """

    traits: ClassVar[EngineTraits]

    def __init__(
        self, override: Path | None = None, read_model: ReadModel | None = None, vllm: Path | None = None
    ) -> None:
        self._override = override
        self._read_model = read_model
        self._vllm = vllm

    @abstractmethod
    def identify(self) -> EngineBuild:
        """Find the program and ask it which build it is; see the protocol."""

    @abstractmethod
    def _order(self, cells: Sequence[Cell], artifact: Path, facts: ModelFacts | None) -> ServiceOrder:
        """Say how these cells' server is had; ``facts`` are None where no load will be sent."""

    def batches(self, cells: Sequence[Cell]) -> list[tuple[Cell, ...]]:
        """Return the cells as one batch: a server answers them all."""
        return [tuple(cells)] if cells else []

    def launch(
        self, cells: Sequence[Cell], artifact: Path, on_progress: ProgressCallback
    ) -> Iterator[tuple[Cell, Launch]]:
        """Measure one batch on one server; see the protocol.

        Raises:
            EngineMissing: this build lacks an option that the backend asks for, or a key is not set.
            EngineFailure: the engine was made without a reader of models, which it needs.
        """
        from pytest_thor.engines.serving_launch import measure  # with all that sends a load; not for collection

        facts = self._facts(cells, artifact)
        order = self._order(cells, artifact, facts)
        return measure(order, cells, token_ids=facts.token_ids, on_progress=on_progress, vllm=self._vllm)

    def serve(self, cells: Sequence[Cell], artifact: Path) -> AbstractContextManager[Served]:
        """Have a server for these cells of one backend, ready when entered, and stopped when left if it was started.

        ``cells[0].backend.timeout_s`` bounds the start.

        Raises:
            EngineMissing: it is not found, or its build lacks what the cells ask for.
            EngineFailure: it ended or was not ready in time.
        """
        from pytest_thor.engines.serving_launch import opened

        return opened(self._order(cells, artifact, None))

    def _facts(self, cells: Sequence[Cell], artifact: Path) -> ModelFacts:  # noqa: ARG002 - an attached server's own
        if self._read_model is None:
            raise EngineFailure(f"{self.traits.name} was made without a reader of models, which its prompts need")
        return self._read_model(artifact)


@runtime_checkable
class AttachedEngine(Protocol):
    """An engine whose build is that of the server which the cell's settings name, and not of a program found here."""

    def identify_for(self, cell: Cell) -> EngineBuild:
        """Return the build that answers for a cell now, its version None where that is not known.

        Raises:
            EngineMissing: it cannot be asked.
        """
