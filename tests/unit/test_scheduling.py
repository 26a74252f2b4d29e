"""Cells dealt out to devices, played through with workers that keep pytest-xdist's rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdist.remote import Producer

from pytest_thor.cell import Cell
from pytest_thor.scheduling import CellsOfNodes, DeviceScheduling
from pytest_thor.seat import Seat
from tests.cells import build_cell


def cell(model: str, workload: str = "tg", *, matrix: str = "small", path: str = "/p/matrices/small.yaml") -> Cell:
    return build_cell(workload=workload, model=model, backend="cpp", matrix=matrix, path=path)


@dataclass(eq=False)
class Worker:
    """A worker as the scheduler sees it; it begins a test when it knows the next, or that there is none."""

    name: str
    seat: Seat | None
    queue: list[int] = field(default_factory=list)
    shutting_down: bool = False

    @property
    def gateway(self) -> SimpleNamespace:
        return SimpleNamespace(id=self.name)

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        assert indices, "an empty order would never be reported as done"
        assert not self.shutting_down
        self.queue += indices

    def shutdown(self) -> None:
        self.shutting_down = True

    @property
    def can_run(self) -> bool:
        return len(self.queue) > 1 or (self.shutting_down and bool(self.queue))


class Run:
    """A run under pytest-xdist, as far as its scheduler takes part in it."""

    def __init__(self, tests: Sequence[str], cells: Sequence[Cell], seats: Sequence[Seat | None], homes: Any) -> None:
        self.tests = list(tests)
        self.seats: dict[str, Seat | None] = {}
        config: Any = SimpleNamespace(getvalue=lambda _: ["popen"] * len(seats))
        self.scheduler = DeviceScheduling(
            config,
            Producer("test", enabled=False),
            cells=CellsOfNodes(cells),
            seat_of=lambda node: self.seats[node.gateway.id],
            homes=homes,
        )
        self.workers: list[Worker] = []
        self.done: list[tuple[str, Worker]] = []
        self.lost_once: set[str | None] = set()
        self.given_up: set[str | None] = set()
        for seat in seats:
            self.start(seat)
        self.scheduler.schedule()

    def start(self, seat: Seat | None) -> Worker:
        worker = Worker(f"gw{len(self.seats)}", seat)
        self.seats[worker.name] = seat
        self.workers.append(worker)
        self.scheduler.add_node(worker)
        self.scheduler.add_node_collection(worker, self.tests)
        return worker

    def step(self, worker: Worker) -> None:
        index = worker.queue.pop(0)
        self.done.append((self.tests[index], worker))
        self.scheduler.mark_test_complete(worker, index)
        self.end_where_finished()

    def lose(self, worker: Worker) -> None:
        """Have a worker die; pytest-xdist starts another in its place."""
        self.workers.remove(worker)
        at = self.scheduler.remove_node(worker)
        self.given_up |= {at} & self.lost_once
        self.lost_once.add(at)
        self.start(worker.seat)
        self.scheduler.schedule()
        self.end_where_finished()

    def end_where_finished(self) -> None:
        if self.scheduler.tests_finished:
            for worker in self.scheduler.nodes:
                worker.shutdown()

    def ready(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.can_run]


SLUGS = ("left", "right", "third")


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Cell], list[str], list[Seat | None], Mapping[Any, frozenset[str]]]:
    cells = [
        cell(f"m{number}", f"w{each}")
        for number in range(draw(st.integers(0, 5)))
        for each in range(draw(st.integers(1, 3)))
    ]
    tests = [f"matrices/small.yaml::test_decode[{one.id}]" for one in cells]
    tests += [f"test_own.py::test_{number}" for number in range(draw(st.integers(0, 4)))]
    slugs = draw(st.lists(st.sampled_from(SLUGS), min_size=1, max_size=3))
    keys = [draw(st.sampled_from([slug, f"other {slug}"])) for slug in slugs]
    seats: list[Seat | None] = [Seat(slug=slug, key=key, part="") for slug, key in zip(slugs, keys, strict=True)]
    seats = draw(st.permutations([*seats, *[None] * draw(st.integers(0, 2))]))
    there = st.frozensets(st.sampled_from(slugs), max_size=2)
    return cells, tests, seats, {one.group: draw(there) for one in cells}


@given(worlds(), st.data())
def test_every_test_runs_once_and_every_cell_where_it_belongs(world: Any, data: st.DataObject) -> None:
    cells, tests, seats, homes = world
    run = Run(tests, cells, seats, homes)

    while ready := run.ready():
        run.step(data.draw(st.sampled_from(ready)))

    assert sorted(test for test, _ in run.done) == sorted(tests)
    assert all(worker.shutting_down for worker in run.workers) or not tests
    check_places(run, cells, homes)


@given(worlds(), st.data())
def test_lost_workers_lose_no_test_but_one_that_loses_two(world: Any, data: st.DataObject) -> None:
    cells, tests, seats, homes = world
    run = Run(tests, cells, seats, homes)
    losses = data.draw(st.integers(1, 3))

    while ready := run.ready():
        worker = data.draw(st.sampled_from(ready))
        if losses and data.draw(st.booleans()):
            losses -= 1
            at = run.tests[worker.queue[0]]
            run.lose(worker)
            assert run.scheduler.is_left(at) == (at not in run.given_up)
        else:
            run.step(worker)

    assert {test for test, _ in run.done} | run.given_up == set(tests)
    assert not any(run.scheduler.is_left(test) for test in tests)
    check_places(run, cells, homes)


def check_places(run: Run, cells: Sequence[Cell], homes: Mapping[Any, frozenset[str]]) -> None:
    found = CellsOfNodes(cells)
    keys: dict[Any, set[str]] = {}
    for test, worker in run.done:
        one = found.cell_of(test)
        if one is not None:
            assert worker.seat is not None, "a worker without a device measured"
            assert worker.seat.slug in (homes[one.group] or SLUGS)
            keys.setdefault(one.group, set()).add(worker.seat.key)
    if len(run.seats) == len(run.workers):  # nobody was lost
        assert all(len(own) == 1 for own in keys.values()), "the cells of one engine start were torn apart"
        measured = {worker.seat.key: set[str]() for _, worker in run.done if worker.seat}
        for test, worker in run.done:
            if worker.seat and found.cell_of(test):
                measured[worker.seat.key].add(worker.name)
        assert all(len(names) <= 1 for names in measured.values()), "two workers measured on one device"


def test_a_device_takes_what_is_at_home_there_before_what_may_go_anywhere() -> None:
    cells = [cell("free"), cell("left"), cell("right"), cell("also-left")]
    tests = [f"matrices/small.yaml::test_decode[{one.id}]" for one in cells]
    seats = [Seat(slug=slug, key=slug, part="") for slug in ("left", "right")]
    homes = {one.group: frozenset([one.model.name[-5:].strip("-")]) for one in cells[1:]}

    run = Run(tests, cells, seats, homes)

    assert [[tests[index] for index in worker.queue] for worker in run.workers] == [
        [tests[1], tests[3]],
        [tests[2], tests[0]],
    ]


@pytest.mark.parametrize(
    ("nodeid", "model"),
    [
        ("matrices/small.yaml::test_decode[tiny-F16-cpp-tg]", "tiny"),
        ("test_own.py::test_it[small/tiny-F16-cpp-tg]", "tiny"),
        ("test_own.py::test_it[1-tiny-F16-cpp-tg-x]", "tiny"),
        ("test_own.py::test_it[1-small/very-tiny-F16-cpp-tg-x]", "very-tiny"),
        ("test_own.py::test_it[very-tiny-F16-cpp-tg-x]", "very-tiny"),
        ("test_own.py::test_it[xtiny-F16-cpp-tg]", None),
        ("test_own.py::test_it", None),
        ("test_own.py::test_it[]", None),
    ],
)
def test_the_cell_of_a_test_is_told_by_its_id(nodeid: str, model: str | None) -> None:
    found = CellsOfNodes([cell("tiny"), cell("very-tiny")]).cell_of(nodeid)

    assert (found.model.name if found else None) == model


def test_cells_of_one_name_in_two_matrices_are_told_apart() -> None:
    one, other = cell("tiny"), cell("tiny", matrix="other", path="/p/matrices/other.yaml")
    found = CellsOfNodes([one, other])

    assert found.cell_of("matrices/other.yaml::test_decode[tiny-F16-cpp-tg]") is other
    assert found.cell_of("matrices/small.yaml::test_decode[tiny-F16-cpp-tg]") is one
    assert found.cell_of("test_own.py::test_it[other/tiny-F16-cpp-tg]") is other
