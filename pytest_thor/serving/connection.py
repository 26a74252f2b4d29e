"""One connection to a server: opening it, one exchange after another on it, and how it ends. It never blocks."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import select
import socket
import ssl
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

from pytest_thor.serving.arrival_clock import ANCILLARY_BYTES, SO_TIMESTAMPNS, ArrivalClock
from pytest_thor.serving.exchange import Exchange, Fault
from pytest_thor.serving.http_response import BodyEnd, MalformedResponse, parse_head

READ_BYTES = 16 * 1024
_STALE_WITHIN_NS = 1_000_000_000
_OTHER_DESCRIPTORS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to connect to, looked up once; ``tls`` is None for plain TCP."""

    family: int
    sockaddr: Any
    host: str
    tls: ssl.SSLContext | None


def look_up(host: str, port: int, *, tls: bool) -> Address:
    """Return a server's address.

    Raises:
        OSError: the name is not known.
    """
    family, _, _, _, sockaddr = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return Address(family=family, sockaddr=sockaddr, host=host, tls=ssl.create_default_context() if tls else None)


def allow_sockets(count: int) -> None:
    """Let this process have so many sockets beside what it has, as far as the system lets it decide that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _OTHER_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and wanted > soft:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


class Connection:
    """A non-blocking connection; ``is_open`` once it can carry a request, ``is_closed`` once it no longer can.

    ``interest`` is what it waits for, as epoll's flags, and ``listening`` what epoll was last told.
    """

    __slots__ = (
        "_address", "_arrival_ns", "_body_end", "_is_chunked", "_recvmsg", "_socket", "_tls", "_unsent",
        "exchange", "fileno", "interest", "is_closed", "is_open", "is_used", "listening", "request",
    )  # fmt: skip

    def __init__(self, address: Address, clock: ArrivalClock) -> None:
        plain = socket.socket(address.family, socket.SOCK_STREAM)
        plain.setblocking(False)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._tls: ssl.SSLSocket | None = None
        self._socket: socket.socket = plain
        self.fileno = plain.fileno()
        self.is_open = self.is_closed = self.is_used = False
        self.interest = self.listening = select.EPOLLOUT
        self.exchange: Exchange | None = None
        self.request = b""
        self._unsent = memoryview(b"")
        self._body_end: BodyEnd | None = None
        self._is_chunked = False
        self._arrival_ns = clock.arrival_ns
        with contextlib.suppress(OSError):  # a kernel without it: the client's own clock is read instead
            plain.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        started = plain.connect_ex(address.sockaddr)
        if started not in {0, errno.EINPROGRESS}:
            plain.close()
            raise OSError(started, os.strerror(started))
        self._address = address
        self._recvmsg = plain.recvmsg

    def advance(self) -> None:
        """Go on with opening, now that the socket is ready for ``interest``.

        Raises:
            OSError: it cannot be opened.
        """
        problem = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem:
            raise OSError(problem, os.strerror(problem))
        if self._address.tls is None or self._shakes_hands(self._address.tls):
            self.is_open = True
            self.interest = select.EPOLLIN

    def _shakes_hands(self, context: ssl.SSLContext) -> bool:
        """Go on with the handshake; return whether it is over."""
        if self._tls is None:
            self._socket = self._tls = context.wrap_socket(
                self._socket, server_hostname=self._address.host, do_handshake_on_connect=False
            )
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self.interest = select.EPOLLIN | select.EPOLLRDHUP  # not EPOLLIN alone, which is for responses
            return False
        except ssl.SSLWantWriteError:
            self.interest = select.EPOLLOUT
            return False
        return True

    def send(self, exchange: Exchange, request: bytes) -> None:
        """Stamp a request as sent and hand it to the kernel, as much of it as it takes now."""
        self.exchange, self.request = exchange, request
        self._unsent = memoryview(request)
        self._body_end, self._is_chunked = None, False
        exchange.sent_ns = perf_counter_ns()
        self.go_on_sending()

    def go_on_sending(self) -> None:
        """Hand the rest of the request to the kernel.

        An error is left for reading to find: a server may answer, and close, before it has read everything.
        """
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self._unsent = memoryview(b"")
        self.interest = select.EPOLLIN | select.EPOLLOUT if self._unsent else select.EPOLLIN

    def receive(self) -> bool:
        """Take and stamp what has arrived; return whether the exchange, or the connection, is over with it.

        All but the first and the last arrival of a response go no further than this function, which calls as few
        others as it can.
        """
        if self._tls is not None:
            return self._receive_tls(self._tls)
        try:
            data, ancillary, _, _ = self._recvmsg(READ_BYTES, ANCILLARY_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            return self._broken(error)
        exchange = self.exchange
        if exchange is None:
            self.is_closed = True  # the server closed an idle connection, or speaks unasked: use another
            return True
        exchange.stamps.append(self._arrival_ns(ancillary, perf_counter_ns()))
        exchange.pieces.append(data)
        if self._is_chunked and len(data) > 3 and data[-4:] != b"\r\n\r\n":
            return False
        return self._look_for_end(exchange)

    def _receive_tls(self, tls: ssl.SSLSocket) -> bool:
        """Take a record, all of it: the kernel tells of nothing that is already decrypted, but of any other record."""
        while True:
            try:
                data = tls.recv(READ_BYTES)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return False
            except OSError as error:
                return self._broken(error)
            if self.exchange is None:
                self.is_closed = True
                return True
            self.exchange.stamps.append(self._arrival_ns((), perf_counter_ns()))
            self.exchange.pieces.append(data)
            if self._look_for_end(self.exchange):
                return True
            if not tls.pending():
                return False

    def _look_for_end(self, exchange: Exchange) -> bool:
        if not exchange.pieces[-1]:
            exchange.pieces.pop()
            exchange.stamps.pop()
            return self._ended_by_server(exchange)
        try:
            over = self._body_end.feed(exchange.pieces) if self._body_end is not None else self._read_head(exchange)
        except MalformedResponse as error:
            return self._fail("malformed-http", str(error))
        if over:
            exchange.ended_ns = exchange.stamps[-1]
            self.is_closed |= exchange.head is None or not exchange.head.keep_alive or bool(self._unsent)
        return over

    def _read_head(self, exchange: Exchange) -> bool:
        received = b"".join(exchange.pieces)
        head = parse_head(received)
        if head is None:
            return False
        exchange.head = head
        exchange.pieces[:] = [received]
        exchange.stamps[:] = exchange.stamps[-1:]
        self._body_end = BodyEnd(head)
        self._is_chunked = head.chunked
        return self._body_end.feed(exchange.pieces)

    def _ended_by_server(self, exchange: Exchange) -> bool:
        head = exchange.head
        self.is_closed = True
        if head is not None and not head.chunked and head.length is None:
            exchange.ended_ns = perf_counter_ns()
            return True
        return self._fail("closed", f"the server closed the connection after {exchange.size_bytes} bytes")

    def _broken(self, error: OSError) -> bool:
        after = f" after {self.exchange.size_bytes} bytes" if self.exchange else ""
        cause = "reset" if isinstance(error, ConnectionError) else "connection-failed"
        return self._fail(cause, f"{error.strerror or error}{after}")

    def _fail(self, cause: str, detail: str) -> bool:
        self.is_closed = True
        if self.exchange is not None:
            self.exchange.fault = Fault(cause=cause, detail=detail)
            self.exchange.ended_ns = perf_counter_ns()
        return True

    @property
    def went_stale(self) -> bool:
        """Whether an exchange failed only because the server had closed the connection while it was idle.

        Such a request was never looked at and may be sent again (RFC 9112, 9.3.1).
        """
        exchange = self.exchange
        return (
            exchange is not None
            and exchange.fault is not None
            and self.is_used
            and not exchange.retried
            and not exchange.pieces
            and exchange.fault.cause in {"closed", "reset"}
            and perf_counter_ns() - (exchange.sent_ns or 0) < _STALE_WITHIN_NS
        )

    def release(self) -> None:
        """Be ready for the next exchange."""
        self.exchange, self.request, self._body_end = None, b"", None
        self.is_used = True

    def close(self) -> None:
        """Close the socket, whatever is under way."""
        self.is_closed = True
        self._socket.close()
