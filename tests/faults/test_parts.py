"""Whatever part is killed, stopped, starved or cut, at whatever point: nothing is left behind, nothing is lost.

Short forms of ``benchmarks/fault_harness.py``; THOR_FAULT_SEED moves the points.
"""

from __future__ import annotations

import json
import shutil
import signal
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from tests.faults.machine import Clock, Disk, shim_works
from tests.faults.network import Cutting, served, suffer_cuts
from tests.faults.ordeal import Tally, suffer
from tests.faults.scene import Scene
from tests.faults.strikes import Fault, Kill, KillTogether, Stop, few_descriptors, files_cut


def assert_all_held(tally: Tally, strikes: int) -> None:
    assert not tally.told, "\n\n".join(tally.told)
    assert tally.strikes == strikes
    assert tally.runs_completed >= 1


def test_a_part_is_killed(scene: Scene, random: Random) -> None:
    faults: list[Fault] = [
        Kill(part="pytest", number=signal.SIGKILL),
        Kill(part="pytest", number=signal.SIGTERM),
        Kill(part="pytest", number=signal.SIGINT),
        Kill(part="engine", number=signal.SIGKILL),
        Kill(part="engine", number=signal.SIGTERM),
        Kill(part="supervisor", number=signal.SIGKILL),
        Kill(part="supervisor", number=signal.SIGTERM),
    ]
    assert_all_held(suffer(scene, faults, random, strikes=6), 6)


def test_pytest_and_the_supervisor_are_killed_at_once(scene: Scene, random: Random) -> None:
    assert_all_held(suffer(scene, [KillTogether()], random, strikes=2), 2)


def test_an_xdist_worker_is_killed(scene: Scene, random: Random) -> None:
    faults: list[Fault] = [Kill(part="worker", number=number) for number in (signal.SIGKILL, signal.SIGTERM)]
    assert_all_held(suffer(scene, faults, random, strikes=1), 1)


def test_a_part_is_stopped_for_a_while(scene: Scene, random: Random) -> None:
    faults: list[Fault] = [
        Stop(part="pytest", longest_s=0.5),
        Stop(part="pytest", share=0.8),
        Stop(part="supervisor", longest_s=0.5),
        Stop(part="engine", longest_s=0.5),
    ]
    assert_all_held(suffer(scene, faults, random, strikes=3), 3)


def test_files_cannot_grow(scene: Scene, random: Random) -> None:
    assert_all_held(suffer(scene, [files_cut()], random, strikes=3), 3)


def test_hardly_any_file_may_be_opened(scene: Scene, random: Random) -> None:
    assert_all_held(suffer(scene, [few_descriptors()], random, strikes=2), 2)


@pytest.mark.parametrize("read_only", [False, True], ids=["full", "read-only"])
def test_the_disk_fails(scene: Scene, random: Random, *, read_only: bool) -> None:
    try:
        tally = suffer(scene, [Disk(read_only=read_only)], random, strikes=1)
    except PermissionError as error:
        pytest.skip(f"no file system of its own: {error}")
    assert_all_held(tally, 1)


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_the_clock_jumps(scene: Scene, random: Random) -> None:
    assert shim_works(scene)
    assert_all_held(suffer(scene, [Clock()], random, strikes=1), 1)
    begun = [datetime.fromisoformat(launch["launch"]["started_at"]) for launch in scene.journal]
    assert max(begun) - min(begun) > timedelta(minutes=10), "the clock stood still"


def test_the_network_is_cut(model: Path, tmp_path: Path, random: Random) -> None:
    cuttings = [
        Cutting(kind="reset", longest_s=0.0),
        Cutting(kind="refuse", longest_s=0.5),
        Cutting(kind="stall", longest_s=0.3),
    ]
    with served(tmp_path / "served", model) as (scene, proxy):
        tally = suffer_cuts(scene, proxy, cuttings, random, strikes=3)
    assert not tally.told, "\n\n".join(tally.told)
    assert tally.runs_completed == 1


def test_a_reset_in_mid_load_is_told_and_never_stored(model: Path, tmp_path: Path) -> None:
    with served(tmp_path / "served", model) as (scene, proxy):
        running = scene.start("--thor-update-baseline=missing")
        assert running.wait_for(lambda: proxy.forwarded > 4000)
        proxy.cut("reset")
        ended = running.end()

    assert ended.code == 1
    assert "requests failed" in ended.output
    [cell] = json.loads((scene.report / "report.json").read_text())["cells"]
    assert cell["verdict"] == "invalid"
    assert not (scene.root / "baselines").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_while_the_report_is_written_loses_nothing(scene: Scene, number: signal.Signals) -> None:
    running = scene.start()
    # report.json is the first of the files, and what is told on the terminal comes after all of them.
    assert running.wait_for((scene.report / "report.json").exists)
    Kill(part="pytest", number=number).send(running)
    ended = running.end()

    assert ended.code == 1
    assert "Report: thor-report/report.json" in ended.output
    assert (scene.report / "report.html").exists()
