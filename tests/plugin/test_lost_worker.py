"""A worker of pytest-xdist that is lost: its test is run again, and what was not measured is no regression."""

from __future__ import annotations

from tests.plugin.project import SLOW_TG16, TG8, TG16, Project

LOSE = """\
import os
from pathlib import Path

def pytest_runtest_{phase}(item):
    lost = Path("lost")
    before = lost.read_text() if lost.exists() else ""
    if {name!r} in item.name and len(before) < {times}:
        lost.write_text(before + "x")
        os._exit(9)
"""


def lose(project: Project, *, phase: str, name: str, times: int = 1) -> None:
    """Have the first workers that come to a test end there."""
    project.pytester.makeconftest(LOSE.format(phase=phase, name=name, times=times))


def launched(project: Project, cell: str) -> int:
    return sum(entry["cell"] == cell for entry in project.journal)


def test_the_test_of_a_lost_worker_is_run_again_with_the_launches_that_it_had_finished(project: Project) -> None:
    lose(project, phase="teardown", name="pp64")  # all three cells are launched for the first

    result = project.run("-n1")

    assert result.ret == 0
    assert "error" not in result.stdout.str()
    result.stdout.fnmatch_lines(["*node down*", "*4 passed, 1 rerun*"])
    assert set(project.verdicts().values()) == {"no-baseline"}
    assert [len(cell["launches"]) for cell in project.report["cells"]] == [3, 3, 3]
    assert len(project.journal) == 9


def test_a_test_that_loses_two_workers_could_not_be_measured_and_the_others_are(project: Project) -> None:
    lose(project, phase="call", name="tg8", times=9)

    result = project.run("-n1")

    assert result.ret == 8
    assert project.verdicts() == {"pp64": "no-baseline", "tg8": None, "tg16": "no-baseline"}
    told = project.cell(TG8)
    assert told["outcome"] == "error"
    assert told["reason"].startswith("worker 'gw1' crashed while running 'matrices/small.yaml::test_decode[")
    assert told["reason"].endswith("; --thor-resume goes on with the launches that it had finished")
    result.stdout.fnmatch_lines(["3 cells: 1 error, 2 no-baseline*", "*1 failed, 2 passed, 1 rerun*"])

    lose(project, phase="call", name="tg8", times=0)
    before = project.journal

    assert project.run("-n1", "--thor-resume").ret == 0
    assert project.journal == before


def test_what_no_worker_is_started_for_could_not_be_measured(project: Project) -> None:
    lose(project, phase="call", name="tg8")

    result = project.run("-n1", "--max-worker-restart=0")

    assert result.ret == 8
    assert project.verdicts()["tg8"] is None


def test_a_regression_beside_a_lost_worker_is_a_regression(project: Project) -> None:
    assert project.run("--thor-update-baseline=missing").ret == 0
    lose(project, phase="call", name="tg8", times=9)

    result = project.run("-n1", script=SLOW_TG16)

    assert result.ret == 1
    assert project.cell(TG16)["verdict"] == "regressed"


def test_a_test_of_ones_own_that_loses_two_workers_failed(project: Project) -> None:
    project.pytester.makepyfile(test_own="def test_without_a_cell():\n    pass\n")
    lose(project, phase="call", name="without", times=9)

    assert project.run("-n1", "matrices/small.yaml", "test_own.py").ret == 1


def test_a_run_whose_last_worker_is_lost_before_a_test_was_run_does_not_pass(project: Project) -> None:
    project.pytester.makepyfile(test_own="def test_of_ones_own(): pass")
    lose(project, phase="call", name="of_ones_own")

    result = project.run("-n1", "--max-worker-restart=0", "test_own.py")

    assert result.ret == 1
    result.stdout.fnmatch_lines(["*worker restarting disabled*", "*1 rerun*"])
