"""When the repetitions of one test ran by a clock that is not the engine's, and whether its figures agree with it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from pytest_thor.engines.bench_rows import BenchTest, Row
from pytest_thor.units import format_significant

_FASTER = 1.5
"""Claims of less than the observed time divided by this are doubted; tokens counted twice claim half of it."""
_DELAY_S, _DELAY_WITH_DEPTH_S = 0.05, 0.5
"""What a repetition may seem to take longer than it did: a line read late; at a depth, the memory put back too."""
_LEAST_REPETITIONS = 2
"""Of one repetition alone, a line that was read late cannot be told from a lie."""


class RepetitionClock:
    """Reads when each repetition of a test began and ended off the lines that the engine prints meanwhile.

    An engine prints a line right before it times a repetition; the next line or row comes after its end. Lines are
    stamped as they are read, so that a busy reader makes a repetition seem late, and one before it long.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._begun_s: list[float] = []
        self._ended_s: list[float] = []

    def line(self, *, begins: bool) -> None:
        """Take a line of progress; ``begins`` says that a timed repetition begins with it."""
        self.row()
        if begins:
            self._begun_s.append(self._now_s())

    def row(self) -> None:
        """Take the row: whatever was timed is over."""
        if len(self._ended_s) < len(self._begun_s):
            self._ended_s.append(self._now_s())

    def observed_s(self) -> tuple[float, ...]:
        """Return how long each repetition took at most, in seconds; empty where the engine told of none."""
        return tuple(ended - begun for begun, ended in zip(self._begun_s, self._ended_s, strict=False))

    def windows(self, row: Row) -> tuple[tuple[float, float], ...]:
        """Return when each repetition ran: from its line of progress on, as long as the row says.

        Without those lines only a test at no depth is known: its repetitions end with the row.
        """
        durations_s = [duration_ns / 1e9 for duration_ns in row.samples_ns or ()]
        if not all(duration_s > 0 for duration_s in durations_s):
            return ()  # whatever was timed, it was not this
        if durations_s and len(self._begun_s) == len(durations_s):
            return tuple((begin, begin + taken) for begin, taken in zip(self._begun_s, durations_s, strict=True))
        if durations_s and not row.n_depth:
            now = self._now_s()
            return ((now - sum(durations_s), now),)
        return ()


def contradiction(name: str, test: BenchTest, speeds_tps: Sequence[float], observed_s: Sequence[float]) -> str | None:
    """Return why an engine's speeds cannot be: it claims far less time than went by, in every single repetition.

    In all of them, since one or another may have been read late. Work that is left out while its time is told
    truthfully cannot be seen here: that is the business of the physical limit.
    """
    if len(observed_s) != len(speeds_tps) or len(observed_s) < _LEAST_REPETITIONS:
        return None
    delay_s = _DELAY_WITH_DEPTH_S if test.n_depth else _DELAY_S
    claimed_s = [test.tokens / speed if math.isfinite(speed) and speed > 0 else math.inf for speed in speeds_tps]
    pairs = list(zip(claimed_s, observed_s, strict=True))
    if not all(observed > _FASTER * claimed and observed - claimed > delay_s for claimed, observed in pairs):
        return None
    told, seen = (format_significant(math.fsum(each), 3) for each in (claimed_s, observed_s))
    return (
        f"{name} claims {told} s for {len(pairs)} repetitions of {test}, and they took {seen} s from their first line "
        "to their last: most likely tokens were miscounted, or its clock is wrong"
    )
