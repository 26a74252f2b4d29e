"""Which launches of an earlier run a resumed one takes over."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_thor.journal import Entry
from pytest_thor.judge.plausibility import implausible
from pytest_thor.measurement import Launch


def taken_over(
    own: Sequence[Entry], beside: Sequence[Entry] | None, *, counts: Callable[[Launch], bool]
) -> list[tuple[Launch, Launch | None]]:
    """Return a cell's launches that count again, each with that of the reference engine where there is one.

    ``counts`` tells of each whether it does. One that failed or was invalid should not: what spoiled it (a network,
    heat, a neighbour) may have passed, and what has not will show again. Of a pair both must count. Its two launches
    have one number: where a run ended between them, the one that was made has no partner.
    """
    if beside is None:
        return [(entry.launch, None) for entry in own if counts(entry.launch)]
    rivals = {entry.number: entry.launch for entry in beside}
    return [
        (entry.launch, rivals[entry.number])
        for entry in own
        if entry.number in rivals and counts(entry.launch) and counts(rivals[entry.number])
    ]


def is_sound(launch: Launch) -> bool:
    """Tell whether a launch measured, and nothing in what it reported speaks against its figures."""
    if launch.failure is not None or launch.doubts:
        return False
    return not any(implausible(metric, samples) for metric, samples in launch.samples.items())


def last_number(*sides: Sequence[Entry]) -> int:
    """Return the highest number that a launch of these has, 0 where there is none."""
    return max((entry.number for entries in sides for entry in entries), default=0)
