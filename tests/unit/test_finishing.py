"""Signals while a run finishes: the first is not heeded, the second ends it, and afterwards all is as before."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from pytest_thor.finishing import finish_undisturbed

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FINISHES = """\
import os, sys
from pytest_thor.finishing import finish_undisturbed
finish_undisturbed()
for word in ("first", "second"):
    os.kill(os.getpid(), int(sys.argv[1]))
    print(word, flush=True)
"""


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number.name)
def test_the_first_signal_waits_and_the_second_ends_it(number: signal.Signals) -> None:
    command = [sys.executable, "-c", FINISHES, str(int(number))]
    # Ctrl-C works here also where a shell started these tests in the background, which ignores it.
    before = signal.signal(number, signal.default_int_handler)
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        signal.signal(number, before)
    assert (ended.stdout, ended.returncode) == ("first\n", -number)


def test_the_former_handlers_come_back_and_what_was_ignored_stays_so() -> None:
    before = [signal.getsignal(number) for number in NUMBERS]
    hangup = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        restore = finish_undisturbed()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is not before[1]
        restore()
    finally:
        signal.signal(signal.SIGHUP, hangup)
    assert [signal.getsignal(number) for number in NUMBERS] == before
