"""The client's hot path: one thread, non-blocking sockets under epoll, and nothing decoded while the clock runs.

Why by hand: ``benchmarks/serving_client.py`` against a server with known send times, on 2 cores of an AMD EPYC that
the server and other work share; medians of 5 rounds, 8 streams of 100 tok/s | 128 streams of 30 tok/s:

====================================  ====================  ====================  ================
client                                p99 TTFT lag, ms      p99 ITL error, ms     CPU µs per token
====================================  ====================  ====================  ================
this loop, stamps of the kernel       0.04 | 0.02           0.02 | 0.02           18 | 12
this loop, stamps of its own          0.14 | 0.31           3.6 | 2.2             17 | 12
a bare asyncio Protocol               0.37 | 0.45           3.6 | 1.6             33 | 13
requests.iter_lines in threads        0.68 | 14             2.1 | 16              175 | 198
====================================  ====================  ====================  ================

A busy machine wakes any process late, and so a clock that is read on waking errs by milliseconds; only the kernel's
stamps (:mod:`.arrival_clock`) do not, and asyncio has no way to ask for them. Where the client is woken for each
single token (8 streams spread evenly) it costs more, as asyncio does: most of that is the waking
(docs/serving-metrics.md).

A connection is opened before it is needed and kept for the next request, as clients in production do (and
``vllm bench serve``). Not so with llama-server, which closes a connection right after a stream that it announced as
``Keep-Alive`` (a client that trusts it loses requests), and lets an idle one hold a thread: it gets a new one for each
request. Opening a connection is in no request's latency.
"""

from __future__ import annotations

import contextlib
import select
from collections.abc import Callable
from time import perf_counter_ns

from pytest_thor.serving.arrival_clock import ArrivalClock
from pytest_thor.serving.connection import READ_BYTES, Address, Connection
from pytest_thor.serving.course import NS, UPKEEP_NS, Callbacks, Limits, Run, Upkeep
from pytest_thor.serving.exchange import Exchange, Fault, Outgoing
from pytest_thor.serving.queue import RequestQueue

_REFUSED_PAUSE_NS = 6 * NS // 10
_CONNECT_TIMEOUT_NS = 15 * NS
_OPENING_NS = 5 * NS
RESPONSE_LIMIT_BYTES = 64 * 1024 * 1024
RESPONSE_LIMIT_ARRIVALS = 2_000_000
"""Each costs some hundred bytes beside its own, and it may bring one."""


