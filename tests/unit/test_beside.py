"""A launch gets the telemetry of its timed part."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_thor.beside import Beside, crowding, tokens_timed
from pytest_thor.cell import Cell, Kind
from pytest_thor.measurement import EngineBuild, Launch
from tests.cells import build_cell
from tests.unit.host.card import Card

LAUNCH = Launch(started_at="", duration_s=1.0, engine=EngineBuild(name="llama-bench", path="/x"))


def cell(kind: Kind, **parameters: int) -> Cell:
    return build_cell(kind, parameters)


def test_a_launch_is_given_what_the_machine_did_in_its_timed_part() -> None:
    beside = Beside(cpus=2)
    with beside.watching() as watched:
        start = time.monotonic()
        launch = watched(cell("decode", n_gen=8), replace(LAUNCH, windows=((start, time.monotonic()),)))
    beside.close()

    assert launch.telemetry is not None
    assert launch.telemetry["windows"] == 1
    assert launch.telemetry["memory_bytes"]["available"]["mean"] > 0
    assert "energy_j_per_token" not in launch.samples  # so short a time says nothing of energy


def test_a_launch_whose_timed_part_is_not_known_has_none() -> None:
    with Beside(cpus=2).watching() as watched:
        assert watched(cell("decode", n_gen=8), LAUNCH) is LAUNCH


def test_between_two_launches_the_gpu_is_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card({"nvmlDeviceGetTemperature0": 200, "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=2**30)})
    monkeypatch.setattr("pytest_thor.beside.open_library", lambda: card)
    beside = Beside(cpus=2)

    with beside.at_rest_after(drop_caches=False):
        assert beside.settled is None

    assert beside.settled is not None
    assert (beside.settled.before.hottest_c, beside.settled.before.gpu_used_bytes) == (200, 2**30)


def test_what_speaks_against_a_cell_is_said_once() -> None:
    throttled = {"throttle": {"gpu-throttle-alert": {"share": 0.5, "max": 1}}}
    launches = [replace(LAUNCH, telemetry=throttled), replace(LAUNCH, telemetry={}), LAUNCH]

    [found] = Beside(cpus=2).conditions(launches)

    assert (found.rule, found.sentence) == (
        "invalid",
        "the hardware throttled (gpu-throttle-alert) for 50.0 % of the timed part (in 1 of 2 launches)",
    )


@pytest.mark.parametrize(("busy", "quiet", "is_told"), [(1, 0, True), (1, 1, False), (2, 1, True), (0, 0, False)])
def test_what_slowed_most_launches_explains_a_slower_figure(busy: int, quiet: int, is_told: bool) -> None:
    crowded = {"duration_s": 2.0, "cpu": {"ours_cores": 1.0, "others_cores": 1.0}}
    launches = [*[replace(LAUNCH, telemetry=crowded)] * busy, *[replace(LAUNCH, telemetry={})] * quiet]

    sentence = "other processes used 1.0 of 2 CPUs, short-lived ones most"
    assert Beside(cpus=2).slowing(launches) == (sentence if is_told else None)


@pytest.mark.parametrize(
    ("threads", "sentence"),
    [
        (3, "the backend asks for 3 threads, and 2 cores may be used: they wait for one another"),
        (2, None),
        (None, None),
    ],
)
def test_more_threads_than_cores_are_told(
    threads: int | None, sentence: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_thor.beside.cores", lambda: 2)
    settings = {} if threads is None else {"threads": threads}

    assert crowding(build_cell("decode", {"n_gen": 8}, settings=settings)) == sentence


@pytest.mark.parametrize(
    ("kind", "samples", "evidence", "tokens"),
    [
        ("prefill", {"pp_tps": (1.0, 1.0, 1.0)}, {}, 3 * 64),
        ("decode", {"tg_tps": (1.0, 1.0)}, {}, 2 * 8),
        ("serving", {}, {"tokens": {"output": 1234}}, 1234),
        ("serving", {}, {}, 0),
    ],
)
def test_the_tokens_of_the_timed_part(
    kind: Kind, samples: dict[str, tuple[float, ...]], evidence: dict[str, Any], tokens: int
) -> None:
    launch = replace(LAUNCH, samples=samples, evidence=evidence)

    assert tokens_timed(cell(kind, n_prompt=64, n_gen=8), launch) == tokens


def test_a_server_that_was_started_again_is_told_beside_what_the_machine_did() -> None:
    restarted = {"server": {"restarts": ["llama-server aborted (SIGABRT)"]}}
    launches = [replace(LAUNCH, telemetry={}, evidence=restarted), replace(LAUNCH, telemetry={})]

    [found] = Beside(cpus=2).conditions(launches)

    assert found.rule == "advice"
    assert found.sentence.endswith("in an earlier one llama-server aborted (SIGABRT) (in 1 of 2 launches)")
