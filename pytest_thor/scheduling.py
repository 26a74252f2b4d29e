"""Under pytest-xdist, the cells of one engine start go to one device's worker; other tests wherever there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeAlias

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from pytest_thor.cell import Cell
from pytest_thor.seat import Seat

Scope: TypeAlias = "tuple[str, ...] | str"
"""What is never torn apart: the cells of one engine start by their group, or one other test by its node id."""

_AHEAD = 1  # a worker begins a test when it knows what comes after it; more than that is not taken from other devices


class CellsOfNodes:
    """Finds the cell that a test measures by its node id, in which other parameters may stand around the cell's."""

    def __init__(self, cells: Iterable[Cell]) -> None:
        self._by_id: dict[str, list[Cell]] = {}
        for cell in cells:
            self._by_id.setdefault(cell.id, []).append(cell)
        self._longest_first = sorted(self._by_id, key=len, reverse=True)

    def cell_of(self, nodeid: str) -> Cell | None:
        """Return the cell that a test measures, or None."""
        before, bracket, parameters = nodeid.removesuffix("]").partition("[")
        if not bracket:
            return None
        matrix, _, parameters = parameters.rpartition("/")  # the matrix's name, where a test sees several
        name = parameters if parameters in self._by_id else self._within(parameters)
        if name is None:
            return None
        path = before.partition("::")[0]
        found = self._by_id[name]
        of_matrix = (cell for cell in found if (matrix and cell.matrix == matrix) or cell.matrix_path.endswith(path))
        return next(of_matrix, found[0])

    def _within(self, parameters: str) -> str | None:
        return next((name for name in self._longest_first if f"-{name}-" in f"-{parameters}-"), None)


class DeviceScheduling(LoadScopeScheduling):
    """Gives each device the cells that have a home there first, and what has none to whichever device is free.

    ``seat_of`` tells which device a worker measures on; of several workers on one device only one measures. ``homes``
    are the devices, by slug, to which the cells of a group must go, since what they are held against is there.
    """

    def __init__(
        self,
        config: pytest.Config,
        log: Producer,
        *,
        cells: CellsOfNodes,
        seat_of: Callable[[WorkerController], Seat | None],
        homes: Mapping[Scope, Collection[str]],
    ) -> None:
        super().__init__(config, log)
        self.collection: list[str] | None = None
        self.workqueue: OrderedDict[Scope, dict[str, bool]] = OrderedDict()
        self._cells = cells
        self._seat_of = seat_of
        self._homes = homes
        self._scopes: dict[str, Scope] = {}
        self._measuring: dict[str, WorkerController] = {}
        self._lost_once: set[str] = set()

    def schedule(self) -> None:
        """Deal out the first tests, or, where that is done, give a worker that came later its share."""
        assert self.collection_is_completed
        if self.collection is None:
            if not self._check_nodes_have_same_collection():
                return
            self.collection = list(next(iter(self.registered_collections.values())))
            for nodeid in self.collection:
                self.workqueue.setdefault(self._split_scope(nodeid), {})[nodeid] = False
        if self.collection:
            for node in self.nodes:
                self._reschedule(node)

    def remove_node(self, node: WorkerController) -> str | None:
        """Take a worker out and return the test that it was at when it was lost, None where it had nothing to do.

        What it had not finished goes to the one that takes its place, that test too, once: a test that loses a second
        worker is not tried again, so that the others have their turn.
        """
        for key in [key for key, measuring in self._measuring.items() if measuring is node]:
            del self._measuring[key]
        units = self.assigned_work.pop(node)
        crashed: str | None = next(
            (nodeid for unit in units.values() for nodeid, done in unit.items() if not done), None
        )
        if crashed is None:
            return None
        if crashed in self._lost_once:
            units[self._split_scope(crashed)][crashed] = True
        self._lost_once.add(crashed)
        self.workqueue.update({scope: unit for scope, unit in units.items() if not all(unit.values())})
        for other in self.assigned_work:
            self._reschedule(other)
        return crashed

    @property
    def leaves_tests(self) -> bool:
        """Whether there are tests that no worker has."""
        return any(not all(unit.values()) for unit in self.workqueue.values())

    def is_left(self, nodeid: str) -> bool:
        """Tell whether a test is still to be run."""
        scope = self._split_scope(nodeid)
        return any(
            not units.get(scope, {}).get(nodeid, True) for units in (self.workqueue, *self.assigned_work.values())
        )

    def _split_scope(self, nodeid: str) -> Scope:
        if nodeid not in self._scopes:
            cell = self._cells.cell_of(nodeid)
            self._scopes[nodeid] = nodeid if cell is None else cell.group
        return self._scopes[nodeid]

    def _reschedule(self, node: WorkerController) -> None:
        """Give a worker what it may have, until it has something to do; end it where there is nothing more for it."""
        if node.shutting_down or node not in self.registered_collections:
            return
        while self._pending_of(self.assigned_work[node]) <= _AHEAD:
            scope = self._next_for(node)
            if scope is None:
                node.shutdown()
                return
            self.workqueue.move_to_end(scope, last=False)
            self._assign_work_unit(node)

    def _next_for(self, node: WorkerController) -> Scope | None:
        seat = self._seat_of(node)
        if seat is not None and self._measuring.setdefault(seat.key, node) is not node:
            seat = None
        homeless: Scope | None = None
        other: Scope | None = None
        for scope in self.workqueue:
            if isinstance(scope, str):
                other = other or scope
            elif seat is not None:
                homes = self._homes.get(scope, ())
                if seat.slug in homes:
                    return scope
                homeless = homeless or (None if homes else scope)
        return homeless or other
