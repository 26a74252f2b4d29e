"""What a cell is called where it stands among others: its id, and what else tells it from those of the same id."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_thor.report.document import CellRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """Whether the cells of a report are of several matrices, and of several devices."""

    matrices: bool = False
    devices: bool = False

    def aside(self, record: CellRecord) -> str:
        """Return what has to stand beside a cell's id, such as ``smoke, left``; empty where the id is enough."""
        return ", ".join(self.apart(record.matrix, record.device))

    def apart(self, matrix: str, device: str) -> list[str]:
        """Return which of two names tell cells of one id apart."""
        return [name for name, several in ((matrix, self.matrices), (device, self.devices)) if several]

    def full(self, record: CellRecord) -> str:
        """Return the id with what has to stand beside it: ``tiny-F16-llama.cpp-tg8 (left)``."""
        aside = self.aside(record)
        return f"{record.id} ({aside})" if aside else record.id

    def series(self, record: CellRecord) -> str:
        """Return the name of a cell's figures in tools that keep them over many runs: ``MATRIX/CELL``, its device."""
        return f"{record.matrix}/{record.id}" + (f" ({record.device})" if self.devices else "")


def naming_of(cells: Iterable[CellRecord]) -> Naming:
    """Return how cells that stand together are told apart."""
    found = {(record.matrix, record.device) for record in cells}
    matrices, devices = ({each[place] for each in found} for place in (0, 1))
    return Naming(matrices=len(matrices) > 1, devices=len(devices) > 1)
