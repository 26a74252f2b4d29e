"""A measuring job and the job that joins the shards, as a workflow runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.plugin.project import FAST, PP64, SLOW_TG16, TG8, TG16, Project

ROOT = Path(__file__).parents[2]
MEASURE = ROOT / ".ci" / "measure.py"


def environment(project: Project, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "GITHUB_OUTPUT": str(project.root / "output"),
        "THOR_MATRIX": "matrices/small.yaml\n",
        "THOR_MODELS": "models",
        "THOR_ENGINES": f"llama-bench={project.engine}\n\n",
        "THOR_AGAINST": "\n",
        "THOR_LAUNCHES": "1:2",
        **more,
    }


def measure(project: Project, **more: str) -> tuple[int, dict[str, str]]:
    output = project.root / "output"
    output.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, str(MEASURE)],
        cwd=project.root,
        env=environment(project, **more),
        capture_output=True,
        check=False,
    )
    lines = output.read_text().splitlines() if output.exists() else []
    return done.returncode, dict(line.split("=", 1) for line in lines)


def test_a_job_measures_its_own_cells_and_says_how_it_ended(project: Project) -> None:
    arguments = json.dumps(["-m", "thor_cell(workload='tg8')"])
    status, outputs = measure(project, THOR_ARGUMENTS=arguments, THOR_UPDATE_BASELINE="missing")

    assert (status, outputs) == (0, {"status": "0", "report": "thor-report"})
    assert [cell["id"] for cell in project.report["cells"]] == [TG8]
    assert project.baseline_file(TG8).is_file()


def test_a_lenient_job_leaves_the_verdict_to_the_one_that_joins_the_shards(project: Project) -> None:
    assert measure(project, THOR_UPDATE_BASELINE="missing")[0] == 0
    project.script(**SLOW_TG16)
    asked = {"THOR_FILTER": "tg16", "THOR_LAUNCHES": "2:4"}

    assert measure(project, **asked) == (1, {"status": "1", "report": "thor-report"})
    assert measure(project, **asked, THOR_LENIENT="1") == (0, {"status": "1", "report": "thor-report"})


def test_a_job_without_a_report_fails_however_lenient(project: Project) -> None:
    status, outputs = measure(project, THOR_MATRIX="matrices/absent.yaml", THOR_LENIENT="1")
    assert (status, outputs["status"]) == (4, "4")
    assert measure(project, THOR_MATRIX="\n", THOR_LENIENT="1") == (4, {})
    assert measure(project, THOR_ARGUMENTS='"-k tg8"', THOR_LENIENT="1") == (4, {})


def test_what_a_variable_holds_is_a_value_and_nothing_else(project: Project) -> None:
    for name, text in {"THOR_MATRIX": "--version", "THOR_FILTER": "--version", "THOR_BUDGET": "$(touch pwned)"}.items():
        status, _ = measure(project, **{name: text})
        assert status in {pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED}
    assert not (project.root / "pwned").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_cancelled_job_leaves_no_engine_and_keeps_its_report(project: Project, number: signal.Signals) -> None:
    project.script(**FAST, fault="hang", after=1)
    journal = project.root / "thor-report" / "journal.jsonl"
    process = subprocess.Popen(
        [sys.executable, str(MEASURE)], cwd=project.root, env=environment(project), stdout=subprocess.DEVNULL
    )
    while not (journal.exists() and journal.read_text().endswith("\n")):
        os.sched_yield()

    process.send_signal(number)

    assert process.wait() == pytest.ExitCode.INTERRUPTED
    assert project.engine_processes() == []
    assert [entry["cell"] for entry in project.journal] == [PP64]
    assert project.report["summary"]["exit_status"] == pytest.ExitCode.INTERRUPTED


def test_the_last_job_joins_what_the_shards_measured(project: Project) -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/thor-bench-run.yml").read_text())
    [join] = [step for step in workflow["jobs"]["report"]["steps"] if step.get("id") == "merge"]
    jobs = []
    for name, workload in {"a": "pp64", "b": "tg8", "c": "tg16"}.items():
        argv = ["-m", f"thor_cell(workload='{workload}')"]
        folder = f"temp/shards/{name}"
        assert measure(project, THOR_ARGUMENTS=json.dumps(argv), THOR_REPORT_DIR=folder, THOR_LENIENT="1")[0] == 0
        jobs.append({"name": name, "args": " ".join(argv), "argv": argv, "cells": 1, "expected_s": None})
    runner = {
        **os.environ,
        "PYTHON": sys.executable,
        "PLANNED": json.dumps({"include": jobs}),
        "STORE": "baselines",
        "RUNNER_TEMP": str(project.root / "temp"),
        "GITHUB_OUTPUT": str(project.root / "output"),
        "GITHUB_STEP_SUMMARY": str(project.root / "summary.md"),
        "GITHUB_ACTIONS": "true",
    }
    subprocess.run(["bash", "-eo", "pipefail", "-c", join["run"]], cwd=project.root, env=runner, check=True)

    joined = project.root / "temp" / "thor-report"
    assert [cell["id"] for cell in json.loads((joined / "report.json").read_text())["cells"]] == [PP64, TG8, TG16]
    assert (project.root / "output").read_text().endswith("status=0\n")
    assert (joined / "comment.md").read_text().startswith("<!-- pytest-thor:small+")
    assert TG16 in (project.root / "summary.md").read_text()
