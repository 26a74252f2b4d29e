"""One device, one measurement at a time; several devices side by side. All of it by what engine and journal tell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from threading import Event, Timer
from typing import Any

import pytest

from pytest_thor.host.lock import Claim, exclusive
from pytest_thor.pace import Pace
from tests.plugin.project import FAST, PP64, STUB, TG8, TG16, Project

CPUS = sorted(os.sched_getaffinity(0))
LEFT, RIGHT = (f"left=cpus:{CPUS[0]}", f"right=cpus:{CPUS[-1]}")
two_devices = pytest.mark.skipif(len(CPUS) < 2, reason="two CPU sets need two CPUs that this process may run on")
TWO_QUANTS = """\
name: small
models:
  tiny: {gguf: tiny/tiny-F16.gguf, quants: [F16]}
  twin: {gguf: tiny/tiny-F16.gguf, quants: [F16]}
backends:
  llama.cpp: {engine: llama-bench}
workloads:
  pp64: {kind: prefill, n_prompt: 64, repetitions: 3}
  tg8: {kind: decode, n_gen: 8, repetitions: 3}
"""
ENGINE = """\
#!{python}
import fcntl, json, os, sys, time
from pathlib import Path

here = Path(__file__).parent
if "-o" in sys.argv:  # a launch, and no question
    cpus = sorted(os.sched_getaffinity(0))
    variables = {{name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")}}
    with (here / "launches.jsonl").open("a") as log:
        log.write(json.dumps({{"cpus": cpus, "argv": sys.argv[1:], **variables}}) + "\\n")
    begun = here / f"on-{{cpus[0]}}.begun"
    alone = os.open(begun, os.O_RDWR | os.O_CREAT)
    os.set_inheritable(alone, True)  # held until this engine has ended
    try:
        fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("stub: error: another engine measures on this device")
    give_up = time.monotonic() + 60
    while len(list(here.glob("on-*.begun"))) < {together}:
        if time.monotonic() > give_up:
            sys.exit("stub: error: nobody measured beside this engine")
        time.sleep(0.01)
os.execv(sys.executable, [sys.executable, {stub!r}, *sys.argv[1:]])
"""


class Side(Project):
    """A project of two engine starts, whose engine tells where it ran, and may wait for the other device's."""

    @property
    def arguments(self) -> list[str]:
        # On a busy machine a launch may be told as invalid; here it counts when it was, not how fast.
        return [*super().arguments, "--thor-invalid", "warn"]

    def engine_waits_for(self, together: int) -> None:
        self.engine.write_text(ENGINE.format(python=sys.executable, together=together, stub=str(STUB)))
        for file in self.engine.parent.glob("on-*.begun"):
            file.unlink()

    @property
    def launches(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.engine.parent / "launches.jsonl").read_text().splitlines()]

    def devices(self) -> dict[str, set[str]]:
        """Which models were measured on each device."""
        found: dict[str, set[str]] = {}
        for cell in self.report["cells"]:
            found.setdefault(cell["device"], set()).add(cell["model"])
        return found


@pytest.fixture
def side(pytester: pytest.Pytester, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Side:
    side = Side(pytester, tiny_model)
    side.matrix.write_text(TWO_QUANTS, encoding="utf-8")
    side.engine_waits_for(1)
    monkeypatch.setenv("STUB_LLAMA_BENCH", json.dumps({**FAST, "in_time": True}))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return side


def intervals(journal: Iterable[dict[str, Any]]) -> list[tuple[float, float]]:
    """When each launch began and ended, in seconds since 1970, in order."""
    begun = [
        (datetime.fromisoformat(entry["launch"]["started_at"]).timestamp(), entry["launch"]["duration_s"])
        for entry in journal
    ]
    return sorted((start, start + duration_s) for start, duration_s in begun)


def overlaps_s(spans: Sequence[tuple[float, float]]) -> list[float]:
    """By how much each launch begins before the one before it has ended."""
    return [end - start for (_, end), (start, _) in pairwise(spans)]


CLOCK_S = 0.1
"""A start is told by the wall clock and a duration by another, and the two may drift apart.

That no engine runs beside another of its device, the engine itself makes sure of.
"""


def start(project: Project, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *project.arguments, *arguments]
    return subprocess.Popen(command, cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def read_journal(project: Project, report: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (project.root / report / "journal.jsonl").read_text().splitlines()]


def test_four_workers_measure_one_cell_at_a_time(side: Side) -> None:
    result = side.run("-n4")

    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["  tiny-F16-llama.cpp-pp64  *no-baseline", "tiny F16"])
    spans = intervals(side.journal)
    assert len(spans) == 12  # four cells, three launches
    assert all(end > start for start, end in spans)
    assert max(overlaps_s(spans)) < CLOCK_S
    assert len(side.devices()) == 1


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["sessions", "xdist"])
def test_two_runs_at_once_on_one_device_take_turns(side: Side, workers: tuple[str, ...]) -> None:
    runs = [start(side, "--thor-report", f"report-{name}", *workers) for name in ("one", "other")]
    said = [run.communicate(timeout=120)[0] for run in runs]

    assert [run.returncode for run in runs] == [0, 0], "\n".join(said)
    journals = [read_journal(side, f"report-{name}") for name in ("one", "other")]
    assert [len(journal) for journal in journals] == [12, 12]
    together = intervals([*journals[0], *journals[1]])
    assert max(overlaps_s(together)) < CLOCK_S


@pytest.mark.parametrize("workers", [(), ("-n1",), ("-q",), ("-v",)], ids=["sessions", "xdist", "quiet", "verbose"])
def test_who_is_waited_for_is_said(side: Side, workers: tuple[str, ...]) -> None:
    side.engine_waits_for(2)  # the first engine waits until the test lets it go on
    with start(side, "--thor-report", "report-first", *workers) as first:
        while not list(side.engine.parent.glob("on-*.begun")):
            assert first.poll() is None
        second = start(side, "--thor-report", "report-second", *workers)
        told = ""
        assert second.stdout is not None
        while "is being measured by" not in told:
            told = second.stdout.readline()
            assert told or second.poll() is None
        (side.engine.parent / "on-test.begun").touch()
        first.communicate(timeout=120)
        second.communicate(timeout=120)

    holder = first.pid if not workers else r"\d+"  # a worker's own command line says nothing of what it measures
    who, command = rf"process {holder} since \d{{4}}-\d\d-\d\dT[\d:+]+", r"\(.*pytest.*--thor-matrix.*\)"
    assert re.search(rf"is being measured by {who} {command}; waiting for it to finish", told)
    assert (first.returncode, second.returncode) == (0, 0)


@two_devices
def test_two_devices_measure_side_by_side_each_bound_to_its_own(side: Side) -> None:
    side.engine_waits_for(2)  # each device's engine goes on when the other's has begun

    result = side.run("--thor-device", LEFT, "--thor-device", RIGHT, "-n", "auto", "--thor-update-baseline")

    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines([f"thor: on {LEFT}", f"thor: on {RIGHT}", "*2 workers*"])
    for name, [model] in side.devices().items():
        result.stdout.fnmatch_lines([f"  {model}-F16-llama.cpp-pp64  *no-baseline on {name}"])
        result.stdout.fnmatch_lines([f"{model} F16 ({name})"])
    assert side.devices() in ({"left": {"tiny"}, "right": {"twin"}}, {"left": {"twin"}, "right": {"tiny"}})
    on = {name: intervals(entry for entry in side.journal if entry["device"] == name) for name in ("left", "right")}
    assert all(max(overlaps_s(spans)) < CLOCK_S for spans in on.values())
    assert min(end for _, end in on["left"]) > min(start for start, _ in on["right"])
    assert min(end for _, end in on["right"]) > min(start for start, _ in on["left"])
    assert {tuple(launch["cpus"]) for launch in side.launches} == {(CPUS[0],), (CPUS[-1],)}
    for launch in side.launches:
        assert launch["CUDA_VISIBLE_DEVICES"] == ""
        assert launch["argv"][launch["argv"].index("-t") + 1] == "1"
    for name, [model] in side.devices().items():
        stored = sorted((side.root / "baselines" / name / "small").glob("*.json"))
        assert [file.name for file in stored] == [f"{model}-F16-llama.cpp-{each}.json" for each in ("pp64", "tg8")]


@two_devices
def test_a_cell_goes_where_its_baseline_is(side: Side) -> None:
    for text, model in ((LEFT, "twin"), (RIGHT, "tiny")):
        assert side.run("--thor-device", text, "-k", model, "--thor-update-baseline").ret == 0
    both = ("--thor-device", LEFT, "--thor-device", RIGHT)

    result = side.run(*both, "-n", "auto")

    assert result.ret == 0
    assert side.devices() == {"left": {"twin"}, "right": {"tiny"}}
    assert {cell["verdict"] for cell in side.report["cells"]} == {"unchanged"}


@two_devices
def test_what_an_interrupted_run_finished_is_gone_on_with_on_the_same_device(side: Side) -> None:
    for text, model in ((LEFT, "twin"), (RIGHT, "tiny")):
        side.run("--thor-device", text, "-k", f"{model} and pp64", "--thor-resume")
    before = len(side.journal)

    side.run("--thor-device", LEFT, "--thor-device", RIGHT, "-n", "auto", "--thor-resume")

    assert side.devices() == {"left": {"twin"}, "right": {"tiny"}}
    assert before == 6
    assert len(side.journal) == 12  # those of tg8 were added, and none of pp64


@two_devices
def test_one_part_is_a_device_without_workers_too(side: Side) -> None:
    result = side.run("--thor-device", RIGHT, "-k", "tiny")

    assert result.ret == 0
    assert {tuple(launch["cpus"]) for launch in side.launches} == {(CPUS[-1],)}
    assert sorted(os.sched_getaffinity(0)) == CPUS
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    fingerprint = side.report["cells"][0]["fingerprint"]["must_match"]
    assert fingerprint["device"] == "right"
    assert fingerprint["part"] == f"cpus:{CPUS[-1]}"
    assert fingerprint["logical_cpus"] == 1
    assert side.report["environment"]["device"] == "right"


@two_devices
def test_a_device_of_the_same_name_elsewhere_is_not_compared(side: Side) -> None:
    side.run("--thor-device", f"mine=cpus:{CPUS[0]}", "-k", "tiny and tg8", "--thor-update-baseline")

    side.run("--thor-device", f"mine=cpus:{CPUS[-1]}", "-k", "tiny and tg8")

    [cell] = side.report["cells"]
    assert cell["verdict"] == "incomparable"
    assert cell["differences"] == [f"part: cpus:{CPUS[0]} → cpus:{CPUS[-1]}"]


@two_devices
def test_a_worker_may_bring_its_own_device(side: Side) -> None:
    side.engine_waits_for(2)
    elsewhere = f"popen//env:THOR_DEVICE={RIGHT}"

    result = side.run("--thor-device", LEFT, "--tx", "popen", "--tx", elsewhere, "-d")

    result.assert_outcomes(passed=4)
    assert set(side.devices()) == {"left", "right"}


@two_devices
def test_two_workers_that_bring_the_same_device_are_one(side: Side) -> None:
    result = side.run("--tx", f"2*popen//env:THOR_DEVICE={LEFT}", "-d")

    result.assert_outcomes(passed=4)
    assert set(side.devices()) == {"left"}
    assert max(overlaps_s(intervals(side.journal))) < CLOCK_S


@two_devices
def test_a_lost_workers_device_is_taken_by_the_one_that_takes_its_place(side: Side) -> None:
    side.pytester.makeconftest(
        """
        import os
        from pathlib import Path

        def pytest_runtest_teardown(item):
            lost = Path("lost")
            if "twin" in item.name and not lost.exists():
                lost.touch()
                os._exit(9)
        """
    )

    side.run("--thor-device", LEFT, "--thor-device", RIGHT, "-n", "auto")

    measured = {(cell["model"], cell["workload"]): cell["device"] for cell in side.report["cells"]}
    assert set(measured) == {("tiny", "pp64"), ("tiny", "tg8"), ("twin", "pp64"), ("twin", "tg8")}
    assert set(measured.values()) == {"left", "right"}
    for name in ("left", "right"):
        own = intervals(entry for entry in side.journal if entry["device"] == name)
        assert max(overlaps_s(own), default=0) < CLOCK_S


@two_devices
def test_no_launch_is_begun_after_a_wait_that_used_the_budget_up(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    side.engine_waits_for(2)  # the first launch ends when somebody waits for the machine, who comes before the next
    folder = side.engine.parent
    hours_later = Event()

    class HoursLater(Pace):
        def affords(self, seconds: float) -> bool:
            return not hours_later.is_set() and super().affords(seconds)

    monkeypatch.setattr("pytest_thor.session.Pace", HoursLater)

    def hold_the_machine() -> None:
        give_up = time.monotonic() + 60
        while not list(folder.glob("on-*.begun")):
            assert time.monotonic() < give_up
            time.sleep(0.01)
        ends = Timer(0.5, (folder / "on-test.begun").touch)
        with exclusive(Claim(device="machine"), on_wait=lambda _: ends.start()):
            time.sleep(0.5)  # the session asks for its second launch, and waits
            hours_later.set()

    with ThreadPoolExecutor(1) as other:
        held = other.submit(hold_the_machine)
        side.run("--thor-device", RIGHT, "--thor-budget", "1h", "-k", "tiny")
        held.result()

    assert len(side.launches) == 1
    reasons = [cell["reason"] for cell in side.report["cells"]]
    assert all("was used up before another launch could tell more." in reason for reason in reasons), reasons


def test_the_number_of_workers_is_that_of_the_devices(side: Side) -> None:
    side.run("-n", "auto", "-k", "tiny").stdout.fnmatch_lines(["*1 worker*"])


def test_n_auto_without_a_matrix_is_pytest_xdists(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "3")
    pytester.makepyfile("def test_one(): pass")

    pytester.runpytest("-n", "auto").stdout.fnmatch_lines(["*3 workers*"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--thor-device", "gpu0"], "--thor-device gpu0: expected gpu:INDEX or cpus:FIRST-LAST"),
        (["--thor-device", "cpus:3-1"], "--thor-device cpus:3-1: expected gpu:INDEX"),
        (["--thor-device", "../x=cpus:0"], "'../x' is no name for a device"),
        (["--thor-device", "cpus:9999"], "cpus:9999: there is no CPU 9999; this process may run on "),
        (["--thor-device", "gpu:77"], "gpu:77: there is no GPU 77; this machine has "),
        (
            ["--thor-device", "cpus:0-3", "--thor-device", "cpus:2-5"],
            "cpus:0-3 and cpus:2-5 have a GPU or a CPU in common",
        ),
        (["--thor-device", "a=cpus:0", "--thor-device", "a=cpus:1"], "two devices of one name would share baselines"),
        (["--thor-device", "cpus:0", "--thor-device", "cpus:1"], "names 2 devices, and each needs a worker"),
        (
            ["--thor-device", "cpus:0", "--thor-device", "cpus:1", "-n1"],
            "2 devices and 1 worker for them on this machine",
        ),
    ],
)
def test_a_device_that_cannot_be_is_refused_with_what_to_do(side: Side, arguments: list[str], said: str) -> None:
    result = side.run(*arguments)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in f"{result.stdout}{result.stderr}"


def test_collecting_needs_no_device(side: Side) -> None:
    result = side.run("--thor-device", "gpu:77", "--thor-device", "cpus:9999", "--thor-list")

    assert result.ret == 0
    assert len(result.outlines) == 4


def test_cells_are_found_in_the_ids_of_tests_with_other_parameters(project: Project) -> None:
    project.pytester.makepyfile(
        test_own="""
        import pytest

        @pytest.mark.parametrize("time", [1, 2])
        def test_cell(thor_run, thor_cell, time):
            assert thor_run().metrics

        @pytest.mark.parametrize("time", range(8))
        def test_other(time):
            pass
        """
    )

    result = project.run("test_own.py", "-n3")

    result.assert_outcomes(passed=14)
    assert sorted({entry["cell"] for entry in project.journal}) == sorted([PP64, TG8, TG16])
    assert max(overlaps_s(intervals(project.journal))) < CLOCK_S
