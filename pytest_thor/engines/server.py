"""A server of our own: started on loopback, waited for, watched, and stopped with all that it started."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pytest_thor.engines import ports
from pytest_thor.engines.background import Background, background
from pytest_thor.engines.http_get import Answer, Place, get
from pytest_thor.engines.server_memory import forget_peak, look, peak_bytes
from pytest_thor.errors import EngineFailure
from pytest_thor.units import format_duration

GRACE_S = 10.0
"""Seconds that a server has to end by itself when it is asked to."""
_TRIES = 3
_END_IS_TOLD_S = 5.0
_REASON_BYTES = 65536
_MEMORY = re.compile(r"out of memory|OutOfMemory|failed to allocate|cannot allocate|bad_alloc", re.IGNORECASE)
_ERROR = re.compile(r"(Error|Exception)\b: |\berror\b\s*:|\bfailed to\b|\bcouldn't\b| E ", re.IGNORECASE)
_NOT_THE_CAUSE = re.compile(r"See root cause above|exiting due to|resource_tracker")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOrder:
    """How a server is started: its command for a port, and the route by which it says that it is ready.

    ``port`` is None for a free one. ``environment`` is added to this process's; a variable that is None is taken
    away.
    """

    name: str
    command: Callable[[int], Sequence[str]]
    host: str = "127.0.0.1"
    port: int | None = None
    health: str = "/health"
    environment: Mapping[str, str | None] = field(default_factory=dict)


class Server:
    """A server that is ready; made by :func:`running`."""

    def __init__(self, order: ServerOrder, command: Sequence[str], process: Background, place: Place) -> None:
        self.name = order.name
        self.command = tuple(command)
        self.place = place
        self.load_s = 0.0
        """Seconds from its start until it said that it is ready."""
        self._health = order.health
        self._process = process
        self._load_peak_bytes: int | None = None
        self._forgets = False

    def died(self) -> str | None:
        """Say how it ended, or return None while it runs."""
        ending = self._process.wait(0)
        return None if ending is None else ended(self._process, self.name)

    def gone(self) -> str | None:
        """As ``died``, but sure: where it does not answer, its end is waited for, since that is told a little later."""
        if not get(self.place, self._health).ok:
            self._process.wait(_END_IS_TOLD_S)
        return self.died()

    def log_tail(self) -> str:
        """Return the end of what it printed."""
        return self._process.printed()

    def begin_load(self) -> None:
        """Count the peak of its memory from here on, apart from that of loading the model."""
        pids = [process.pid for process in self._process.processes()]
        peak = peak_bytes(filter(None, map(look, pids)))
        if self._load_peak_bytes is None:
            self._load_peak_bytes = peak
        forgotten = [forget_peak(pid) for pid in pids]
        self._forgets = all(forgotten)

    def memory(self) -> dict[str, int | bool | None]:
        """Return the peaks in bytes: while it loaded, since the load began, and the higher of the two."""
        pids = [process.pid for process in self._process.processes()]
        peak = peak_bytes(filter(None, map(look, pids)))
        known = [each for each in (peak, self._load_peak_bytes) if each is not None]
        return {
            "peak_bytes": max(known, default=None),
            "loading_peak_bytes": self._load_peak_bytes,
            "serving_peak_bytes": peak,
            "serving_apart_from_loading": self._forgets,
            "processes": len(pids),
        }


@contextmanager
def running(order: ServerOrder, *, deadline: float, on_step: Callable[[str], None]) -> Iterator[Server]:
    """Start a server, wait until it is ready (until ``deadline`` of the monotonic clock), and stop it on leaving.

    A free port that another program takes before the server does costs a second try.

    Raises:
        EngineFailure: it ended or was not ready in time, or the port that the user chose cannot be had.
    """
    for attempt in range(1, _TRIES + 1):
        port = order.port or ports.free_port(order.host)
        if order.port and (obstacle := ports.obstacle(order.host, port)):
            raise EngineFailure(
                f"{order.name}: {obstacle}. End what holds it, choose another `port`, or leave it out for a free one."
            )
        command = order.command(port)
        with background(command, environment=_environment(order), grace_s=GRACE_S) as process:
            place = Place(host=_reachable(order.host), port=port)
            server = Server(order, command, process, place)
            if not _wait(server, process, order, deadline=deadline, on_step=on_step):
                if attempt < _TRIES and not order.port:
                    continue
                raise EngineFailure(f"{order.name}: port {port} was taken while it started", log_tail=process.printed())
            yield server
            return


def ended(process: Background, name: str) -> str:
    """Say how a server ended, and what its log gives as the reason."""
    ending = process.wait(0)
    assert ending is not None
    said = reason(process.printed(_REASON_BYTES))
    return ending.sentence(name, 0) + (f": {said}" if said else "")


def reason(log: str) -> str | None:
    """Return the line of a log that most likely says why its program ended: memory first, then the last error."""
    lines = [line.strip() for line in log.splitlines() if line.strip() and not _NOT_THE_CAUSE.search(line)]
    for pattern in (_MEMORY, _ERROR):
        found = [line for line in lines if pattern.search(line)]
        if found:
            return found[-1][:300]
    return lines[-1][:300] if lines else None


def _wait(
    server: Server, process: Background, order: ServerOrder, *, deadline: float, on_step: Callable[[str], None]
) -> bool:
    """Wait until it is ready; return False where another program has its port."""
    begin = time.monotonic()
    answer = Answer(status=None, body="nothing was asked yet")
    shown_s = -1.0
    while True:
        waited_s = time.monotonic() - begin
        if process.wait(0) is not None:
            if ports.TAKEN.search(process.printed()):
                return False
            raise EngineFailure(
                f"{ended(process, order.name)} (after {format_duration(waited_s)} of loading)",
                log_tail=process.printed(),
            )
        if time.monotonic() >= deadline:
            raise EngineFailure(
                f"{order.name} was not ready after {format_duration(waited_s)} and was stopped; its last answer to "
                f"{order.health}: {answer}. A larger `timeout` of the backend gives it longer.",
                log_tail=process.printed(),
            )
        answer = get(server.place, order.health, timeout_s=min(5.0, max(deadline - time.monotonic(), 0.1)))
        if answer.ok:
            server.load_s = time.monotonic() - begin
            return ports.listens(process.processes(), server.place.port)
        if waited_s >= shown_s + 1:
            shown_s = waited_s
            on_step(f"{order.name} loads the model, {format_duration(waited_s)}")
        # A fiftieth of the time waited: load_s is right within 2 %, and a long load is hardly disturbed.
        process.wait(min(max(waited_s / 50, 0.01), 0.5, max(deadline - time.monotonic(), 0)))


def _environment(order: ServerOrder) -> dict[str, str]:
    merged: dict[str, str | None] = {**os.environ, **order.environment}
    return {name: value for name, value in merged.items() if value is not None}


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared with, not bound to
