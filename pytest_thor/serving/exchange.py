"""One request and what came back, as raw as it came."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_thor.serving.http_response import Head


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A request that is ready to be sent: its bytes, and when it may go (seconds from the start; None is any time)."""

    index: int
    prompt_len: int
    output_len: int
    arrival_s: float | None
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why an exchange broke off: a cause to count by, and what exactly happened."""

    cause: str
    detail: str


@dataclass(slots=True, eq=False, kw_only=True)
class Exchange:
    """A request under way or over; times are ``time.perf_counter_ns``.

    ``due_ns`` is when it could have been sent had there been a slot, ``sent_ns`` right before its first byte went to
    the kernel. ``pieces`` are what each read gave, from the first byte of the response, and ``stamps`` when each
    arrived. ``fault`` is None where the response came to its end as HTTP has it.
    """

    index: int
    prompt_len: int
    output_len: int
    due_ns: int
    sent_ns: int | None = None
    ended_ns: int | None = None
    head: Head | None = None
    stamps: list[int] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    fault: Fault | None = None
    retried: bool = False

    @property
    def size_bytes(self) -> int:
        """How much arrived."""
        return sum(map(len, self.pieces))
