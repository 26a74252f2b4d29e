"""Ends what engines left running where nobody watches over them any more.

An engine runs under a supervisor, which ends all of it when whoever asked for it is gone. Something can be left only
where the supervisor is killed too. It is known by a mark in its environment, which what it starts inherits: of whom
asked for it, and of who watched over it. A process that cleared its environment and went into a session of its own is
not known by anything.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

MARK = "PYTEST_THOR_SUPERVISOR"
"""The variable that carries the mark."""

_WANTED = f"{MARK}=".encode()
_GIVE_UP_S = 10.0
"""A process in uninterruptible sleep (a hung driver) cannot be ended by anybody."""


def asker() -> str:
    """Return how this process is named in a mark, to which the supervisor adds a hyphen and its own process id.

    That is the number of the PID namespace, since a container counts its processes anew, and the process id.
    """
    return f"{_namespace()}-{os.getpid()}"


def sweep(supervisor: int) -> None:
    """Kill what is left of a program that this process asked for and whose supervisor is gone.

    That is its session, and whatever went into a session of its own.
    """
    mark = f"{asker()}-{supervisor}"
    _kill(lambda pid: os.getsid(pid) == supervisor or _mark_of(pid) == mark)


def bury() -> None:
    """Kill what is left of programs whose askers and supervisors are all gone.

    Nothing of another PID namespace, and nothing that this user may not kill.
    """
    here = _namespace()

    def is_orphan(pid: int) -> bool:
        namespace, by, supervisor = _mark_of(pid).split("-")  # with nothing of it, it is no orphan of ours
        return namespace == here and not _lives(int(by)) and not _lives(int(supervisor))

    _kill(is_orphan)


def _kill(is_meant: Callable[[int], bool]) -> None:
    """Kill until no process is left that could start another."""
    end = time.monotonic() + _GIVE_UP_S
    while True:
        found = False
        for folder in Path("/proc").glob("[0-9]*"):
            pid = int(folder.name)
            with contextlib.suppress(OSError, ValueError):  # it has just ended, or is none of ours to look at
                if pid != os.getpid() and is_meant(pid) and _lives(pid):
                    os.kill(pid, signal.SIGKILL)
                    found = True
        if not found or time.monotonic() > end:
            return
        time.sleep(0.002)


def _mark_of(pid: int) -> str:
    """Return a process's mark, empty where it has none."""
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return next((text[len(_WANTED) :].decode() for text in variables if text.startswith(_WANTED)), "")


def _lives(pid: int) -> bool:
    """Tell whether a process is there and is no zombie, which in a container may stay for ever."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in {b"Z", b"X"}
    except OSError:
        return False


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:  # a kernel without namespaces
        return "0"
