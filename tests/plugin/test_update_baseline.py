"""``--thor-update-baseline``: what is stored, and what never is."""

from __future__ import annotations

import json

import pytest

from tests.plugin.project import FAST, PP64, SLOW_TG16, TG8, TG16, Project


def test_missing_stores_only_where_nothing_is(project: Project) -> None:
    project.run("--thor-update-baseline=missing", "-k", "tg16")
    anchor = project.baseline_file(TG16).read_text()
    assert not project.baseline_file(TG8).exists()

    result = project.run("--thor-update-baseline", script=SLOW_TG16)

    assert result.ret == 1
    assert project.baseline_file(TG16).read_text() == anchor
    assert project.baseline_file(TG8).exists()
    result.stdout.fnmatch_lines(["Baseline stored: 2 cells in baselines/*"])


def test_accept_replaces_what_changed_and_keeps_the_anchor_of_what_did_not(project: Project) -> None:
    project.run("--thor-update-baseline=missing")
    unchanged = project.baseline_file(TG8).read_text()

    assert project.run("--thor-update-baseline=accept", script=SLOW_TG16).ret == 1
    again = project.run()

    assert project.baseline_file(TG8).read_text() == unchanged
    assert again.ret == 0
    assert project.verdicts()["tg16"] == "unchanged"


def test_what_a_busy_machine_slowed_is_stored_with_a_warning_and_never_a_regression(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = "other processes used 1.0 of 2 CPUs, cc1plus (process 9) most"
    monkeypatch.setattr("pytest_thor.beside.Beside.slowing", lambda _, launches: busy if launches else None)

    stored = project.run("--thor-update-baseline=missing", "-k", "tg16")
    slower = project.run("-k", "tg16", script=SLOW_TG16)

    stored.stdout.fnmatch_lines(["Baseline stored: 1 cell in *", "1 of them had to share the processors with other*"])
    assert slower.ret == 0
    slower.stdout.no_fnmatch_line("*had to share the processors*")
    cell = project.cell(TG16)
    assert (cell["verdict"], cell["outcome"], cell["slowing"]) == ("inconclusive", "warned", busy)
    assert cell["reason"].endswith(f"This is a suspicion: {busy}; measure again when the machine is quiet.")


def test_nothing_is_stored_unless_it_is_asked_for(project: Project) -> None:
    project.run()

    assert not (project.root / "baselines").exists()


def test_the_stored_file_has_one_launch_a_line_and_every_raw_sample(project: Project) -> None:
    project.run("--thor-update-baseline=missing", "--thor-launches=3")

    text = project.baseline_file(PP64).read_text()
    content = json.loads(text)
    assert content["schema"] == "pytest-thor/baseline/2"
    assert [len(launch["samples"]["pp_tps"]) for launch in content["launches"]] == [3, 3, 3]
    assert sum('"samples"' in line for line in text.splitlines()) == 3
    assert text.endswith("}\n")


def test_an_invalid_cell_never_becomes_a_baseline(project: Project) -> None:
    impossible = {"samples_ns": [1, 1, 1], "samples_ts": [6.4e10, 6.4e10, 6.4e10]}

    result = project.run("--thor-update-baseline=accept", "--thor-launches=2", script={**FAST, "edits": [impossible]})

    assert result.ret == 1
    assert project.verdicts()["pp64"] == "invalid"
    assert not project.baseline_file(PP64).exists()
    assert project.baseline_file(TG8).exists()


def test_a_cell_that_failed_never_becomes_a_baseline(project: Project) -> None:
    result = project.run("--thor-update-baseline=accept", script={**FAST, "fault": "exit", "after": 2})

    assert result.ret == 8
    assert project.baseline_file(TG8).exists()
    assert not project.baseline_file(TG16).exists()


def test_another_store_can_be_named(project: Project) -> None:
    project.run("--thor-update-baseline=missing", "--thor-baseline", "elsewhere")

    assert list((project.root / "elsewhere").rglob(f"{PP64}.json"))
    assert not (project.root / "baselines").exists()


def test_a_store_that_cannot_be_written_is_an_error_and_the_report_still_comes(project: Project) -> None:
    result = project.run("--thor-update-baseline=missing", "--thor-baseline", "/proc/nowhere")

    assert result.ret == 4
    assert project.report["summary"]["cells"] == 3
    result.stdout.fnmatch_lines(["*Report: thor-report/report.json", "ERROR: */proc/nowhere*--thor-baseline DIR*"])
    assert "Traceback" not in result.stdout.str()


def test_a_loss_that_nobody_accepted_is_found_again_the_next_day(project: Project) -> None:
    project.measured("--thor-update-baseline")
    project.matrix.write_text(project.matrix.read_text().replace("threads: 2", "threads: 1"))

    for _ in range(3):
        assert project.run("--thor-update-baseline", script=SLOW_TG16).ret == 1
        assert project.verdicts() == {"pp64": "unchanged", "tg8": "unchanged", "tg16": "regressed"}
