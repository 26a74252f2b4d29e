"""Sending a load to a running server, and what is to be known of it afterwards."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pytest_thor.cell import Workload
from pytest_thor.serving.asked import Asked
from pytest_thor.serving.backlog import Backlog
from pytest_thor.serving.client import Client
from pytest_thor.serving.connection import allow_sockets, look_up
from pytest_thor.serving.course import Callbacks, Limits, Run, quiet_collector
from pytest_thor.serving.evidence import ClientNotes
from pytest_thor.serving.exchange import Fault
from pytest_thor.serving.load import Load, PlannedRequest
from pytest_thor.serving.load_result import LoadResult, result_of
from pytest_thor.serving.metrics import failures
from pytest_thor.serving.queue import RequestQueue
from pytest_thor.serving.request_bytes import request_bytes
from pytest_thor.serving.target import Dialect, Target
from pytest_thor.serving.trace import Trace

__all__ = ["Dialect", "LoadResult", "Target", "Warmed", "may_cache", "run_load", "warm_up"]

REQUEST_TIMEOUT_S = 600.0
_NO_LIMIT_S = 1e9
_READY_REQUESTS = 256
_READY_CONNECTIONS = 16
"""Connections opened ahead where the load has no limit of its own."""

Tell = Callable[[str, "float | None"], None]
Encode = Callable[[PlannedRequest], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmed:
    """How the warm-up requests went; ``result`` is there where the load ends with them."""

    traces: tuple[Trace, ...] = ()
    result: LoadResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bounds:
    request_timeout_s: float
    deadline_ns: int
    server_died: Callable[[], str | None]


def run_load(
    load: Load,
    workload: Workload,
    target: Target,
    *,
    on_progress: Tell,
    server_died: Callable[[], str | None],
    timeout_s: float | None = None,
    request_timeout_s: float = REQUEST_TIMEOUT_S,
) -> LoadResult:
    """Send the warm-up requests, then the measured ones, and return what came back; bad answers raise nothing.

    ``on_progress`` gets a step and the output tokens per second so far, about twice a second. ``server_died`` is
    asked as often; what it says ends the load. ``timeout_s`` bounds the whole load, ``request_timeout_s`` one request.
    """
    asked = Asked.of(workload)
    bounds = _bounds(server_died, timeout_s, request_timeout_s)
    try:
        address = look_up(target.host, target.port, tls=target.tls)
    except OSError as error:
        return _not_found(target, error)
    allow_sockets(load.max_concurrency or 0)
    encode = _encoder(load, asked, target)
    with contextlib.closing(Client(address, keeps=target.keeps_connections)) as client:
        warmed = _warm_up(client, encode, bounds, load=load, target=target, on_progress=on_progress)
        if warmed.result is not None:
            return warmed.result
        backlog = Backlog(target)
        run, cpu_s = _measure(client, encode, backlog, bounds, load=load, target=target, on_progress=on_progress)
        notes = ClientNotes(
            cpu_s=cpu_s,
            peak_concurrency=run.peak_concurrency,
            connections=client.opened,
            retried=client.retried,
            stamped_by_kernel=client.clock.by_kernel,
            stamped_by_client=client.clock.by_client,
        )
    traces = backlog.traces()
    ended_ns = max((trace.ended_ns for trace in traces), default=run.started_ns)
    return result_of(
        load,
        asked,
        traces=traces,
        warmup=warmed.traces,
        started_ns=run.started_ns,
        duration_s=(ended_ns - run.started_ns) / 1e9,
        notes=notes,
        stopped=run.stopped,
    )


def warm_up(
    load: Load,
    workload: Workload,
    target: Target,
    *,
    on_progress: Tell,
    server_died: Callable[[], str | None],
    timeout_s: float,
) -> Warmed:
    """Send a load's warm-up requests alone, for a client that shall not send them; as :func:`run_load`."""
    try:
        address = look_up(target.host, target.port, tls=target.tls)
    except OSError as error:
        return Warmed(result=_not_found(target, error))
    encode = _encoder(load, Asked.of(workload), target)
    bounds = _bounds(server_died, timeout_s, REQUEST_TIMEOUT_S)
    with contextlib.closing(Client(address, keeps=target.keeps_connections)) as client:
        return _warm_up(client, encode, bounds, load=load, target=target, on_progress=on_progress)


