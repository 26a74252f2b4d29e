"""``--thor-resume``: a run that ended badly goes on where its journal ends, and measures nothing twice."""

from __future__ import annotations

import pytest

from tests.plugin.project import FAST, PP64, STUB, TG8, TG16, Project


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


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "xdist"])
def test_what_was_taken_over_is_told(broken_off: Project, workers: tuple[str, ...]) -> None:
    oldest = broken_off.journal[0]["launch"]["started_at"][:16].replace("T", " ")

    result = broken_off.run("--thor-launches", "2:2", "--thor-resume", *workers, script=FAST)

    told = f"Resumed: 2 launches of 1 cell taken over from thor-report/journal.jsonl, the oldest of {oldest} UTC."
    result.stdout.fnmatch_lines([told])
    assert broken_off.report["notes"] == [told]


def test_where_nothing_was_taken_over_nothing_is_told(broken_off: Project) -> None:
    result = broken_off.run("--thor-launches", "2:2", "--thor-resume", "-k", "tg8", script=FAST)

    assert "Resumed" not in result.stdout.str()
    assert broken_off.report["notes"] == []


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


def test_an_invalid_launch_is_made_anew(project: Project) -> None:
    impossible = {**FAST, "edits": [{"samples_ns": [1, 1, 1], "samples_ts": [6.4e10] * 3}]}
    assert project.run("--thor-launches", "2:2", script=impossible).ret == 1
    assert project.verdicts() == {"pp64": "invalid", "tg8": "no-baseline", "tg16": "no-baseline"}
    before = cells(project)

    result = project.run("--thor-launches", "2:2", "--thor-resume", script=FAST)

    assert result.ret == 0
    assert cells(project) == [*before, PP64, PP64]
    assert project.verdicts() == {"pp64": "no-baseline", "tg8": "no-baseline", "tg16": "no-baseline"}
    assert project.cell(PP64)["metrics"]["pp_tps"]["value"] == pytest.approx(999, rel=1e-3)
    numbers = [entry["number"] for entry in project.journal if entry["cell"] == PP64]
    assert numbers == list(range(1, len(numbers) + 1))


def test_what_stays_invalid_is_told_so_again(project: Project) -> None:
    impossible = {**FAST, "edits": [{"samples_ns": [1, 1, 1], "samples_ts": [6.4e10] * 3}]}
    project.run("--thor-launches", "2:2", script=impossible)

    assert project.run("--thor-launches", "2:2", "--thor-resume").ret == 1
    assert project.cell(PP64)["verdict"] == "invalid"


def test_half_a_pair_does_not_count(project: Project) -> None:
    reference = project.engine.with_name("reference")
    reference.write_text(STUB.read_text())
    reference.chmod(0o755)
    reference.with_suffix(".json").write_text(project.engine.with_name("llama-bench.json").read_text())
    arguments = ("--thor-launches", "2:2", "--thor-against", f"llama-bench={reference}", "-k", "pp64")
    assert project.run(*arguments).ret == 0
    journal = project.root / "thor-report" / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    assert [entry.get("reference", False) for entry in project.journal] == [True, False, False, True]
    journal.write_text("".join(lines[:3]))  # as though it had been killed before the second launch of the reference

    result = project.run(*arguments, "--thor-resume")

    assert result.ret == 0
    assert [(entry["number"], entry.get("reference", False)) for entry in project.journal] == [
        *((1, True), (1, False), (2, False)),
        *((3, True), (3, False)),
    ]
    told = project.cell(PP64)
    taken = [told["launches"][1]["started_at"], told["reference_launches"][1]["started_at"]]
    assert taken == [project.journal[number]["launch"]["started_at"] for number in (4, 3)]


@pytest.mark.parametrize("arguments", [("-k", "nosuch"), ("--collect-only",), ("nosuch.py",)], ids=" ".join)
def test_a_run_that_measures_nothing_costs_no_launch_of_the_run_before(
    project: Project, arguments: tuple[str, ...]
) -> None:
    project.run()
    before = project.journal
    project.run(*arguments)
    project.run("--thor-resume")

    assert project.journal == before
    assert len(project.report["cells"]) == 3
