"""What a test may ask for; docs/fixtures.md shows each in use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from pytest_thor.cell import Cell
    from pytest_thor.engines.service import Served
    from pytest_thor.errors import ThorError
    from pytest_thor.measurement import Launch
    from pytest_thor.report.document import CellRecord
    from pytest_thor.session import Session

SESSION: pytest.StashKey[Session] = pytest.StashKey()
"""The running session, in ``config.stash``; there when a matrix was given."""
RECORD: pytest.StashKey[CellRecord] = pytest.StashKey()
"""What a test measured, in ``item.stash``."""
MAY_PUT_OFF: pytest.StashKey[bool] = pytest.StashKey()
"""Whether a test may be put off until more is known, in ``item.stash``."""
PUT_OFF: pytest.StashKey[bool] = pytest.StashKey()
"""Whether it was, in ``item.stash``."""


class ThorRun:
    """Measures a test's cell as the bundled tests do, once: asking again returns the same."""

    def __init__(self, item: pytest.Item, cell: Cell) -> None:
        self._item = item
        self._cell = cell

    def __call__(self) -> CellRecord:
        """Return the cell's metrics and verdict, whatever the verdict is.

        The test is skipped where the engine or the model is missing, and fails where the engine did. One whose cell is
        in doubt may end here and be run again, whole, after the others.
        """
        from pytest_thor.errors import ReportError

        may_put_off = self._item.stash.get(MAY_PUT_OFF, False)
        try:
            record = self._item.config.stash[SESSION].record(self._cell, may_put_off=may_put_off)
        except ReportError as error:  # nothing that is measured from here on would be kept
            pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
        if record is None:
            self._item.stash[PUT_OFF] = True
            pytest.skip("in doubt: measured again later in this run")
        self._item.stash[RECORD] = record
        if record.outcome == "skipped":
            pytest.skip(record.reason)
        if record.outcome == "error":
            _fail(record.reason)
        return record

    def check(self) -> CellRecord:
        """Measure, and fail the test where the policy says that the verdict is a failure."""
        record = self()
        if record.outcome == "failed":
            _fail(record.reason)
        return record


@pytest.fixture
def thor_cell(request: pytest.FixtureRequest) -> Cell:
    """The cell of this test: one model × quant × backend × workload of the matrix."""
    cell: Cell = request.param
    return cell


@pytest.fixture
def thor_run(request: pytest.FixtureRequest, thor_cell: Cell) -> ThorRun:
    """Measure this test's cell: ``thor_run()`` returns its metrics and verdict, ``thor_run.check()`` also fails."""
    return ThorRun(request.node, thor_cell)


@pytest.fixture
def llama_bench(request: pytest.FixtureRequest, thor_cell: Cell) -> Callable[[], Launch]:
    """Run llama-bench once for this test's cell; each call returns a new launch with its raw samples."""
    if thor_cell.backend.engine != "llama-bench":
        pytest.skip(f"llama_bench measures with llama-bench; {thor_cell.id} uses {thor_cell.backend.engine}")
    return _launcher(request, thor_cell)


@pytest.fixture
def serving_benchmark(request: pytest.FixtureRequest, thor_cell: Cell) -> Callable[[], Launch]:
    """Serve and load this test's cell once; each call returns a new launch with every request's raw samples."""
    if thor_cell.kind != "serving":
        pytest.skip(f"serving_benchmark measures serving workloads; {thor_cell.id} is {thor_cell.kind}")
    return _launcher(request, thor_cell)


@pytest.fixture
def thor_server(request: pytest.FixtureRequest, thor_cell: Cell) -> Iterator[Served]:
    """Have the server of this test's cell running: ``thor_server.base_url`` and ``thor_server.model``."""
    if thor_cell.kind != "serving":
        pytest.skip(f"thor_server serves; {thor_cell.id} is {thor_cell.kind}")
    from pytest_thor.errors import ThorError

    with ExitStack() as stack:
        try:
            served = stack.enter_context(request.config.stash[SESSION].serve(thor_cell))
        except ThorError as error:
            _give_up(error)
        yield served


def _launcher(request: pytest.FixtureRequest, cell: Cell) -> Callable[[], Launch]:
    session = request.config.stash[SESSION]

    def launch() -> Launch:
        from pytest_thor.errors import ThorError

        try:
            return session.launch(cell)
        except ThorError as error:
            _give_up(error)

    return launch


def _give_up(error: ThorError) -> NoReturn:
    from pytest_thor.errors import ArtifactMissing, EngineMissing
    from pytest_thor.plain_text import printable

    if isinstance(error, ArtifactMissing | EngineMissing):
        pytest.skip(str(error))
    _fail(printable(f"{error}\n\n{getattr(error, 'log_tail', '')}".rstrip()))


def _fail(reason: str) -> NoReturn:
    __tracebackhide__ = True
    pytest.fail(reason, pytrace=False)
