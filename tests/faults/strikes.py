"""The faults of a run's parts: which is killed, stopped or starved, when, and what may follow."""

from __future__ import annotations

import math
import os
import resource
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import ClassVar, Protocol

from tests.faults.checks import Expected
from tests.faults.scene import Part, Running, Scene

GOES_WELL = frozenset({0, 1})
_STARTUP_S = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a fault needs of the run that it strikes, beside ``--thor-resume``."""

    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    wrapper: tuple[str, ...] = ()


class Fault(Protocol):
    """One kind of fault."""

    @property
    def name(self) -> str:
        """What a table calls it."""

    @property
    def expected(self) -> Expected:
        """What may follow."""

    @contextmanager
    def around(self, scene: Scene, random: Random) -> Iterator[Start]:
        """Prepare for a run, and undo afterwards what the fault did to the machine."""

    def strike(self, running: Running, scene: Scene, random: Random) -> list[str]:
        """Strike at a random point, or several, and say of each when and what; nothing where the run ended before."""


def point(running: Running, scene: Scene, random: Random, *, starting: bool = True) -> str | None:
    """Wait for a random point in a run's life: while it starts, in or after any launch, or while it writes its report.

    Without ``starting`` a run that has not begun to measure is spared. Returns when that was, or None where the run
    ended before.
    """
    left = scene.total - len(scene.finished)
    choice = random.random()
    if starting and choice < 0.25:
        moment_s = random.uniform(0.0, _STARTUP_S)
        return f"after {moment_s:.3f} s" if _sleep(running, moment_s) else None
    late = choice > 0.85 and left <= 8
    wanted = len(scene.journal) + (left if late else random.randrange(max(min(left, 5), 1)))
    # The device's lock is taken before anything of the engine starts, and a journal line follows each launch.
    if not running.wait_for(lambda: len(scene.journal) >= wanted and running.has_lock(scene.locks)):
        return None
    moment_s = random.uniform(0.0, 0.2)
    return f"{moment_s:.3f} s after line {wanted} of the journal" if _sleep(running, moment_s) else None


def _sleep(running: Running, seconds: float) -> bool:
    time.sleep(seconds)
    return running.alive


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One part gets a signal that ends it."""

    part: Part
    number: signal.Signals

    @property
    def name(self) -> str:
        """What a table calls it."""
        return f"{self.number.name} to {_named(self.part)}"

    @property
    def expected(self) -> Expected:
        """What may follow."""
        if self.part == "pytest" and self.number == signal.SIGKILL:
            return Expected(statuses=frozenset({-signal.SIGKILL}), words=(), orderly=False)
        if self.part == "pytest":
            # While Python starts nobody is there to take a signal in order, or to say something; one that comes while
            # the report is written is not heeded.
            return Expected(statuses=frozenset({0, 1, 2, -self.number}), words=("KeyboardInterrupt", ""))
        if self.part == "worker":
            return Expected(statuses=frozenset({0, 1, 2, 8}), words=("crashed", "keyboard-interrupt"))
        return Expected(statuses=frozenset({0, 1, 8, 9}), words=("llama-bench",))

    @contextmanager
    def around(self, scene: Scene, random: Random) -> Iterator[Start]:  # noqa: ARG002 - the protocol's
        """Have workers where one is to be struck."""
        yield Start(arguments=("-n", "1") if self.part == "worker" else ())

    def strike(self, running: Running, scene: Scene, random: Random) -> list[str]:
        """Wait for the part too, should it not be there at the random point."""
        # A worker that dies before it is one is xdist's own business.
        at = point(running, scene, random, starting=self.part != "worker")
        if at is None or not running.wait_for(lambda: running.parts(self.part)):
            return []
        return [f"{self.name} {at}"] if self.send(running) else []

    def send(self, running: Running) -> bool:
        """Send the signal to the part that is there; False where it is gone."""
        for pid in running.parts(self.part)[:1]:
            with suppress(ProcessLookupError):
                os.kill(pid, self.number)
                return True
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class KillTogether:
    """pytest and its supervisor are killed at once: nobody is left who could end what the engine started."""

    name: ClassVar[str] = "SIGKILL to pytest and the supervisor at once"
    expected: ClassVar[Expected] = Expected(
        statuses=frozenset({-signal.SIGKILL}), words=("",), orderly=False, leaves_orphans=True
    )

    @contextmanager
    def around(self, scene: Scene, random: Random) -> Iterator[Start]:  # noqa: ARG002 - the protocol's
        """Need nothing."""
        yield Start()

    def strike(self, running: Running, scene: Scene, random: Random) -> list[str]:
        """Stop pytest first, so that it cannot see its supervisor end."""
        at = point(running, scene, random)
        if at is None or not running.wait_for(lambda: running.parts("supervisor")):
            return []
        with suppress(ProcessLookupError):
            os.kill(running.pid, signal.SIGSTOP)
        for pid in (*running.parts("supervisor"), running.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return [f"{self.name} {at}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One part is stopped for a while, once or (``share`` of its time) for the rest of its life."""

    part: Part
    longest_s: float = 1.0
    share: float | None = None

    @property
    def name(self) -> str:
        """What a table calls it."""
        return f"{_named(self.part)} is {'stopped' if self.share is None else f'starved to {1 - self.share:.0%}'}"

    @property
    def expected(self) -> Expected:
        """What may follow: nothing."""
        return Expected(statuses=GOES_WELL, words=())

    @contextmanager
    def around(self, scene: Scene, random: Random) -> Iterator[Start]:  # noqa: ARG002 - the protocol's
        """Have workers where one is to be struck."""
        yield Start(arguments=("-n", "1") if self.part == "worker" else ())

    def strike(self, running: Running, scene: Scene, random: Random) -> list[str]:
        """Stop, wait, and let go on."""
        at = point(running, scene, random)
        if at is None or not running.wait_for(lambda: running.parts(self.part)):
            return []
        if self.share is None:
            seconds = random.uniform(0.0, self.longest_s)
            _stop(running.parts(self.part)[:1], seconds)
            return [f"{self.name} {at}, for {seconds:.3f} s"]
        while running.alive:
            _stop(running.parts(self.part), 0.05 * self.share)
            time.sleep(0.05 * (1 - self.share))
        return [f"{self.name} {at}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Volley:
    """An engine or its supervisor is killed, a few times in one run or not at all, and then pytest itself."""

    name: str
    before: Sequence[Kill]
    last: Sequence[Kill]
    most: int

    @property
    def expected(self) -> Expected:
        """What may follow: pytest's end, or that of a run which lost an engine and was over before pytest's turn."""
        each = [kill.expected for kill in (*self.before, *self.last)]
        statuses = frozenset[int]().union(*(one.statuses for one in each))
        return Expected(statuses=statuses, words=("llama-bench", "KeyboardInterrupt", ""))

    @contextmanager
    def around(self, scene: Scene, random: Random) -> Iterator[Start]:  # noqa: ARG002 - the protocol's
        """Need nothing."""
        yield Start()

    def strike(self, running: Running, scene: Scene, random: Random) -> list[str]:
        """Strike as long as the run lives."""
        chosen = [random.choice(self.before) for _ in range(random.randint(0, self.most))]
        points = []
        for kill in (*chosen, random.choice(self.last)):
            points += kill.strike(running, scene, random)
        return points


def _stop(pids: list[int], seconds: float) -> None:
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        if number == signal.SIGSTOP:
            time.sleep(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit falls on pytest, and on all that it starts from then on: the size of a file, or how many may be open.

    It stays, or is lifted after ``longest_s`` at most.
    """

    kind: int
    least: int
    most: int
    name: str
    words: tuple[str, ...]
    starting: bool
    longest_s: float | None = None

    @property
    def expected(self) -> Expected:
        """What may follow."""
        return Expected(statuses=frozenset({1, 2, 4, 8, 9}), words=self.words)

    @contextmanager
    def around(self, scene: Scene, random: Random) -> Iterator[Start]:  # noqa: ARG002 - the protocol's
        """Need nothing: the limit dies with its process."""
        yield Start()

    def strike(self, running: Running, scene: Scene, random: Random) -> list[str]:
        """Set a limit, more often a low one than a high."""
        at = point(running, scene, random, starting=self.starting)
        if at is None:
            return []
        limit = round(math.exp(random.uniform(math.log(self.least), math.log(self.most))))
        with suppress(ProcessLookupError):
            before = resource.prlimit(running.pid, self.kind)
            resource.prlimit(running.pid, self.kind, (limit, before[1]))
            if self.longest_s is None:
                return [f"{self.name} {at}, {limit}"]
            seconds = random.uniform(0.0, self.longest_s)
            time.sleep(seconds)
            resource.prlimit(running.pid, self.kind, before)
            return [f"{self.name} {at}, {limit} for {seconds:.3f} s"]
        return []


def files_cut() -> Limit:
    """No file may grow beyond a few bytes: what a full quota looks like, and what it leaves."""
    words = ("journal.jsonl", "cannot write", "cannot be written", "File too large")
    return Limit(
        kind=resource.RLIMIT_FSIZE, least=4096, most=700_000, name="files cannot grow", words=words, starting=True
    )


def few_descriptors() -> Limit:
    """Hardly any file may be opened for a while. A Python that starts is spared: it could not even import."""
    return Limit(
        kind=resource.RLIMIT_NOFILE,
        least=8,
        most=24,
        name="too many open files",
        words=("Too many open files",),
        starting=False,
        longest_s=0.5,
    )


def _named(part: Part) -> str:
    return {"worker": "an xdist worker"}.get(part, "pytest" if part == "pytest" else f"the {part}")
