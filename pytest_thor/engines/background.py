"""Runs a program in the background until it is stopped: nothing of it is left behind, and nobody need listen to it.

What it prints goes to an unnamed file, so that neither a full pipe can block it nor a reader's thread disturb what is
measured; the end of that file is read when somebody asks. Ending is the business of ``supervisor.py``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

import psutil

from pytest_thor.engines.process import Ending, read_ending, start, starting, stop
from pytest_thor.plain_text import printable
from pytest_thor.redaction import redacted

LOG_BYTES = 8192
"""How much of the log's end is shown."""
_KEPT_BYTES = 65536
_FILE_BYTES = 16 << 20  # that the log may have on the disk when it is looked at


@contextlib.contextmanager
def background(
    command: Sequence[str], *, environment: Mapping[str, str] | None = None, grace_s: float = 5.0
) -> Iterator[Background]:
    """Start a program (an absolute path first); on leaving, it and all that it started have ended.

    SIGTERM, ``grace_s`` seconds, SIGKILL; the same should this process be killed. ``environment`` takes the place of
    this process's.

    Raises:
        EngineFailure: this machine has no room for one more process: memory, descriptors, disk.
    """
    with contextlib.ExitStack() as stack:
        with starting(command):
            ours, theirs = socket.socketpair()
            stack.enter_context(ours)
            with theirs:
                log = stack.enter_context(tempfile.TemporaryFile(buffering=0))
                _append_only(log)
                process = stack.enter_context(
                    start(
                        command,
                        stdin=subprocess.DEVNULL,
                        control=theirs,
                        grace_s=grace_s,
                        output=log,
                        environment=environment,
                    )
                )
        try:
            yield Background(process.pid, ours, log)
        finally:
            stop(process, ours, grace_s)


class Background:
    """A running program; made by :func:`background`."""

    def __init__(self, supervisor: int, control: socket.socket, log: IO[bytes]) -> None:
        self._supervisor = supervisor
        self._control = control
        self._log = log
        self._told = b""
        self._ending: Ending | None = None
        self._tail = b""

    def wait(self, timeout_s: float) -> Ending | None:
        """Wait for its end, no longer than this; return how it ended, or None while it runs."""
        if self._ending is None:
            poll = select.poll()  # not select.select, which has no room for descriptors beyond 1023
            poll.register(self._control, select.POLLIN)
            if poll.poll(max(timeout_s, 0) * 1000):
                told = self._control.recv(64)
                self._told += told
                if not told or self._told.endswith(b"\n"):
                    self._ending = read_ending(self._told)
        if os.fstat(self._log.fileno()).st_size > _FILE_BYTES:
            self._tail = self._end_of_log()
            os.ftruncate(self._log.fileno(), 0)
        return self._ending

    def processes(self) -> list[psutil.Process]:
        """List the program and all that it started and that lives."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self._supervisor).children(recursive=True)
        return []

    def printed(self, limit_bytes: int = LOG_BYTES) -> str:
        """Return the end of what it printed on both streams (64 KiB at most), from the beginning of a line.

        What the environment keeps secret is left out.
        """
        kept = redacted(self._end_of_log().decode("utf-8", errors="replace")).encode()  # before a secret is cut in two
        data = kept[-limit_bytes:]
        if len(data) < len(kept):
            data = data.partition(b"\n")[2] or data
        return printable(data.decode("utf-8", errors="replace").rstrip())

    def _end_of_log(self) -> bytes:
        size = os.fstat(self._log.fileno()).st_size
        written = os.pread(self._log.fileno(), _KEPT_BYTES, max(size - _KEPT_BYTES, 0))
        return (self._tail + written)[-_KEPT_BYTES:]


def _append_only(log: IO[bytes]) -> None:
    """Let every writer append, so that the file can be cut while they write."""
    fcntl.fcntl(log, fcntl.F_SETFL, fcntl.fcntl(log, fcntl.F_GETFL) | os.O_APPEND)
