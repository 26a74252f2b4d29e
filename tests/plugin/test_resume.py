"""``--thor-resume``: a run that ended badly goes on where its journal ends, and measures nothing twice."""

from __future__ import annotations

import pytest

from tests.plugin.project import FAST, PP64, TG8, TG16, Project


def cells(project: Project) -> list[str]:
    return [entry["cell"] for entry in project.journal if entry["launch"]["failure"] is None]


@pytest.fixture
def broken_off(project: Project) -> Project:
    """A project whose engine crashed after the first cell of its first launch."""
    assert project.run("--thor-launches", "2:2", script={**FAST, "fault": "crash", "after": 1}).ret == 8
    assert cells(project) == [PP64] * 2
    return project


def test_finished_launches_are_taken_over_and_only_the_rest_is_measured(broken_off: Project) -> None:
    result = broken_off.run("--thor-launches", "2:2", "--thor-resume", script=FAST)

    assert result.ret == 0
    assert cells(broken_off) == [PP64] * 2 + [TG8, TG16] * 2
    assert [len(broken_off.cell(cell)["launches"]) for cell in (PP64, TG8, TG16)] == [2, 2, 2]


def test_a_finished_run_is_told_again_without_a_launch(project: Project) -> None:
    project.run("--thor-launches", "2:2")
    starts = project.engine.with_name("llama-bench.launches").read_text()

    result = project.run("--thor-launches", "2:2", "--thor-resume")

    result.assert_outcomes(passed=3)
    assert project.engine.with_name("llama-bench.launches").read_text() == starts
    assert project.cell(PP64)["metrics"]["pp_tps"]["value"] == pytest.approx(999, rel=1e-3)


def test_launches_under_other_conditions_do_not_count(broken_off: Project) -> None:
    broken_off.matrix.write_text(broken_off.matrix.read_text().replace("threads: 2", "threads: 1"))

    broken_off.run("--thor-launches", "2:2", "--thor-resume", script=FAST)

    assert cells(broken_off) == [PP64] * 2 + [PP64, TG8, TG16] * 2


def test_without_the_option_a_run_begins_anew(broken_off: Project) -> None:
    broken_off.run("--thor-launches", "2:2", script=FAST)

    assert cells(broken_off) == [PP64, TG8, TG16] * 2


def test_a_torn_or_foreign_line_is_no_launch(project: Project) -> None:
    project.run("--thor-launches", "2:2")
    journal = project.root / "thor-report" / "journal.jsonl"
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join(["[]", '{"schema": "pytest-thor/journal/2"}', *lines[:-1], lines[-1][:-20]]))

    result = project.run("--thor-launches", "2:2", "--thor-resume")

    assert result.ret == 0
    last = [line for line in journal.read_text().splitlines() if f'"cell":"{TG16}"' in line]
    assert len(last) == 3  # one whole, the torn one, and the one that was made in its place
