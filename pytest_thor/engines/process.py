"""Runs an engine: its lines as they are written, its end, and nothing of it left behind.

No shell, no threads: one ``select`` loop reads both streams, so neither can block the engine, and the deadline
holds even while output floods in. Ending is the business of ``supervisor.py``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, TypeAlias

from pytest_thor.errors import EngineFailure
from pytest_thor.inheritance import inherited
from pytest_thor.orphans import MARK, asker, sweep

LINE_LIMIT = 1 << 20
"""Bytes of a line that are kept; the rest of it is dropped as it is read."""

_PIPE_BYTES = 1 << 20  # room for output while the reader is busy elsewhere
_READ_BYTES = 1 << 16
_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_SUPERVISOR_MARGIN_S = 15.0

Stream: TypeAlias = Literal["stdout", "stderr"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of output, without its end; ``complete`` is False where it was cut short."""

    stream: Stream
    text: str
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a process ended: ``code`` as subprocess has it, negative for a signal; None where it was stopped."""

    code: int | None
    timed_out: bool = False
    strays: int = 0

    @property
    def ok(self) -> bool:
        """Whether it ended by itself and said that all went well."""
        return self.code == 0

    def sentence(self, name: str, timeout_s: float) -> str:
        """Say how ``name`` ended."""
        if self.timed_out:
            return f"{name} did not finish within {timeout_s:g} s and was stopped"
        if self.code is None:
            return f"{name} was lost: the process that watched over it was killed"
        if self.code < 0:
            return f"{name} {_signal_words(-self.code)}"
        return f"{name} ended with exit status {self.code}"


def _signal_words(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return _SIGNALS.get(name, f"was ended by {name}")


_SIGNALS = {
    "SIGSEGV": "crashed (SIGSEGV, a fault in native code)",
    "SIGBUS": "crashed (SIGBUS: a file that it had mapped was cut short, or the memory is gone)",
    "SIGILL": "crashed (SIGILL: it was built for another CPU)",
    "SIGABRT": "aborted (SIGABRT)",
    "SIGFPE": "crashed (SIGFPE)",
    "SIGKILL": "was killed (SIGKILL), perhaps because memory ran out: see the kernel's log",
}


def run(
    command: Sequence[str],
    *,
    timeout_s: float,
    request: bytes | None = None,
    grace_s: float = 5.0,
) -> Generator[Line | Ending, None, None]:
    """Start a program (an absolute path first) and yield its lines, then one Ending.

    ``request`` is its standard input. It runs in a session of its own with the environment as it is, and one variable
    more by which what it starts is known. When the generator ends, is closed or raises, the process and all that it
    started have ended: SIGTERM, ``grace_s`` seconds, SIGKILL.

    Raises:
        EngineFailure: this machine has no room for one more process: memory, descriptors, disk.
    """
    with contextlib.ExitStack() as stack:
        with starting(command):
            stdin = stack.enter_context(tempfile.TemporaryFile())
            stdin.write(request or b"")
            stdin.seek(0)
            ours, theirs = socket.socketpair()
            stack.enter_context(ours)
            with theirs:
                process = stack.enter_context(start(command, stdin=stdin, control=theirs, grace_s=grace_s))
        try:
            yield from _read(process, ours, time.monotonic() + timeout_s, grace_s)
        finally:
            stop(process, ours, grace_s)


@contextlib.contextmanager
def starting(command: Sequence[str]) -> Iterator[None]:
    """Tell of what keeps a program from being started as an EngineFailure."""
    try:
        yield
    except OSError as error:
        raise EngineFailure(f"{command[0]}: cannot be started: {error.strerror or error}") from error


def run_briefly(command: Sequence[str], *, timeout_s: float = 60.0) -> tuple[str, Ending]:
    """Run a program that answers a question and return what it printed (the last 1 MiB) and its end."""
    printed: list[str] = []
    size = 0
    ending = Ending(code=None)
    for event in run(command, timeout_s=timeout_s, grace_s=0.5):
        if isinstance(event, Ending):
            ending = event
        elif size < LINE_LIMIT:
            printed.append(event.text)
            size += len(event.text) + 1
    return "\n".join(printed), ending


def start(
    command: Sequence[str],
    *,
    stdin: IO[bytes] | int,
    control: socket.socket,
    grace_s: float,
    output: IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program under its supervisor, in a session of its own; both hold the device's lock.

    ``control`` is the supervisor's end of a socket pair, to be closed here afterwards. What the program prints goes to
    ``output``, or to a pipe for each stream; ``environment`` takes the place of this process's.
    """
    supervisor = [sys.executable, "-I", "-S", str(_SUPERVISOR), str(control.fileno()), str(grace_s)]
    process = subprocess.Popen(
        [*supervisor, f"{MARK}={asker()}", *command],
        stdin=stdin,
        stdout=output or subprocess.PIPE,
        stderr=output or subprocess.PIPE,
        env=environment,
        bufsize=0,
        pass_fds=(control.fileno(), *inherited()),
        start_new_session=True,
    )
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(PermissionError):  # the user's share of pipe memory is used up; 64 KiB will do
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return process


