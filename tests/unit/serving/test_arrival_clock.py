"""The kernel's stamps on the wall clock, told in the client's time."""

from __future__ import annotations

import socket
import struct

import pytest

from pytest_thor.serving import arrival_clock
from pytest_thor.serving.arrival_clock import SO_TIMESTAMPNS, ArrivalClock

MS = 1_000_000
WALL_NS = 1_700_000_000 * 1000 * MS


class Clocks:
    """Two clocks that go on only when told to."""

    def __init__(self) -> None:
        self.client_ns = 50 * MS
        self.wall_ns = WALL_NS

    def go_on(self, ns: int) -> None:
        self.client_ns += ns
        self.wall_ns += ns

    def stamp(self) -> list[tuple[int, int, bytes]]:
        return [(socket.SOL_SOCKET, SO_TIMESTAMPNS, struct.pack("@qq", *divmod(self.wall_ns, 1000 * MS)))]


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    made = Clocks()
    monkeypatch.setattr(arrival_clock, "perf_counter_ns", lambda: made.client_ns)
    monkeypatch.setattr(arrival_clock, "time_ns", lambda: made.wall_ns)
    return made


def test_a_late_reader_still_tells_when_it_arrived(clocks: Clocks) -> None:
    clock = ArrivalClock()
    clock.woken()
    clocks.go_on(3 * MS)
    arrived_ns, stamp = clocks.client_ns, clocks.stamp()
    clocks.go_on(7 * MS)
    clock.woken()
    assert clock.arrival_ns(stamp, clocks.client_ns) == arrived_ns
    assert (clock.by_kernel, clock.by_client) == (1, 0)


@pytest.mark.parametrize("step_ms", [-865, 865])
def test_a_step_of_the_wall_clock_moves_no_arrival(clocks: Clocks, step_ms: int) -> None:
    clock = ArrivalClock()
    clock.woken()
    stamp_before = clocks.stamp()
    clocks.wall_ns += step_ms * MS
    clocks.go_on(20 * MS)
    woken_ns = clock.woken()
    assert clock.arrival_ns(stamp_before, woken_ns) == woken_ns, "a stamp from before the step cannot be told"
    clocks.go_on(2 * MS)
    arrived_ns, stamp_after = clocks.client_ns, clocks.stamp()
    clocks.go_on(2 * MS)
    clock.woken()
    assert clock.arrival_ns(stamp_after, clocks.client_ns) == arrived_ns
    assert (clock.by_kernel, clock.by_client) == (1, 1)


def test_without_a_stamp_the_moment_of_reading_counts() -> None:
    clock = ArrivalClock()
    assert clock.arrival_ns([], 12345) == 12345
    assert clock.arrival_ns([(socket.SOL_SOCKET, 1, b"rights")], 23456) == 23456
    assert clock.by_client == 2


def test_this_kernel_stamps_what_arrives() -> None:
    """Or else the client's own clock is read on this machine, which is good to know."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = socket.create_connection(listener.getsockname())
        receiver, _ = listener.accept()
    with sender, receiver:
        receiver.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        clock = ArrivalClock()
        for _ in range(50_000):  # the kernel begins to stamp a moment after the first socket asks for it
            if clock.by_kernel:
                break
            sender.send(b"x")
            _, ancillary, _, _ = receiver.recvmsg(1, arrival_clock.ANCILLARY_BYTES)
            woken_ns = clock.woken()
            assert clock.arrival_ns(ancillary, woken_ns) <= woken_ns
    assert clock.by_kernel > 0
