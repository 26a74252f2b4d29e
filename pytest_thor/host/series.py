"""What one source said over time, and what that comes to in a window of it. Pure."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pytest_thor.host.source import Channel

Window: TypeAlias = tuple[float, float]
"""Start and end in seconds of the monotonic clock."""

_GAP = 10
"""Readings further apart than so many intervals are not joined: what was between them is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A gauge in a window: its least and largest reading, and its mean over time.

    ``covered_s`` is how much of the window lies between readings; the mean is over that only.
    """

    minimum: float
    mean: float
    maximum: float
    covered_s: float


class Series:
    """Columns of readings with one column of times (monotonic seconds, rising)."""

    def __init__(self, channels: Sequence[Channel], *, interval_s: float) -> None:
        self.channels = tuple(channels)
        self.times = array("d")
        self._columns = tuple(array("d") for _ in self.channels)
        self.interval_s = interval_s
        """Seconds between two readings, as they are taken now."""

    def add(self, time_s: float, values: Sequence[float]) -> None:
        """Keep one reading; ``values`` in the order of the channels."""
        self.times.append(time_s)
        for column, value in zip(self._columns, values, strict=True):
            column.append(value)

    def drop_before(self, time_s: float) -> None:
        """Forget the readings before a time."""
        count = bisect_left(self.times, time_s)
        for column in (self.times, *self._columns):
            del column[:count]

    def count(self, windows: Iterable[Window]) -> int:
        """Return how many readings lie in the windows."""
        return sum(bisect_right(self.times, end) - bisect_left(self.times, start) for start, end in windows)

    def level(self, index: int, windows: Iterable[Window]) -> Level | None:
        """Return what a gauge was in the windows, by trapezoids between readings; None where nothing is known."""
        low, high, integral, covered_s = math.inf, -math.inf, 0.0, 0.0
        for window in windows:
            inside = False
            ends: list[float] = []
            for (t0, v0), (t1, v1) in self._joined(index, window):
                start, end = max(t0, window[0]), min(t1, window[1])
                first = v0 + (v1 - v0) * (start - t0) / (t1 - t0)
                last = v0 + (v1 - v0) * (end - t0) / (t1 - t0)
                integral += (first + last) / 2 * (end - start)
                covered_s += end - start
                ends += (first, last)
                for time_s, value in ((t0, v0), (t1, v1)):
                    if window[0] <= time_s <= window[1]:
                        low, high, inside = min(low, value), max(high, value), True
            if not inside and ends:  # the window lies between two readings
                low, high = min(low, *ends), max(high, *ends)
        if covered_s <= 0:
            return None
        return Level(minimum=low, mean=integral / covered_s, maximum=high, covered_s=covered_s)

    def growth(self, index: int, windows: Iterable[Window]) -> float | None:
        """Return by how much a counter grew in the windows, in proportion between readings; None where not known."""
        grown, known = 0.0, False
        for window in windows:
            for (t0, v0), (t1, v1) in self._joined(index, window):
                share = (min(t1, window[1]) - max(t0, window[0])) / (t1 - t0)
                grown += max(v1 - v0, 0.0) * share
                known = True
        return grown if known else None

    def events(self, index: int, windows: Iterable[Window]) -> int | None:
        """Return how many events fell between the readings that enclose the windows; None where not known."""
        counted: dict[float, int] = {}
        for window in windows:
            for (t0, v0), (_, v1) in self._joined(index, window):
                counted[t0] = max(round(v1 - v0), 0)
        return sum(counted.values()) if counted else None

    def active(self, index: int, windows: Iterable[Window]) -> tuple[float, float] | None:
        """Return the share of the windows in which a state was above 0, and its largest value; None where not known."""
        active_s = covered_s = 0.0
        largest = 0.0
        for window in windows:
            for (t0, v0), (t1, v1) in self._joined(index, window):
                duration_s = min(t1, window[1]) - max(t0, window[0])
                covered_s += duration_s
                if v0 > 0:
                    active_s += duration_s
                largest = max(largest, v0, v1 if t1 <= window[1] else 0.0)
        return (active_s / covered_s, largest) if covered_s > 0 else None

    def _joined(self, index: int, window: Window) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
        """Yield neighbouring readings that were not missing, as far as they reach into a window."""
        start, end = window
        times, column = self.times, self._columns[index]
        first = bisect_right(times, start) - 1
        while first > 0 and math.isnan(column[first]):
            first -= 1
        previous: tuple[float, float] | None = None
        for position in range(max(first, 0), len(times)):
            time_s, value = times[position], column[position]
            if math.isnan(value):
                continue
            reaches = previous is not None and time_s > start and previous[0] < end
            if previous is not None and reaches and 0 < time_s - previous[0] <= _GAP * self.interval_s:
                yield previous, (time_s, value)
            previous = time_s, value
            if time_s >= end:
                return