def _read(
    process: subprocess.Popen[bytes], control: socket.socket, deadline: float, grace_s: float
) -> Iterator[Line | Ending]:
    assert process.stdout is not None
    assert process.stderr is not None
    lines = {process.stdout.fileno(): _Lines("stdout"), process.stderr.fileno(): _Lines("stderr")}
    told = b""
    timed_out = lost = False
    with selectors.DefaultSelector() as selector:
        for descriptor in (*lines, control.fileno()):
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map() and not lost:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                timed_out = True
                break
            for key, _ in selector.select(left_s):
                data = os.read(key.fd, _READ_BYTES)
                if not data:
                    selector.unregister(key.fd)
                    lost = lost or (key.fd == control.fileno() and not told)
                elif key.fd in lines:
                    yield from lines[key.fd].feed(data)
                else:
                    told += data
    if timed_out or lost:  # a supervisor that was killed ends nobody, and its wards may hold the streams open for ever
        stop(process, control, grace_s)
        for descriptor, splitter in lines.items():
            yield from splitter.feed(_what_is_left(descriptor))
    for splitter in lines.values():
        yield from splitter.flush()
    yield read_ending(told, timed_out=timed_out)


def read_ending(told: bytes, *, timed_out: bool = False) -> Ending:
    """Read what the supervisor told before its end of the socket pair closed."""
    if timed_out or not told.endswith(b"\n"):
        return Ending(code=None, timed_out=timed_out)
    code, strays = told.split()
    return Ending(code=int(code), strays=int(strays))


def _what_is_left(descriptor: int) -> bytes:
    """Read what a stopped process had written already, one pipe's fill at most."""
    os.set_blocking(descriptor, False)
    data = bytearray()
    while len(data) < _PIPE_BYTES:
        try:
            chunk = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            break
        if not chunk:
            break
        data += chunk
    return bytes(data)


def stop(process: subprocess.Popen[bytes], control: socket.socket, grace_s: float) -> None:
    """End the process and all that it started; do nothing where that is done."""
    with contextlib.suppress(OSError):  # the supervisor may have ended by itself
        control.send(b"stop")  # politely; closed without a word, as when this process is killed, it ends all at once
    control.close()  # the supervisor acts on this, also when what follows is interrupted
    try:
        process.wait(grace_s + _SUPERVISOR_MARGIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.returncode != 0:
        sweep(process.pid)


class _Lines:
    """Cuts a stream of bytes into lines, in bounded memory."""

    def __init__(self, stream: Stream) -> None:
        self._stream: Stream = stream
        self._begun = bytearray()
        self._dropping = False

    def feed(self, data: bytes) -> Iterator[Line]:
        *ended, rest = data.split(b"\n")
        for part in ended:
            if not self._dropping:
                self._begun += part
                yield self._line(complete=True)
            self._begun.clear()
            self._dropping = False
        if not self._dropping:
            self._begun += rest
            if len(self._begun) > LINE_LIMIT:
                yield self._line(complete=False)
                self._begun.clear()
                self._dropping = True

    def flush(self) -> Iterator[Line]:
        if self._begun:
            yield self._line(complete=False)
            self._begun.clear()

    def _line(self, *, complete: bool) -> Line:
        text = self._begun[:LINE_LIMIT].decode("utf-8", errors="replace").rstrip("\r")
        return Line(stream=self._stream, text=text, complete=complete and len(self._begun) <= LINE_LIMIT)