class Client:
    """Connections to one server, and the loop that sends over them; ``keeps`` them for the next request, or not."""

    def __init__(self, address: Address, *, keeps: bool = True) -> None:
        self.clock = ArrivalClock()
        self.opened = 0
        self.retried = 0
        self._address = address
        self._keeps = keeps
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._idle: list[Connection] = []
        self._busy: dict[Connection, Exchange] = {}
        self._waiting: dict[Connection, tuple[Exchange, bytes, int]] = {}
        self._hold_until_ns = 0

    def close(self) -> None:
        """Close every connection."""
        for connection in list(self._connections.values()):
            self._drop(connection)
        self._epoll.close()

    def open(self, count: int) -> None:
        """Open connections until ``count`` are idle; what cannot be opened now is tried again when it is needed."""
        give_up_ns = perf_counter_ns() + _OPENING_NS
        opening: set[Connection] = set()
        with contextlib.suppress(OSError):
            opening = {self._connect() for _ in range(count - len(self._idle))}
        while any(not (one.is_open or one.is_closed) for one in opening) and perf_counter_ns() < give_up_ns:
            for descriptor, _ in self._epoll.poll(0.05):
                connection = self._connections[descriptor]
                if connection.is_open:
                    self._closed_while_idle(connection)
                else:
                    with contextlib.suppress(OSError):
                        self._advance(connection)

    def run(self, queue: RequestQueue, limits: Limits, callbacks: Callbacks) -> Run:
        """Send the queue's requests and take their responses, to the end of all of them or to a limit."""
        run = Run(started_ns=perf_counter_ns(), over=callbacks.over)
        upkeep = Upkeep(run, limits, callbacks)
        free_ns, finished = run.started_ns, 0
        while True:
            next_ns = self._send_due(run, queue, limits, free_ns)
            if next_ns is None and not self._busy and not self._waiting:
                return run
            wake_ns = upkeep.next_ns if next_ns is None else min(next_ns, upkeep.next_ns)
            now_ns = self._serve_until(run, wake_ns, callbacks.idle)
            if run.finished > finished:
                finished, free_ns = run.finished, now_ns
            if now_ns >= upkeep.next_ns:
                self._give_up_some(run, limits, now_ns)
                fault = upkeep.look(now_ns)
                if fault is not None:
                    self._stop(run, fault)
                    return run

    def _send_due(self, run: Run, queue: RequestQueue, limits: Limits, free_ns: int) -> int | None:
        """Send what may be sent now; return when to look again at the latest, or None where nothing is left."""
        while (outgoing := queue.peek()) is not None:
            now_ns = perf_counter_ns()
            if limits.duration_s is not None and now_ns >= run.started_ns + int(limits.duration_s * NS):
                return None
            due_ns = run.started_ns + int((outgoing.arrival_s or 0.0) * NS)
            earliest_ns = max(due_ns, self._hold_until_ns)
            if earliest_ns > now_ns:
                return earliest_ns
            if limits.slots is not None and len(self._busy) + len(self._waiting) >= limits.slots:
                return now_ns + UPKEEP_NS
            self._start(run, queue.take(), due_ns if outgoing.arrival_s is not None else free_ns)
        return None

    def _start(self, run: Run, outgoing: Outgoing, due_ns: int) -> None:
        exchange = Exchange(
            index=outgoing.index, prompt_len=outgoing.prompt_len, output_len=outgoing.output_len, due_ns=due_ns
        )
        if self._idle:
            self._send(self._idle.pop(), exchange, outgoing.data)
        else:
            self._open_for(run, exchange, outgoing.data)
        run.peak_concurrency = max(run.peak_concurrency, len(self._busy) + len(self._waiting))

    def _open_for(self, run: Run, exchange: Exchange, data: bytes) -> None:
        try:
            connection = self._connect()
        except OSError as error:
            self._cannot_connect(run, exchange, error)
        else:
            self._waiting[connection] = (exchange, data, perf_counter_ns())

    def _send(self, connection: Connection, exchange: Exchange, data: bytes) -> None:
        self._busy[connection] = exchange
        connection.send(exchange, data)
        self._listen(connection)

    def _serve_until(self, run: Run, wake_ns: int, idle: Callable[[], bool]) -> int:
        """Take what arrives until an exchange is over or it is time to look up; return when that was.

        This is the hot path: it runs once for almost every token, from a cold cache. ``idle`` gets its turn where
        nothing has arrived, until it has nothing to do.
        """
        poll, woken, connections = self._epoll.poll, self.clock.woken, self._connections
        finished, may_idle = run.finished, True
        now_ns = perf_counter_ns()
        while now_ns < wake_ns and run.finished == finished:
            ready = poll(0 if may_idle else (wake_ns - now_ns) / NS)
            now_ns = woken()
            for descriptor, _ in ready:
                connection = connections[descriptor]
                if connection.interest != select.EPOLLIN:
                    self._go_on(run, connection)
                elif connection.receive():
                    self._finish(run, connection)
            if may_idle and not ready:
                may_idle = idle()
        return now_ns

    def _go_on(self, run: Run, connection: Connection) -> None:
        """Go on with opening, or with sending a long request; the server may answer it before it has it all."""
        if not connection.is_open:
            self._opened(run, connection)
            return
        connection.go_on_sending()
        self._listen(connection)
        if connection.receive():
            self._finish(run, connection)

    def _finish(self, run: Run, connection: Connection) -> None:
        exchange = self._busy.pop(connection, None)
        if exchange is None:
            self._closed_while_idle(connection)
            return
        if connection.went_stale:
            request = connection.request
            self._drop(connection)
            exchange.retried, exchange.fault, exchange.ended_ns = True, None, None
            self.retried += 1
            self._open_for(run, exchange, request)
            return
        if connection.is_closed or not self._keeps:
            self._drop(connection)
        else:
            connection.release()
            self._idle.append(connection)
        run.end(exchange)

    def _closed_while_idle(self, connection: Connection) -> None:
        self._idle.remove(connection)
        self._drop(connection)

    def _opened(self, run: Run, connection: Connection) -> None:
        try:
            self._advance(connection)
        except OSError as error:
            waiting = self._waiting.pop(connection, None)
            if waiting is not None:
                self._cannot_connect(run, waiting[0], error)
            return
        if connection.is_open and connection in self._waiting:
            exchange, data, _ = self._waiting.pop(connection)
            self._idle.remove(connection)
            self._send(connection, exchange, data)

    def _cannot_connect(self, run: Run, exchange: Exchange, error: OSError) -> None:
        # Nobody listens: the server may be gone. Wait until it was asked, before the next request fails too.
        self._hold_until_ns = perf_counter_ns() + _REFUSED_PAUSE_NS
        cause = "connection-refused" if isinstance(error, ConnectionRefusedError) else "connection-failed"
        self._end(run, exchange, Fault(cause=cause, detail=error.strerror or str(error)))

    def _connect(self) -> Connection:
        connection = Connection(self._address, self.clock)
        self._connections[connection.fileno] = connection
        self._epoll.register(connection.fileno, connection.interest)
        return connection

    def _advance(self, connection: Connection) -> None:
        try:
            connection.advance()
        except OSError:
            self._drop(connection)
            raise
        self._listen(connection)
        if connection.is_open:
            self.opened += 1
            self._idle.append(connection)

    def _listen(self, connection: Connection) -> None:
        if connection.interest != connection.listening:
            self._epoll.modify(connection.fileno, connection.interest)
            connection.listening = connection.interest

    def _drop(self, connection: Connection) -> None:
        if self._connections.pop(connection.fileno, None) is not None:
            self._epoll.unregister(connection.fileno)
            connection.close()

    def _give_up_some(self, run: Run, limits: Limits, now_ns: int) -> None:
        limit_ns = int(limits.request_timeout_s * NS)
        for connection, exchange in list(self._busy.items()):
            many = len(exchange.pieces) > RESPONSE_LIMIT_BYTES // READ_BYTES
            if many and exchange.size_bytes > RESPONSE_LIMIT_BYTES:
                detail = f"the response is larger than {RESPONSE_LIMIT_BYTES} bytes"
                self._abandon(run, connection, Fault(cause="too-large", detail=detail))
            elif len(exchange.pieces) > RESPONSE_LIMIT_ARRIVALS:
                detail = f"the response came in more than {RESPONSE_LIMIT_ARRIVALS} pieces"
                self._abandon(run, connection, Fault(cause="too-large", detail=detail))
            elif exchange.sent_ns is not None and now_ns - exchange.sent_ns > limit_ns:
                detail = f"no end after {limits.request_timeout_s:g} s and {exchange.size_bytes} bytes"
                self._abandon(run, connection, Fault(cause="timeout", detail=detail))
        for connection, (_, _, since_ns) in list(self._waiting.items()):
            if now_ns - since_ns > min(limit_ns, _CONNECT_TIMEOUT_NS):
                detail = "the server did not take the connection"
                self._abandon(run, connection, Fault(cause="connection-timeout", detail=detail))

    def _stop(self, run: Run, fault: Fault) -> None:
        for connection in [*self._busy, *self._waiting]:
            self._abandon(run, connection, fault)
        run.stopped = fault

    def _abandon(self, run: Run, connection: Connection, fault: Fault) -> None:
        exchange = self._busy.pop(connection, None) or self._waiting.pop(connection)[0]
        self._drop(connection)
        self._end(run, exchange, fault)

    def _end(self, run: Run, exchange: Exchange, fault: Fault) -> None:
        exchange.fault, exchange.ended_ns = fault, perf_counter_ns()
        run.end(exchange)
