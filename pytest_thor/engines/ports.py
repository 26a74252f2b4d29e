"""Ports of this machine: a free one, and who holds a taken one."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterable
from typing import Any

import psutil

TAKEN = re.compile(r"address already in use|couldn't bind|EADDRINUSE", re.IGNORECASE)
"""How servers say that their port is taken."""


def free_port(host: str) -> int:
    """Return a port that nobody holds at this moment; another program may take it in the next."""
    with socket.socket(_family(host)) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def obstacle(host: str, port: int) -> str | None:
    """Say why a server could not listen there, or return None."""
    with socket.socket(_family(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: an old connection is no obstacle
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return f"port {port} of {host} cannot be had: {error.strerror}{_holder(port)}"
    return None


def listens(processes: Iterable[psutil.Process], port: int) -> bool:
    """Whether one of these processes is who answers on a port; true also where the system does not tell."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            try:
                connections = process.net_connections(kind="tcp")
            except psutil.AccessDenied:
                return True
            if any(_is_held(each, port) for each in connections):
                return True
    return False


def _holder(port: int) -> str:
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections(kind="tcp"):
            if connection.pid and _is_held(connection, port):
                return f" (process {connection.pid}, {psutil.Process(connection.pid).name()}, listens there)"
    return ""


def _is_held(connection: Any, port: int) -> bool:  # noqa: ANN401 - psutil has a type of its own for each source
    return connection.status == psutil.CONN_LISTEN and bool(connection.laddr) and connection.laddr.port == port


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
