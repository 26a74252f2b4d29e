"""Exchanges that are over: kept raw until the run is over too, as long as there is room for them."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from pytest_thor.serving.exchange import Exchange
from pytest_thor.serving.target import Target
from pytest_thor.serving.trace import Trace, read_trace

RAW_LIMIT_BYTES = 64 * 1024 * 1024
_HARD_LIMIT_FACTOR = 4


class Backlog:
    """Takes exchanges in and gives traces out.

    Beyond 64 MiB of raw responses :meth:`read_one` reads the oldest, when the client has nothing else to do; beyond
    four times as much it is read at once, whatever that costs. ``finished`` counts the exchanges, ``broken`` those that
    came to no end, ``tokens_asked`` what the others were asked for.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._raw: deque[tuple[Exchange, int]] = deque()
        self._raw_bytes = 0
        self._read: list[Trace] = []
        self.finished = 0
        self.broken = 0
        self.tokens_asked = 0

    def take(self, exchange: Exchange) -> None:
        """Keep an exchange that is over."""
        size_bytes = exchange.size_bytes
        self._raw.append((exchange, size_bytes))
        self._raw_bytes += size_bytes
        self.finished += 1
        if exchange.fault is None:
            self.tokens_asked += exchange.output_len
        else:
            self.broken += 1
        while self._raw_bytes > _HARD_LIMIT_FACTOR * RAW_LIMIT_BYTES:
            self.read_one()

    def read_one(self) -> bool:
        """Read one exchange if there are too many bytes raw; return whether there were."""
        if self._raw_bytes <= RAW_LIMIT_BYTES:
            return False
        self._reduce()
        return True

    def traces(self) -> list[Trace]:
        """Read what is left and return all traces in the order of their requests."""
        while self._raw:
            self._reduce()
        return sorted(self._read, key=lambda trace: trace.index)

    def _reduce(self) -> None:
        exchange, size_bytes = self._raw.popleft()
        self._raw_bytes -= size_bytes
        trace = read_trace(exchange, self._target.dialect)
        if trace.fault is not None:
            told = self._target.redacted(trace.fault.detail)
            trace = replace(trace, fault=replace(trace.fault, detail=told))
        self._read.append(trace)
