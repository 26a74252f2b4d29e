"""A figure that somebody published, as it is shown beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFigure:
    """One metric (``tg_tps``, ``ttft_ms.p99``) in its own unit, with where it comes from; it never gates."""

    metric: str
    value: float
    unit: str
    source: str
    date: str | None = None
    device: str | None = None
    engine: str | None = None


Published: TypeAlias = Mapping[tuple[str, str], Sequence[PublishedFigure]]
"""Published figures by the matrix and the id of the cell that they are shown beside."""
