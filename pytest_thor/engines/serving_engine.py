"""What the engines that serve have in common: what they must know of a model, and what they hand out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

from pytest_thor.cell import Cell
from pytest_thor.engines.base import Engine
from pytest_thor.errors import EngineFailure
from pytest_thor.measurement import EngineBuild
from pytest_thor.serving.load import TokenIds


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What a load needs to know of a model's files: the ids for its prompts, and the context it was made for."""

    token_ids: TokenIds
    context_length: int | None = None


ReadModel: TypeAlias = Callable[[Path], ModelFacts]
"""Reads an artifact's files; handed in by whoever makes the engine, since another room reads them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Where a server answers, for a check of one's own: ``http://127.0.0.1:8123``, and the model's name there."""

    base_url: str
    model: str

    @property
    def openai_url(self) -> str:
        """What OpenAI's clients take as their base URL."""
        return f"{self.base_url}/v1"


class ServingEngine(Engine, Protocol):
    """An engine whose cells are answered by a server.

    ``vllm`` is the vLLM that the user chose (``--thor-engine vllm=PATH``), for workloads whose load its client sends.
    """

    def __init__(
        self, override: Path | None = None, read_model: ReadModel | None = None, vllm: Path | None = None
    ) -> None: ...

    def serve(self, cells: Sequence[Cell], artifact: Path) -> AbstractContextManager[Served]:
        """Have a server for these cells of one backend, ready when entered, and stopped when left if it was started.

        ``cells[0].backend.timeout_s`` bounds the start.

        Raises:
            EngineMissing: it is not found, or its build lacks what the cells ask for.
            EngineFailure: it ended or was not ready in time.
        """


@runtime_checkable
class AttachedEngine(Protocol):
    """An engine whose build is that of the server which the cell's settings name, and not of a program found here."""

    def identify_for(self, cell: Cell) -> EngineBuild:
        """Return the build that answers for a cell now, its version None where that is not known.

        Raises:
            EngineMissing: it cannot be asked.
        """


def read_facts(engine: str, read_model: ReadModel | None, artifact: Path) -> ModelFacts:
    """Read what a load needs to know of an artifact.

    Raises:
        EngineFailure: there is nothing to read it with.
    """
    if read_model is None:
        raise EngineFailure(f"{engine} was made without a reader of models, which its prompts need")
    return read_model(artifact)
