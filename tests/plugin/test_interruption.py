"""Ctrl-C or a cancelled job in mid-launch: no process is left, finished launches are kept, baselines are untouched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable

import psutil
import pytest

from tests.plugin.project import FAST, PP64, Project

# As `python -m pytest`, with Ctrl-C working also where a shell started these tests in the background, which ignores it.
PYTEST = (
    sys.executable,
    "-c",
    (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    ),
)


def until(condition: Callable[[], object]) -> None:
    """Wait for something that another process does; the test's own timeout is the limit."""
    while not condition():
        os.sched_yield()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_an_interrupted_run_leaves_nothing_behind_and_loses_nothing(project: Project, number: signal.Signals) -> None:
    project.script(**FAST, fault="hang", after=1)
    journal = project.root / "thor-report" / "journal.jsonl"
    command = [*PYTEST, *project.arguments, "--thor-update-baseline=missing"]
    process = subprocess.Popen(command, cwd=project.root, stdout=subprocess.PIPE, text=True)
    until(lambda: journal.exists() and journal.read_text().endswith("\n"))

    process.send_signal(number)
    output, _ = process.communicate()

    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert "KeyboardInterrupt" in output
    assert "Interrupted: each launch that finished is in thor-report/journal.jsonl, and --thor-resume goes on" in output
    assert project.engine_processes() == []
    [entry] = [json.loads(line) for line in journal.read_text().splitlines()]
    assert entry["cell"] == PP64
    assert not (project.root / "baselines").exists()
    assert json.loads((project.root / "thor-report" / "report.json").read_text())["summary"]["exit_status"] == 2


def test_a_worker_that_is_told_to_stop_interrupts_the_run_and_fails_no_test(project: Project) -> None:
    project.run("--thor-update-baseline=missing")
    launches = project.engine.with_name("llama-bench.launches")
    launches.unlink()
    project.script(pp_tps=1000.0, tg_tps={"8": [50.0, 0.001], "16": 90.0}, in_time=True)  # the second launch never ends
    command = [*PYTEST, *project.arguments, "--thor-launches=1:3", "-n1"]
    process = subprocess.Popen(command, cwd=project.root, stdout=subprocess.PIPE, text=True)
    until(lambda: launches.exists() and len(launches.read_text().splitlines()) == 2)
    [worker] = psutil.Process(process.pid).children()

    worker.terminate()
    output, _ = process.communicate()

    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert [cell["verdict"] for cell in project.report["cells"]] == ["unchanged"]
    assert project.engine_processes() == []


def test_a_log_shows_each_launch_while_the_next_is_measured(project: Project) -> None:
    project.script(pp_tps=[1000.0, 0.001], in_time=True)  # the second launch lasts for ever
    command = [*PYTEST, *project.arguments, "-k", "pp64"]
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = subprocess.Popen(command, cwd=project.root, stdout=subprocess.PIPE, text=True, env=usual)
    assert process.stdout is not None
    shown = iter(process.stdout.readline, "")

    line = next(line for line in shown if PP64 in line)

    assert "launch 1 · measured" in line
    assert process.poll() is None
    process.terminate()
    process.communicate()


def test_a_pytest_that_was_killed_leaves_no_engine_and_no_report_of_another_run(project: Project) -> None:
    (project.root / "thor-report").mkdir()
    for name in ("report.json", "report.html", "samples.csv", "mine.txt"):
        (project.root / "thor-report" / name).write_text("of yesterday")
    project.script(**FAST, fault="ignore sigterm", after=1)
    journal = project.root / "thor-report" / "journal.jsonl"
    command = [*PYTEST, *project.arguments, "--thor-export", "csv"]
    process = subprocess.Popen(command, cwd=project.root, stdout=subprocess.DEVNULL)
    until(lambda: journal.exists() and journal.read_text().endswith("\n"))
    engines = project.engine_processes()
    assert engines

    process.kill()
    process.wait()

    _, alive = psutil.wait_procs(engines, timeout=60)
    assert alive == []
    assert sorted(file.name for file in journal.parent.iterdir()) == ["journal.jsonl", "mine.txt"]


@pytest.mark.parametrize("option", [(), ("--thor-resume",)], ids=["anew", "resumed"])
def test_a_second_session_in_one_report_folder_is_refused_and_wipes_nothing(
    project: Project, option: tuple[str, ...]
) -> None:
    project.script(**FAST, fault="hang", after=1)
    journal = project.root / "thor-report" / "journal.jsonl"
    process = subprocess.Popen([*PYTEST, *project.arguments], cwd=project.root, stdout=subprocess.DEVNULL)
    until(lambda: journal.exists() and journal.read_text().endswith("\n"))
    kept = journal.read_text()

    refused = project.run(*option)

    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["*thor-report: another session writes its report there*; wait for it*"])
    assert "--thor-report DIR" in refused.stderr.str()
    assert journal.read_text() == kept
    engines = project.engine_processes()
    process.kill()
    process.wait()
    psutil.wait_procs(engines, timeout=60)
    assert project.run("--thor-resume", script=FAST).ret == 0
    assert journal.read_text().startswith(kept)


def test_an_interruption_where_the_interpreter_knows_no_line_is_reported_as_any_other(project: Project) -> None:
    project.pytester.makeconftest(
        """
        from types import TracebackType

        def pytest_runtest_teardown(item):
            if "tg8" in item.name:
                try:
                    raise KeyboardInterrupt
                except KeyboardInterrupt as error:
                    inner = error.__traceback__
                    lineless = TracebackType(inner, inner.tb_frame, 10**6, -1)
                    assert lineless.tb_lineno in {None, -1}
                    raise error.with_traceback(lineless)
        """
    )

    result = project.pytester.runpytest(*project.arguments, no_reraise_ctrlc=True)

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert project.verdicts()["pp64"] == "no-baseline"
    assert "TypeError" not in result.stdout.str() + result.stderr.str()


def test_an_interruption_before_the_first_launch_promises_nothing(project: Project) -> None:
    project.pytester.makeconftest("def pytest_runtest_setup(item):\n    raise KeyboardInterrupt\n")

    result = project.pytester.runpytest(*project.arguments, no_reraise_ctrlc=True)

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "--thor-resume" not in result.stdout.str()
