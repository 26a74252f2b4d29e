r"""Runs one command and leaves nothing of it behind, even when whoever asked for it is killed.

A script of its own, started by ``process.py`` as ``python -I -S supervisor.py CONTROL_FD GRACE_S NAME=ASKER COMMAND…``.
``CONTROL_FD`` is one end of a socket pair; ``NAME`` is a variable for all that the command starts, which says that
``ASKER`` asked for it and this process watches over it. When the other end says so, everything the command started is
ended: SIGTERM, up to ``GRACE_S`` seconds, SIGKILL. When it closes without a word (the asker died of SIGKILL and could
do nothing) all is killed at once: the next measurement may be waiting for the device. Its lock is among the descriptors
that this process and the command inherit, and so is free when they are gone.
When the command ends by itself, its exit code (negative: the signal) and the number of processes that it left
behind are written there as ``"CODE STRAYS\n"``.

Why a process and not a parent-death signal set in pytest: that signal is tied to the *thread* that started the
child, needs code between fork and exec in a process that may run threads, and reaches the child only. This process
is a child subreaper, so whatever the command forks stays its descendant, a daemon in a session of its own too.
While the command runs it sleeps in ``select``; it costs the measured machine no time.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
GIVE_UP_S = 10.0  # a process in uninterruptible sleep (a hung driver) cannot be ended by anybody
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(arguments: list[str]) -> int:
    """Run the command of the module's docstring; return the exit status of this process."""
    control, grace_s, mark, command = int(arguments[0]), float(arguments[1]), arguments[2], arguments[3:]
    os.set_inheritable(control, False)
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    name, _, asker = mark.partition("=")
    os.environ[name] = f"{asker}-{os.getpid()}"
    wake = _wake_on_signals()
    engine = _start(command, prctl)
    _let_go_of_the_pipes()

    code: int | None = None
    politely = True
    while code is None:
        ready, _, _ = select.select([control, wake], [], [])
        if wake in ready and any(number in STOP_SIGNALS for number in os.read(wake, 512)):
            break
        code = _reap().get(engine)
        if code is None and control in ready:
            politely = bool(os.read(control, 16))  # nothing: the other end was killed, and its device is free
            break
    if code is None and politely:
        _end_politely(grace_s)
    strays = _kill_descendants()
    with contextlib.suppress(OSError):  # the other end is gone: nobody is left to be told
        os.write(control, f"{-signal.SIGTERM if code is None else code} {strays}\n".encode())
    return 0


def _wake_on_signals() -> int:
    """Return a descriptor that receives the number of each signal that must be acted on."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, *STOP_SIGNALS):
        signal.signal(number, lambda *_: None)
    return reader


def _start(command: list[str], prctl: ctypes._NamedFuncPointer) -> int:
    """Fork and execute the command; it dies should this process be killed."""
    supervisor = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != supervisor:  # it died before the signal was set
            os._exit(1)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, *STOP_SIGNALS):
            signal.signal(number, signal.SIG_DFL)
        os.execv(command[0], command)  # noqa: S606 - an argument list and no shell, on purpose
    except OSError as error:
        os.write(2, f"{command[0]}: cannot be started: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _let_go_of_the_pipes() -> None:
    """Leave the standard streams to the command, so that their end is its end."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)


def _reap() -> dict[int, int]:
    """Collect every child that has ended: exit codes by process id."""
    codes: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return codes
        if pid == 0:
            return codes
        codes[pid] = os.waitstatus_to_exitcode(status)


def _descendants() -> set[int]:
    """List every living process below this one."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):  # it has just ended
            state, parent = (folder / "stat").read_bytes().rpartition(b")")[2].split()[:2]
            if state != b"Z":
                children.setdefault(int(parent), []).append(int(folder.name))
    found: set[int] = set()
    waiting = [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.update(below)
        waiting.extend(below)
    return found


def _signal_all(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _end_politely(grace_s: float) -> None:
    """Ask everything to end, and wait until it has or the time is over."""
    _signal_all(_descendants(), signal.SIGTERM)
    end = time.monotonic() + grace_s
    while time.monotonic() < end:
        _reap()
        if not _descendants():
            return
        time.sleep(0.01)


def _kill_descendants() -> int:
    """Kill what is left until nothing is; return how many processes it was."""
    killed: set[int] = set()
    end = time.monotonic() + GIVE_UP_S
    while time.monotonic() < end:
        _reap()
        left = _descendants()
        if not left:
            break
        killed |= left
        _signal_all(left, signal.SIGKILL)
        time.sleep(0.002)
    _reap()
    return len(killed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
