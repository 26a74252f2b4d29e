"""A run that is struck again and again, resumed each time, and at last left in peace; each is checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.faults.checks import COLUMNS, Findings, check, check_whole
from tests.faults.scene import Ended, Scene
from tests.faults.strikes import Fault
from tests.faults.undisturbed import undisturbed


@dataclass(slots=True, kw_only=True)
class Tally:
    """What one kind of fault did: how often it struck, and what did not hold, by column."""

    fault: str
    strikes: int = 0
    missed: int = 0
    runs_completed: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COLUMNS, 0))
    told: list[str] = field(default_factory=list)

    def add(self, at: str, findings: Findings) -> None:
        """Count what one check found."""
        for column, found in findings.by_column.items():
            self.counts[column] += len(found)
        if findings:
            self.told.append(f"{self.fault}; {at}:\n{findings}")


def suffer(
    scene: Scene,
    faults: Sequence[Fault],
    random: Random,
    *,
    strikes: int,
    name: str | None = None,
    on_step: Callable[[str], None] = lambda _: None,
) -> Tally:
    """Strike runs of a scene so many times, each time with one of the faults, and resume each time.

    A run that is done is checked and begun anew; the last one is left in peace and checked too.
    """
    tally = Tally(fault=name or faults[0].name)
    undisturbed(scene)
    scene.anew()
    in_this_run = 0
    while tally.strikes < strikes and tally.missed < strikes + 10:
        before = scene.finished
        fault = random.choice(faults)
        points, ended, findings = _struck(scene, fault, random, faults=in_this_run)
        tally.strikes += len(points)
        tally.missed += not points
        in_this_run += len(points)
        said = ", ".join(points) or f"{fault.name}, and the run had ended before"
        tally.add(said, findings)
        on_step(f"{said}; {len(scene.finished) - len(before)} launches, exit status {ended.code}")
        if len(scene.finished) >= scene.total and tally.strikes < strikes:
            _leave_in_peace(scene, tally)
            scene.anew()
            in_this_run = 0
    _leave_in_peace(scene, tally)
    return tally


def _struck(scene: Scene, fault: Fault, random: Random, *, faults: int) -> tuple[list[str], Ended, Findings]:
    before = scene.finished
    with fault.around(scene, random) as start:
        running = scene.start("--thor-resume", *start.arguments, environment=start.environment, wrapper=start.wrapper)
        points = fault.strike(running, scene, random)
        ended = running.end()
        expected = fault.expected
        if not points:  # nothing went wrong
            expected = type(expected)(statuses=expected.statuses | {0, 1}, words=("",))
        findings = check(scene, ended, expected=expected, finished_before=before, faults=faults + len(points))
    return points, ended, findings


def _leave_in_peace(scene: Scene, tally: Tally) -> None:
    before = scene.finished
    ended = scene.start("--thor-resume").end()
    tally.add("in peace", check_whole(scene, ended, finished_before=before, peace=undisturbed(scene)))
    tally.runs_completed += 1
