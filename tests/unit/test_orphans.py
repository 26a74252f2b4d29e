"""A session that is killed whole, supervisor and all: the device is free when its engine is gone, and nothing stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil
import pytest

from pytest_thor import orphans
from pytest_thor.host.lock import Claim, exclusive, held_by
from pytest_thor.orphans import MARK, asker, bury, sweep

PARTS = Claim(device="left", parts=("cpu0", "cpu1"))
MACHINE = Claim(device="thor")
SESSION = """\
import sys
from pytest_thor.engines.process import run
from pytest_thor.host.lock import Claim, exclusive
engine, device, *parts = sys.argv[1:]
with exclusive(Claim(device=device, parts=tuple(parts)), on_wait=print):
    for event in run([sys.executable, "-c", engine], timeout_s=600):
        print(event.text, flush=True)
"""
ENGINE = """\
import os, subprocess, sys, time
forked = subprocess.Popen(["sleep", "600"], start_new_session=True, close_fds=False)
tidy = subprocess.Popen(["sleep", "600"], start_new_session=True, close_fds=True)
print(os.getppid(), os.getpid(), forked.pid, tidy.pid, flush=True)
time.sleep(600)
"""


@dataclass(frozen=True, slots=True)
class Measuring:
    """A session that measures on a device: its engine has two helpers in sessions of their own.

    One has the engine's descriptors, as a forked child has; the other closed them, as most that are started do.
    """

    pytest: psutil.Process
    supervisor: psutil.Process
    engine: psutil.Process
    forked: psutil.Process
    tidy: psutil.Process

    def is_gone(self) -> bool:
        return not any(map(lives, (self.engine, self.forked, self.tidy)))


def lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


@contextmanager
def measuring(claim: Claim) -> Iterator[Measuring]:
    command = [sys.executable, "-c", SESSION, ENGINE, claim.device, *claim.parts]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as session:
        assert session.stdout is not None
        of = [psutil.Process(pid) for pid in (session.pid, *map(int, session.stdout.readline().split()))]
        try:
            yield Measuring(*of)
        finally:
            for process in of:
                with suppress(psutil.NoSuchProcess):
                    process.kill()


def nobody(sentence: str) -> None:
    raise AssertionError(sentence)


@pytest.mark.parametrize("claim", [MACHINE, PARTS], ids=["the machine", "a part"])
def test_the_device_of_a_killed_session_is_free_when_its_engine_is_gone(claim: Claim) -> None:
    with measuring(claim) as killed:
        killed.supervisor.suspend()  # it is as slow as can be
        killed.pytest.kill()
        killed.pytest.wait()

        assert held_by(claim) is not None
        assert lives(killed.engine)
        killed.supervisor.resume()
        with exclusive(claim, on_wait=lambda _: None):
            assert killed.is_gone()


def test_what_outlives_a_session_that_is_killed_with_its_supervisor_is_ended_before_the_next_measures() -> None:
    with measuring(MACHINE) as killed:
        killed.supervisor.suspend()
        for process in (killed.pytest, killed.supervisor):
            process.kill()
        psutil.wait_procs([killed.pytest, killed.supervisor, killed.engine])

        # Nothing is said of them here: any other session on this machine may end them first.
        with exclusive(MACHINE, on_wait=nobody):
            assert killed.is_gone()


def test_what_another_session_measures_with_is_left_alone() -> None:
    with measuring(PARTS) as living:
        with exclusive(Claim(device="right", parts=("cpu2",)), on_wait=nobody):
            pass

        assert all(map(lives, (living.engine, living.forked, living.tidy)))


@pytest.fixture
def dead() -> Iterator[str]:
    """Yield the id of a process that ended, and whose parent does not care: a zombie, as they are in containers."""
    with subprocess.Popen(["true"]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        yield str(ended.pid)


@contextmanager
def marked(mark: str) -> Iterator[psutil.Process]:
    with subprocess.Popen(["sleep", "600"], env={**os.environ, MARK: mark}, start_new_session=True) as process:
        yield psutil.Process(process.pid)
        process.kill()


@pytest.mark.parametrize(
    ("mark", "stays"),
    [
        ("{namespace}-{dead}-{dead}", False),
        ("{namespace}-{living}-{dead}", True),
        ("{namespace}-{dead}-{living}", True),
        ("1-{dead}-{dead}", True),
        ("{namespace}", True),
        ("{namespace}-{dead}", True),
        ("-{dead}-{dead}", True),
        ("{namespace}-x-y", True),
        ("", True),
    ],
)
def test_an_orphan_is_what_names_nobody_who_lives(dead: str, mark: str, *, stays: bool) -> None:
    namespace, living = asker().split("-")
    with marked(mark.format(namespace=namespace, living=living, dead=dead)) as process:
        bury()
        assert lives(process) == stays


def test_the_search_ends_though_a_process_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    # As in uninterruptible sleep, which no test can bring about.
    monkeypatch.setattr(os, "kill", lambda pid, number: tried.append((pid, number)))
    monkeypatch.setattr(orphans, "_GIVE_UP_S", 0.1)
    with marked(f"{asker()}-1234567") as process:
        sweep(1234567)
        monkeypatch.undo()

        assert lives(process)
    assert set(tried) == {(process.pid, signal.SIGKILL)}
