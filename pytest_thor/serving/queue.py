"""Requests that wait to be sent: some are ready ahead of time, others are made while there is nothing else to do."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from pytest_thor.serving.exchange import Outgoing
from pytest_thor.serving.load import PlannedRequest

READY_BYTES = 32 * 1024 * 1024


class RequestQueue:
    """A load's requests in order, ``ready`` of them (within 32 MiB) as bytes before the first one is sent."""

    def __init__(
        self, planned: Iterable[PlannedRequest], encode: Callable[[PlannedRequest], bytes], *, ready: int
    ) -> None:
        self._planned: Iterator[PlannedRequest] = iter(planned)
        self._encode = encode
        self._queue: deque[Outgoing] = deque()
        self._ready = ready
        self._bytes = 0
        self._exhausted = False
        while self.make_one():
            pass

    def make_one(self) -> bool:
        """Make one more request ready; return False where there are enough, or no more."""
        if self._exhausted or len(self._queue) >= self._ready or self._bytes > READY_BYTES:
            return False
        return self._make()

    def peek(self) -> Outgoing | None:
        """Return the next request without taking it, or None where there is no more."""
        if not self._queue and not self._make():
            return None
        return self._queue[0]

    def take(self) -> Outgoing:
        """Return the next request.

        Raises:
            IndexError: there is no more.
        """
        outgoing = self._queue.popleft()
        self._bytes -= len(outgoing.data)
        return outgoing

    def _make(self) -> bool:
        planned = next(self._planned, None)
        if planned is None:
            self._exhausted = True
            return False
        data = self._encode(planned)
        self._bytes += len(data)
        self._queue.append(
            Outgoing(
                index=planned.index,
                prompt_len=len(planned.prompt),
                output_len=planned.output_len,
                arrival_s=planned.arrival_s,
                data=data,
            )
        )
        return True
