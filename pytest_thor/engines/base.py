"""The engine protocol: four members, one file per engine, found through the table in ``engines/__init__.py``.

An engine only measures; it does not judge, print or store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, TypeAlias

from pytest_thor.cell import Cell, EngineTraits
from pytest_thor.measurement import EngineBuild, Launch


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a running launch stands: which cell, what it is doing, and its speed so far where known."""

    cell: Cell
    step: str
    rate_tps: float | None = None


ProgressCallback: TypeAlias = Callable[[Progress], None]


class Engine(Protocol):
    """A program that runs models.

    An instance is made with the path that the user gave for it (``--thor-engine NAME=PATH``), or None.
    Making one does nothing: programs are looked for and started only by the methods.
    """

    traits: ClassVar[EngineTraits]

    def __init__(self, override: Path | None = None) -> None: ...

    def identify(self) -> EngineBuild:
        """Find the program and ask it which build it is (once; kept afterwards).

        Raises:
            EngineMissing: it is not found, or does not start.
        """

    def batches(self, cells: Sequence[Cell]) -> list[tuple[Cell, ...]]:
        """Split cells of one model × quant × backend into those that one process can measure, in order."""

    def launch(
        self, cells: Sequence[Cell], artifact: Path, on_progress: ProgressCallback
    ) -> Iterator[tuple[Cell, Launch]]:
        """Start the engine once for one batch and yield each of its cells once, as soon as it is measured.

        A cell that cannot be measured is yielded with ``Launch.failure`` and the log's tail; the others of the
        batch still come where the engine lives on. When the iterator ends, is closed or raises, no process of
        it is left. ``cells[0].backend.timeout_s`` bounds the whole launch.

        Raises:
            EngineMissing: this build lacks an option that the cells ask for; named with the build.
        """
