"""A TCP proxy on loopback that cuts what goes through it: nobody listens, connections are reset, nothing moves on."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Literal, TypeAlias

Cut: TypeAlias = Literal["refuse", "reset", "stall"]

_TICK_S = 0.005
_CHUNK = 65536


class CuttingProxy:
    """Forwards a port to another until it is told to cut; one thread, which :func:`proxied` runs."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._selector = selectors.DefaultSelector()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._listener: socket.socket | None = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._lock = threading.RLock()
        self._stalled_until = 0.0
        self._stopping = threading.Event()
        self.forwarded = 0
        """Bytes that went from the server to clients."""

    def cut(self, kind: Cut, *, seconds: float = 0.0) -> None:
        """Cut now: ``refuse`` and ``stall`` for so many seconds, ``reset`` once."""
        with self._lock:
            if kind == "stall":
                self._stalled_until = time.monotonic() + seconds
                return
            for one in list(self._pairs):  # closed without lingering, a connection is reset
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._end_all()
            if kind == "refuse" and self._listener is not None:
                self._selector.unregister(self._listener)
                self._listener.close()
                self._listener = None
                threading.Timer(seconds, self._listen_again).start()

    def _listen_again(self) -> None:
        with self._lock:
            if not self._stopping.is_set():
                self._listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
                self._selector.register(self._listener, selectors.EVENT_READ)

    def stop(self) -> None:
        """Let :meth:`serve` return soon."""
        self._stopping.set()

    def serve(self) -> None:
        """Forward until it is stopped."""
        while not self._stopping.is_set():
            ready = self._selector.select(_TICK_S)
            with self._lock:
                if time.monotonic() < self._stalled_until:
                    time.sleep(_TICK_S)
                    continue
                for key, _ in ready:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._pairs:
                        self._forward(key.fileobj)
        with self._lock:
            self._end_all()
            if self._listener is not None:
                self._listener.close()
        self._selector.close()

    def _accept(self) -> None:
        assert self._listener is not None
        client, _ = self._listener.accept()
        server = socket.create_connection(("127.0.0.1", self._target))
        for one, other in ((client, server), (server, client)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, one: socket.socket) -> None:
        try:
            data = one.recv(_CHUNK)
            if data:
                self._pairs[one].sendall(data)
        except OSError:
            data = b""
        if not data:
            self._end(one)
        elif one.getpeername()[1] == self._target:
            self.forwarded += len(data)

    def _end_all(self) -> None:
        while self._pairs:
            self._end(next(iter(self._pairs)))

    def _end(self, one: socket.socket) -> None:
        other = self._pairs.pop(one, None)
        for each in (one, other):
            if each is not None:
                self._pairs.pop(each, None)
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(each)
                each.close()


@contextlib.contextmanager
def proxied(target: int) -> Iterator[CuttingProxy]:
    """Have a proxy to a port of this machine."""
    proxy = CuttingProxy(target)
    thread = threading.Thread(target=proxy.serve, name="cutting-proxy", daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join()
