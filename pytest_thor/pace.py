"""How fast a run goes: what its launches took, what is left of its budget, and when it will probably end."""

from __future__ import annotations

import time


class Pace:
    """Counts launches and their seconds; the budget runs from the first launch on."""

    def __init__(self, budget_s: float | None) -> None:
        self._budget_s = budget_s
        self._started: float | None = None
        self._launches = 0
        self._spent_s = 0.0

    @property
    def is_limited(self) -> bool:
        """Whether there is a budget at all."""
        return self._budget_s is not None

    def begin(self) -> None:
        """Let the budget run, if it does not run yet."""
        if self._started is None:
            self._started = time.monotonic()

    def took(self, seconds: float) -> None:
        """Count one launch."""
        self._launches += 1
        self._spent_s += seconds

    def affords(self, seconds: float) -> bool:
        """Tell whether so many seconds more fit into the budget."""
        if self._budget_s is None or self._started is None:
            return True
        return time.monotonic() - self._started + seconds <= self._budget_s

    def estimate_s(self, launches: int) -> float | None:
        """Return how long so many launches more will probably take, or None before the first."""
        return launches * self._spent_s / self._launches if self._launches else None
