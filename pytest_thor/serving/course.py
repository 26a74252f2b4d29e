"""The course of a run of the client: how far it goes, whom it tells, how it went, and what is minded beside reading."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pytest_thor.serving.exchange import Exchange, Fault

NS = 1_000_000_000
UPKEEP_NS = NS // 10
"""How often a run is looked after."""

_ASK_NS = NS // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far a run goes.

    ``slots`` requests are open at a time at most, None is no limit. None is sent after ``duration_s``; those that are
    open then are waited for. ``request_timeout_s`` bounds each request, ``deadline_ns`` (``perf_counter_ns``) the run.
    """

    slots: int | None
    duration_s: float | None
    request_timeout_s: float
    deadline_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """Whom the client asks and tells while it runs.

    ``over`` gets each exchange as it ends; it must be quick. ``idle`` does a little of what can wait, once there is
    nothing to read, and returns whether there was any. ``progress`` and ``server_died`` are called twice a second; the
    latter says why the server is gone, or None.
    """

    over: Callable[[Exchange], None]
    idle: Callable[[], bool]
    progress: Callable[[], None]
    server_died: Callable[[], str | None]


@dataclass(slots=True, kw_only=True)
class Run:
    """How a run went; times are ``perf_counter_ns``. ``stopped`` says why it was cut short, or is None."""

    started_ns: int
    over: Callable[[Exchange], None]
    finished: int = 0
    peak_concurrency: int = 0
    stopped: Fault | None = None

    def end(self, exchange: Exchange) -> None:
        """Hand over an exchange that ended."""
        self.finished += 1
        self.over(exchange)


class Upkeep:
    """What a run does a few times a second beside reading: mind its deadline, ask for the server, tell of progress."""

    def __init__(self, run: Run, limits: Limits, callbacks: Callbacks) -> None:
        self._limits, self._callbacks = limits, callbacks
        self.next_ns = run.started_ns + UPKEEP_NS
        self._ask_ns = run.started_ns + _ASK_NS

    def look(self, now_ns: int) -> Fault | None:
        """Return why the run must stop, if it must."""
        self.next_ns = now_ns + UPKEEP_NS
        if now_ns > self._limits.deadline_ns:
            return Fault(cause="run-timeout", detail="the whole load took longer than it may")
        if now_ns >= self._ask_ns:
            self._ask_ns = now_ns + _ASK_NS
            self._callbacks.progress()
            said = self._callbacks.server_died()
            if said is not None:
                return Fault(cause="server-died", detail=said)
        return None


@contextlib.contextmanager
def quiet_collector() -> Iterator[None]:
    """Keep the garbage collector from running; what lives now is not looked at again."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()
