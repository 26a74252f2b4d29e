"""Between launches: gone, dropped, at rest, or said why not."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_thor.host.hygiene import Hygiene, Rest, State
from pytest_thor.host.part import Part
from tests.unit.host.card import Card
from tests.unit.host.trees import plant, write

TEMPERATURE = "sys/class/thermal/thermal_zone4/temp"
NOTHING = State(available_bytes=None, gpu_used_bytes=None, hottest_c=None, busy=None, engines={})


class Clock:
    """A clock that only sleeping moves; ``at`` says what happens at which time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.at: dict[float, tuple[Path, str]] = {}

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for due in [due for due in self.at if due <= self.now]:
            file, content = self.at.pop(due)
            file.write_text(content, encoding="utf-8")


def process(root: Path, pid: int, parent: int, name: str) -> None:
    write(root, f"proc/{pid}/stat", f"{pid} ({name}) S {parent} 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0\n")
    write(root, f"proc/{pid}/comm", f"{name}\n")


@pytest.fixture
def thor(tmp_path: Path) -> Path:
    root = plant("thor-r38.4", tmp_path)
    process(root, 100, 1, "pytest")
    return root


def test_a_machine_at_rest_is_not_waited_for(thor: Path) -> None:
    hygiene, clock = Hygiene(thor, pid=100), Clock()

    settled = hygiene.settle(Rest(hottest_c=50), before=hygiene.look(0.0), clock=clock, sleep=clock.sleep)

    assert (settled.waited_s, settled.unmet, settled.caches) == (0, (), "not asked for")
    assert settled.after.hottest_c == pytest.approx(38.875)


def test_a_warm_machine_is_waited_for(thor: Path) -> None:
    hygiene, clock = Hygiene(thor, pid=100), Clock()
    write(thor, TEMPERATURE, "71000\n")
    clock.at[3.0] = (thor / TEMPERATURE, "49000\n")

    settled = hygiene.settle(Rest(hottest_c=50), before=hygiene.look(0.0), clock=clock, sleep=clock.sleep)

    assert settled.waited_s == pytest.approx(3.0)
    assert settled.unmet == ()
    assert settled.before.hottest_c == 71


def test_the_deadline_ends_the_wait_and_what_is_unmet_is_said(thor: Path) -> None:
    hygiene, clock = Hygiene(thor, pid=100), Clock()
    before = hygiene.look(0.0)
    write(thor, TEMPERATURE, "71000\n")
    write(thor, "proc/meminfo", "MemAvailable: 10485760 kB\n")
    process(thor, 101, 100, "llama-server")

    rest = Rest(hottest_c=50, deadline_s=4)
    settled = hygiene.settle(rest, before=before, clock=clock, sleep=clock.sleep)

    assert settled.waited_s == pytest.approx(4)
    assert settled.unmet == (
        "still running: llama-server (process 101)",
        "memory has not come back: 50.00 GiB",
        "warmer than 50 °C: 71.0 °C",
    )
    assert json.loads(json.dumps(settled.to_json()))["after"]["engines"] == {"101": "llama-server"}


def test_what_ran_before_the_launch_may_go_on(thor: Path) -> None:
    process(thor, 101, 100, "xdist-worker")
    hygiene, clock = Hygiene(thor, pid=100), Clock()

    settled = hygiene.settle(Rest(), before=hygiene.look(0.0), clock=clock, sleep=clock.sleep)

    assert settled.unmet == ()


def test_a_busy_machine_is_waited_for(thor: Path) -> None:
    hygiene, clock = Hygiene(thor, pid=100), Clock()
    before = hygiene.look(-1.0)
    write(thor, "proc/stat", "cpu  1090 0 500 90000 10 20 30 0 0 0\ncpu0 500 0 250 45000 5 10 15 0 0 0\n")

    settled = hygiene.settle(Rest(busy=0.5, deadline_s=5), before=before, clock=clock, sleep=clock.sleep)

    assert settled.before.busy == pytest.approx(0.9)
    assert settled.after.busy == 0
    assert settled.waited_s == pytest.approx(0.5)


