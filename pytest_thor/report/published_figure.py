"""A figure that somebody published, as it is shown beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pytest_thor.report.figures import shown_quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFigure:
    """One metric (``tg_tps``, ``ttft_ms.p99``) in its own unit, with where it comes from; it never gates.

    ``doubt`` says why the result that it belongs to cannot be what it claims; ``same_device`` that it is of a device of
    the cell's name.
    """

    metric: str
    value: float
    unit: str
    source: str
    date: str | None = None
    device: str | None = None
    engine: str | None = None
    doubt: str | None = None
    same_device: bool = False

    @property
    def told(self) -> str:
        """The figure in words: ``40.07 tok/s (Jetson Thor, llama-bench, guide.md:42, 2025-10-15)``."""
        about = ", ".join(filter(None, (self.device, self.engine, self.source, self.date)))
        doubted = f"; it cannot be true: {self.doubt}" if self.doubt else ""
        return f"{shown_quantity(self.value, self.unit)} ({about}){doubted}"


Published: TypeAlias = Mapping[tuple[str, str, str], Sequence[PublishedFigure]]
"""Published figures by the place (matrix, id, device) of the cell that they are shown beside."""
