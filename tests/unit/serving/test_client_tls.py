"""Over TLS the client reads what is decrypted to its end, and stamps with its own clock."""

from __future__ import annotations

import select
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_thor.serving.arrival_clock import ArrivalClock
from pytest_thor.serving.connection import Connection, look_up
from pytest_thor.serving.exchange import Exchange
from pytest_thor.serving.run import run_load
from tests.fakes.scripted_server import Reply, completion
from tests.unit.serving.conftest import make_load, make_target, make_workload, never_died

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return certificate, key


@pytest.fixture
def tls_port(certificate: tuple[Path, Path]) -> Iterator[int]:
    """Answer one connection after another, one request each, all at once."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    reply: Reply = completion(4)

    def answer() -> None:
        while not over.is_set():
            try:
                plain, _ = listener.accept()
            except TimeoutError:
                continue
            plain.settimeout(10)
            try:
                with context.wrap_socket(plain, server_side=True) as connection:
                    if connection.recv(65536):
                        connection.sendall(b"".join(what for _, what in reply.moments if isinstance(what, bytes)))
            except OSError:  # the client refused the certificate
                plain.close()

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        over.set()
        thread.join()


def test_a_stream_over_tls_is_read_like_any_other(
    tls_port: int, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    result = run_load(
        make_load(2),
        make_workload(),
        make_target(tls_port, tls=True),
        on_progress=lambda *_: None,
        server_died=never_died,
        timeout_s=10,
    )
    assert (result.failure, result.doubts) == (None, ())
    assert result.evidence["requests"]["complete"] == 2
    assert result.evidence["client"]["stamped_by_kernel"] == 0


def test_a_server_that_sends_without_end_is_left_after_each_record(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    records = [b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 100] * 50]

    def answer() -> None:
        plain, _ = listener.accept()
        with context.wrap_socket(plain, server_side=True) as server:
            server.recv(100)
            for record in records:
                server.sendall(record)
            sent.set()
            over.wait(10)

    sent, over = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        connection = Connection(look_up("127.0.0.1", listener.getsockname()[1], tls=True), ArrivalClock())
        try:
            while not connection.is_open:
                select.select([connection.fileno], [], [], 0.01)
                connection.advance()
            exchange = Exchange(index=0, prompt_len=1, output_len=1, due_ns=0)
            connection.send(exchange, b"GET / HTTP/1.1\r\n\r\n")
            assert sent.wait(10)
            arrived: list[int] = []
            while sum(arrived) < sum(map(len, records)):
                select.select([connection.fileno], [], [], 10)
                assert not connection.receive()
                arrived.append(exchange.size_bytes - sum(arrived))
            assert [size for size in arrived if size] == [len(record) for record in records]
        finally:
            over.set()
            connection.close()
            thread.join()


def test_a_certificate_that_nobody_vouches_for_is_a_counted_failure(tls_port: int) -> None:
    result = run_load(
        make_load(2),
        make_workload(),
        make_target(tls_port, tls=True),
        on_progress=lambda *_: None,
        server_died=never_died,
        timeout_s=10,
    )
    assert result.failure is not None
    assert result.failure.startswith("all 2 requests failed: 2 × connection-failed: ")
    assert "certificate" in result.failure.lower()
