"""Which launches of an earlier run a resumed one takes over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from pytest_thor.journal import Entry, Made
from pytest_thor.judge.plausibility import implausible
from pytest_thor.measurement import Launch
from pytest_thor.report.document import CellRecord
from pytest_thor.units import counted


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


def told(records: Sequence[CellRecord], before: Collection[Made], journal: Path) -> list[str]:
    """Say how many launches of these cells were in the journal before the run; nothing where none was."""
    taken = [
        (record, launch.started_at)
        for record in records
        for launch in (*record.launches, *record.reference_launches)
        if Made(matrix=record.matrix, cell=record.id, device=record.device, started_at=launch.started_at) in before
    ]
    if not taken:
        return []
    cells = {(record.matrix, record.id, record.device) for record, _ in taken}
    launches = "1 launch" if len(taken) == 1 else f"{len(taken)} launches"
    oldest = min(started_at for _, started_at in taken)
    since = oldest[:16].replace("T", " ")
    cells_told = counted(len(cells), "cell")
    return [f"Resumed: {launches} of {cells_told} taken over from {journal}, the oldest of {since} UTC."]