def test_memory_that_others_take_on_a_shared_machine_is_not_waited_for(thor: Path) -> None:
    hygiene, clock = Hygiene(thor, pid=100, part=Part(cpus=(0,))), Clock()
    before = hygiene.look(clock())
    write(thor, "proc/meminfo", "MemTotal: 128790528 kB\nMemAvailable: 1 kB\n")

    settled = hygiene.settle(Rest(), before=before, clock=clock, sleep=clock.sleep)

    assert settled.unmet == ()
    assert before.available_bytes is None


@pytest.fixture
def card() -> Card:
    return Card({"nvmlDeviceGetTemperature0": 40, "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=2**30)})


@pytest.mark.parametrize("part", [None, Part(gpus=(0,))])
def test_a_gpus_memory_that_has_not_come_back_is_waited_for(tmp_path: Path, card: Card, part: Part | None) -> None:
    hygiene, clock = Hygiene(tmp_path, library=card, pid=100, part=part), Clock()
    before = hygiene.look(clock())
    card.facts["nvmlDeviceGetMemoryInfo"] = SimpleNamespace(used=5 * 2**30)

    settled = hygiene.settle(Rest(deadline_s=5), before=before, clock=clock, sleep=clock.sleep)

    assert settled.waited_s == pytest.approx(5)
    assert settled.unmet == ("GPU memory has not come back: 4.00 GiB",)


def test_a_warm_gpu_is_waited_for(tmp_path: Path, card: Card) -> None:
    hygiene, clock = Hygiene(tmp_path, library=card, pid=100), Clock()
    card.facts["nvmlDeviceGetTemperature0"] = 71

    settled = hygiene.settle(
        Rest(hottest_c=50, deadline_s=5), before=hygiene.look(clock()), clock=clock, sleep=clock.sleep
    )

    assert settled.unmet == ("warmer than 50 °C: 71.0 °C",)


@pytest.mark.parametrize("part", [Part(gpus=(1,)), Part(cpus=(0,))])
def test_the_gpu_of_another_part_is_not_waited_for(tmp_path: Path, card: Card, part: Part) -> None:
    state = Hygiene(tmp_path, library=card, pid=100, part=part).look(0.0)

    assert (state.gpu_used_bytes, state.hottest_c) == (None, None)


def test_what_a_jetsons_gpu_counts_as_used_is_the_machines_memory(thor: Path, card: Card) -> None:
    state = Hygiene(thor, library=card, pid=100).look(0.0)

    assert state.gpu_used_bytes is None
    assert state.available_bytes is not None


def test_what_is_not_known_is_not_waited_for(tmp_path: Path) -> None:
    hygiene, clock = Hygiene(tmp_path, pid=100), Clock()

    settled = hygiene.settle(Rest(hottest_c=50), before=NOTHING, clock=clock, sleep=clock.sleep)

    assert settled.unmet == ()
    assert settled.after == replace(NOTHING)


def test_caches_are_dropped_where_that_is_permitted(thor: Path) -> None:
    hygiene, clock = Hygiene(thor, pid=100), Clock()
    write(thor, "proc/sys/vm/drop_caches", "0\n")

    rest = Rest(drop_caches=True)
    settled = hygiene.settle(rest, before=hygiene.look(0.0), clock=clock, sleep=clock.sleep)

    assert settled.caches == "dropped"
    assert (thor / "proc/sys/vm/drop_caches").read_text() == "1\n"


def test_caches_stay_where_that_is_not_permitted(thor: Path) -> None:
    (thor / "proc/sys/vm/drop_caches").mkdir(parents=True)  # nobody may write there, not even root
    hygiene, clock = Hygiene(thor, pid=100), Clock()

    rest = Rest(drop_caches=True)
    settled = hygiene.settle(rest, before=hygiene.look(0.0), clock=clock, sleep=clock.sleep)

    assert settled.caches == "not permitted"


def test_this_machine_has_a_state_and_its_child_is_seen() -> None:
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        state = Hygiene().look()
        child.communicate()

    assert child.pid in state.engines
    assert state.available_bytes is not None
