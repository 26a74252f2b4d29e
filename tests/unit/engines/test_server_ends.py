"""A server in the background: its port, its end, its memory, and nothing of it left behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer, SimpleHTTPRequestHandler
from typing import TYPE_CHECKING

import psutil
import pytest

from pytest_thor.engines import ports, server
from pytest_thor.engines.background import background
from pytest_thor.engines.server import Server, ServerOrder, reason, running
from pytest_thor.engines.server_memory import ProcessMemory, look, peak_bytes
from pytest_thor.errors import EngineFailure

if TYPE_CHECKING:
    from tests.unit.engines.conftest import MakeStubServer, StubServer


def order_of(stub: StubServer, *, port: int | None = None) -> ServerOrder:
    return ServerOrder(name="stub", command=lambda free: (str(stub.program), "--port", str(free)), port=port)


@contextmanager
def started(order: ServerOrder, *, within_s: float = 30.0) -> Iterator[Server]:
    with running(order, deadline=time.monotonic() + within_s, on_step=lambda _: None) as ready:
        yield ready


def test_a_port_that_the_user_chose_and_that_is_taken_is_named_and_nothing_is_started(
    stub_server: MakeStubServer,
) -> None:
    stub = stub_server()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        words = rf"port {port} of 127\.0\.0\.1 cannot be had: Address already in use \(process {os.getpid()}, "
        with pytest.raises(EngineFailure, match=words), started(order_of(stub, port=port)):
            pass
    assert stub.starts() == []


def test_a_free_port_that_another_program_took_first_costs_a_second_try(stub_server: MakeStubServer) -> None:
    stub = stub_server(taken_times=1)
    with started(order_of(stub)) as ready:
        assert ready.died() is None
    assert len(stub.starts()) == 2
    assert stub.living() == []


def test_a_port_that_is_always_taken_is_given_up(stub_server: MakeStubServer) -> None:
    stub = stub_server(taken_times=9)
    with pytest.raises(EngineFailure, match="was taken while it started"), started(order_of(stub)):
        pass
    assert len(stub.starts()) == 3


def test_a_stranger_that_answers_on_its_port_is_not_taken_for_the_server(
    stub_server: MakeStubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stranger(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Stranger) as stranger:
        threading.Thread(target=stranger.serve_forever, kwargs={"poll_interval": 0.01}).start()
        # The stub is told to go elsewhere; it lives, and is not ready where it is looked for.
        elsewhere = str(ports.free_port("127.0.0.1"))
        monkeypatch.setattr(ports, "free_port", lambda _: stranger.server_port)
        order = ServerOrder(name="stub", command=lambda _: (str(stub_server().program), "--port", elsewhere))
        try:
            with pytest.raises(EngineFailure, match="was taken while it started"), started(order):
                pass
        finally:
            stranger.shutdown()


def test_forked_workers_that_ignore_sigterm_are_ended_with_it(
    stub_server: MakeStubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "GRACE_S", 0.1)
    stub = stub_server(workers=2)
    with started(order_of(stub)) as ready:
        assert len(stub.living()) == 3
        assert ready.memory()["processes"] == 3
    assert stub.living() == []


def test_workers_of_a_server_that_died_while_loading_are_ended_too(stub_server: MakeStubServer) -> None:
    stub = stub_server(workers=1, dies_loading=["RuntimeError: no luck"])
    words = r"exit status 1: RuntimeError: no luck \(after"
    with pytest.raises(EngineFailure, match=words) as raised, started(order_of(stub)):
        pass
    assert raised.value.log_tail == "RuntimeError: no luck"
    assert stub.living() == []


ASKER = """
import sys, time
from pytest_thor.engines import server
from pytest_thor.engines.server import ServerOrder, running
server.GRACE_S = 0.1
order = ServerOrder(name="stub", command=lambda port: (sys.argv[1], "--port", str(port)))
with running(order, deadline=time.monotonic() + 60, on_step=print):
    print("ready", flush=True)
    time.sleep(600)
"""


def test_the_server_and_its_workers_die_with_a_pytest_that_is_killed(stub_server: MakeStubServer) -> None:
    stub = stub_server(workers=1)
    command = [sys.executable, "-c", ASKER, str(stub.program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asker:
        assert asker.stdout is not None
        assert any("ready" in line for line in asker.stdout)
        living = [psutil.Process(pid) for pid in stub.living()]
        asker.kill()
    assert len(living) == 2
    _, alive = psutil.wait_procs(living, timeout=30)
    assert alive == []


def test_a_flood_of_output_neither_blocks_the_server_nor_fills_memory_or_disk(stub_server: MakeStubServer) -> None:
    stub = stub_server(flood=20 << 20)
    with started(order_of(stub)) as ready:
        assert ready.died() is None
        assert ready.log_tail() == "\n".join(["x" * 1023] * 7)


def test_the_log_is_both_streams_as_they_came() -> None:
    with background(["/bin/sh", "-c", "echo one; echo two >&2; printf three"]) as process:
        assert process.wait(30) is not None
        assert process.printed() == "one\ntwo\nthree"


def test_the_end_of_a_log_is_kept_when_the_file_is_cut() -> None:
    with background(["/bin/sh", "-c", "yes filler | head -c 17000004; echo end; read line"]) as process:
        assert process.wait(30) is not None  # which cuts the file
        assert process.printed().endswith("\nfiller\nend")
        assert process.printed(16).splitlines() == ["filler", "end"]


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("", None),
        ("loading\ndone", "done"),
        (
            "a\ntorch.OutOfMemoryError: CUDA out of memory.\nRuntimeError: Engine core failed.",
            "torch.OutOfMemoryError: ",
        ),
        ("ValueError: too long\nRuntimeError: Engine failed. See root cause above.\nfoo", "ValueError: too long"),
        (
            "0.1 E srv load_model: failed to load model\n0.2 E srv: exiting due to model loading error",
            "0.1 E srv load_",
        ),
        ("error: invalid argument: --bogus", "error: invalid argument: --bogus"),
    ],
)
def test_the_reason_of_an_end_is_found_in_the_log(log: str, line: str | None) -> None:
    assert (reason(log) or "").startswith(line or "")
    assert (reason(log) is None) == (line is None)


def memory(peak: int, resident: int, proportional: int) -> ProcessMemory:
    return ProcessMemory(peak_bytes=peak, resident_bytes=resident, proportional_bytes=proportional)


def test_pages_that_workers_share_count_once() -> None:
    assert peak_bytes([]) is None
    assert peak_bytes([memory(900, 500, 400)]) == 900
    assert peak_bytes([memory(600, 600, 350), memory(500, 500, 250)]) == 600
    assert peak_bytes([memory(900, 600, 350), memory(500, 500, 250)]) == 900


def test_the_kernel_tells_this_processs_memory() -> None:
    own = look(os.getpid())
    assert own is not None
    assert own.peak_bytes >= own.resident_bytes >= own.proportional_bytes > 1 << 20
    assert look(2**22 + 1) is None
