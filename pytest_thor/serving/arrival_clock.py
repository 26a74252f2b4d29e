"""When bytes arrived: the kernel's own stamp where there is one, the moment of reading otherwise.

A client that shares its machine with a busy engine is woken late; what it reads on its own clock is then its own
delay. The kernel stamps a packet as it comes in (``SO_TIMESTAMPNS``), on the wall clock, which may be stepped; so the
distance between the two clocks is taken anew every few milliseconds, and a stamp that cannot be true is not used.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from time import perf_counter_ns, time_ns

SO_TIMESTAMPNS = 35
"""Linux's option, and the type of the message that carries a stamp; Python has no name for it."""

ANCILLARY_BYTES = socket.CMSG_SPACE(16)

_unpack = struct.Struct("@qq").unpack
_CLOSE_READINGS_NS = 5_000
_ANEW_EVERY_NS = 5_000_000
_SLACK_NS = 1_000_000


class ArrivalClock:
    """Turns the kernel's stamps into ``perf_counter_ns`` time, and counts which arrivals have whose stamp."""

    __slots__ = ("_anew_ns", "_earliest_ns", "_offset_ns", "_woken_ns", "by_client", "by_kernel")

    def __init__(self) -> None:
        self.by_kernel = 0
        self.by_client = 0
        self._woken_ns = self._earliest_ns = self._anew_ns = perf_counter_ns()
        self._offset_ns = time_ns() - perf_counter_ns()

    def woken(self) -> int:
        """Take note that the client woke, and return when: what it reads now arrived since it woke before."""
        now_ns = perf_counter_ns()
        self._earliest_ns = self._woken_ns - _SLACK_NS
        self._woken_ns = now_ns
        if now_ns >= self._anew_ns:
            wall_ns = time_ns()
            if perf_counter_ns() - now_ns < _CLOSE_READINGS_NS:  # else it was interrupted between the two
                self._offset_ns = wall_ns - now_ns
                self._anew_ns = now_ns + _ANEW_EVERY_NS
        return now_ns

    def arrival_ns(self, ancillary: Sequence[tuple[int, int, bytes]], now_ns: int) -> int:
        """Return when what was just read arrived, given the messages that came with it."""
        for _, kind, content in ancillary:
            if kind == SO_TIMESTAMPNS and len(content) == 16:
                seconds, nanoseconds = _unpack(content)
                arrival_ns: int = seconds * 1_000_000_000 + nanoseconds - self._offset_ns
                if self._earliest_ns <= arrival_ns <= now_ns:
                    self.by_kernel += 1
                    return arrival_ns
        self.by_client += 1
        return now_ns
