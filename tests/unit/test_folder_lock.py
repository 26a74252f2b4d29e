"""The lock on a report folder: one holder at a time, whoever dies lets go, and nobody inherits it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_thor.errors import ReportError
from pytest_thor.folder_lock import hold


def test_a_folder_is_held_once_until_it_is_let_go(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "report"
    release = hold(folder)
    who = rf"( \(process {os.getpid()}\))?"  # the kernel names files otherwise on some file systems, such as btrfs

    with pytest.raises(ReportError, match=rf"report: another session [a-z ]*{who}; .*--thor-report"):
        hold(folder)
    release()

    hold(folder)()
    assert list(folder.iterdir()) == []


def test_another_folder_is_free(tmp_path: Path) -> None:
    releases = [hold(tmp_path / name) for name in ("left", "right")]

    for release in releases:
        release()


def test_what_a_holder_started_does_not_keep_the_folder_when_the_holder_is_killed(tmp_path: Path) -> None:
    holder = """
import os, signal, subprocess, sys
from pathlib import Path
from pytest_thor.folder_lock import hold
release = hold(Path(sys.argv[1]))
engine = subprocess.Popen(["sleep", "600"], close_fds=False, stdout=subprocess.DEVNULL)
print(engine.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run(
        [sys.executable, "-c", holder, str(tmp_path)], stdout=subprocess.PIPE, text=True, check=False
    )
    engine = int(ended.stdout)
    try:
        os.kill(engine, 0)  # it lives

        hold(tmp_path)()
    finally:
        os.kill(engine, 9)
