"""What an engine must know that holds one quant of a model against another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from pytest_thor.cell import Cell
from pytest_thor.engines.base import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceModel:
    """The files of the quant that another is held against, known by their whole content.

    ``too_large`` says why this machine cannot run it; ``vocabulary`` is how many tokens it knows, None where that was
    not read.
    """

    path: Path
    sha256: str
    vocabulary: int | None = None
    too_large: str | None = None


FindReference: TypeAlias = Callable[[Cell], ReferenceModel]
"""Finds the model of a cell's ``reference``; handed in by whoever makes the engine, since another room finds files."""


class ReferringEngine(Engine, Protocol):
    """An engine that holds a model against a reference; what it makes of that is kept in the folder ``kept``."""

    def __init__(
        self, override: Path | None = None, find_reference: FindReference | None = None, kept: Path | None = None
    ) -> None: ...