def _bounds(server_died: Callable[[], str | None], timeout_s: float | None, request_timeout_s: float) -> _Bounds:
    return _Bounds(
        request_timeout_s=request_timeout_s,
        deadline_ns=time.perf_counter_ns() + int((timeout_s or _NO_LIMIT_S) * 1e9),
        server_died=server_died,
    )


def _not_found(target: Target, error: OSError) -> LoadResult:
    return LoadResult(failure=f"{target.host}:{target.port} cannot be looked up: {error.strerror or error}")


def may_cache(load: Load, asked: Asked) -> bool | None:
    """Tell whether a server may take prompts from its cache; None leaves that to the server."""
    return load.prefix_cache if load.prefix_cache or asked.fresh_prompts else None


def _encoder(load: Load, asked: Asked, target: Target) -> Encode:
    return partial(request_bytes, target=target, api=asked.api, salt=load.salt, prefix_cache=may_cache(load, asked))


def _warm_up(
    client: Client, encode: Encode, bounds: _Bounds, *, load: Load, target: Target, on_progress: Tell
) -> Warmed:
    on_progress(f"warm-up, requests 0/{len(load.warmup)}", None)
    backlog = Backlog(target)
    queue = RequestQueue(load.warmup, encode, ready=len(load.warmup))
    run = _drive(client, queue, backlog, bounds, slots=load.max_concurrency or 1)
    traces = tuple(backlog.traces())
    if run.stopped is None:
        return Warmed(traces=traces)
    evidence = {"seed": load.seed, "warmup": failures(traces)}
    return Warmed(traces=traces, result=LoadResult(failure=f"in warm-up: {run.stopped.detail}", evidence=evidence))


def _measure(
    client: Client,
    encode: Encode,
    backlog: Backlog,
    bounds: _Bounds,
    *,
    load: Load,
    target: Target,
    on_progress: Tell,
) -> tuple[Run, float]:
    """Send the measured requests with everything ready beforehand; return how it went and this process's CPU time."""
    slots = load.max_concurrency
    queue = RequestQueue(load.requests, encode, ready=max(_READY_REQUESTS, 2 * (slots or 0)))
    if target.keeps_connections:
        client.open(min(slots or _READY_CONNECTIONS, load.count or _READY_CONNECTIONS))
    with quiet_collector():
        cpu_s = time.process_time()
        tell = _teller(on_progress, load)
        run = _drive(client, queue, backlog, bounds, slots=slots, duration_s=load.duration_s, tell=tell)
        return run, time.process_time() - cpu_s


def _drive(
    client: Client,
    queue: RequestQueue,
    backlog: Backlog,
    bounds: _Bounds,
    *,
    slots: int | None,
    duration_s: float | None = None,
    tell: Callable[[Backlog], None] = lambda _: None,
) -> Run:
    limits = Limits(
        slots=slots,
        duration_s=duration_s,
        request_timeout_s=bounds.request_timeout_s,
        deadline_ns=bounds.deadline_ns,
    )
    callbacks = Callbacks(
        over=backlog.take,
        idle=lambda: queue.make_one() or backlog.read_one(),
        progress=lambda: tell(backlog),
        server_died=bounds.server_died,
    )
    run = client.run(queue, limits, callbacks)
    if run.stopped is None and backlog.broken and (said := bounds.server_died()) is not None:
        run.stopped = Fault(cause="server-died", detail=said)  # too soon to be noticed on the way
    return run


def _teller(on_progress: Tell, load: Load) -> Callable[[Backlog], None]:
    """Tell of progress; the speed is that of the requests that are over, since the others are not decoded yet."""
    started_s = time.perf_counter()
    of = "" if load.count is None else f"/{load.count}"

    def tell(backlog: Backlog) -> None:
        elapsed_s = time.perf_counter() - started_s
        rate_tps = backlog.tokens_asked / elapsed_s if backlog.tokens_asked else None
        on_progress(f"requests {backlog.finished}{of}", rate_tps)

    return tell
