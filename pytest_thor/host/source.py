"""What is read beside a launch: channels, and the sources that read several of them at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

MISSING = math.nan
"""A reading that was not there, inside a series; outside it is None."""

Kind: TypeAlias = Literal["gauge", "counter", "events", "state"]
"""``gauge``: a level, straight between two readings. ``counter``: a sum that only grows. ``events``: a whole number
that only grows. ``state``: 0 is normal, and a reading holds until the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One quantity: ``group`` says what and in which unit (``power_w``), ``name`` of what (``VDD_GPU``)."""

    group: str
    name: str
    kind: Kind = "gauge"


class Source(Protocol):
    """Several channels read at once; everything that can be opened beforehand is open.

    ``interval_s`` is the time between two readings that is worth while; the sampler may take longer.
    """

    channels: tuple[Channel, ...]
    interval_s: float

    def read(self) -> Sequence[float]:
        """Return one reading per channel, ``MISSING`` where there is none now. It raises nothing."""

    def trouble(self) -> str | None:
        """Say which channels gave nothing and why, or return None."""

    def close(self) -> None:
        """Let go of what is open."""
