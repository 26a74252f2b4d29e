"""What a run is doing right now, told to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

from pytest_thor.cell import Cell
from pytest_thor.engines.base import Progress
from pytest_thor.measurement import Launch
from pytest_thor.pace import Pace
from pytest_thor.plain_text import one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the session is doing right now.

    ``launch`` is the running or, where ``finished``, the finished launch of the cell; ``left_s`` is an estimate.
    ``waits`` where nothing goes on until another session has finished.
    """

    step: str
    cell: Cell | None = None
    launch: int | None = None
    finished: bool = False
    rate_tps: float | None = None
    left_s: float | None = None
    waits: bool = False


Observer: TypeAlias = Callable[[Status], None]


class Reporter:
    """Turns what happens into statuses, with the last speed of each cell and an estimate of the time left."""

    def __init__(self, observer: Observer, pace: Pace) -> None:
        self._observer = observer
        self._pace = pace
        self._rates_tps: dict[Cell, float] = {}
        self.launches_left = 0
        """How many launches are probably still to come."""

    def waits(self, sentence: str) -> None:
        """Tell what is waited for."""
        self._observer(Status(step=sentence, waits=True))

    def prepares(self, cell: Cell, step: str) -> None:
        """Tell what is done before a cell can be launched."""
        self._observer(Status(step=one_line(step), cell=cell))

    def advances(self, progress: Progress, *, launch: int) -> None:
        """Tell how far a running launch is, the cell's ``launch``-th."""
        self._observer(
            Status(
                step=one_line(progress.step),
                cell=progress.cell,
                launch=launch,
                rate_tps=progress.rate_tps or self._rates_tps.get(progress.cell),
                left_s=self._pace.estimate_s(self.launches_left),
            )
        )

    def finishes(self, cell: Cell, launch: Launch, *, number: int, is_reference: bool) -> None:
        """Tell that a launch has ended, and how fast it was."""
        rates = next((samples for name, samples in launch.samples.items() if name.endswith("_tps")), ())
        if rates:
            self._rates_tps[cell] = median(rates)
        self._observer(
            Status(
                step=one_line(launch.failure or "") or ("measured (reference)" if is_reference else "measured"),
                cell=cell,
                launch=number,
                finished=True,
                rate_tps=self._rates_tps.get(cell),
                left_s=self._pace.estimate_s(self.launches_left),
            )
        )
