"""The hooks of a run that measures: a session behind the tests, and what is made of their records."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from pytest_thor import collection
from pytest_thor.acceptance import update_baselines
from pytest_thor.collection import LoadedMatrix
from pytest_thor.errors import BaselineError, ReportError
from pytest_thor.files import atomic_write_text, shown
from pytest_thor.fixtures import RECORD, SESSION
from pytest_thor.options import Options
from pytest_thor.report import document
from pytest_thor.results import Results, now
from pytest_thor.session import Policy, Session, Setup
from pytest_thor.terminal import Terminal
from pytest_thor.verdict import Verdict

if TYPE_CHECKING:
    from types import FrameType

_LETTERS = {**{verdict.value: verdict.letter for verdict in Verdict}, "error": "E", "skipped": "s"}


class Measuring:
    """Under pytest-xdist a worker measures and its controller reports; otherwise one process does both."""

    def __init__(self, config: pytest.Config, chosen: Options, matrices: Sequence[LoadedMatrix]) -> None:
        self._config = config
        self._options = chosen
        self._matrices = matrices
        self._cells = {(cell.matrix, cell.id): cell for matrix in matrices for cell in matrix.cells}
        self._roots = {str(matrix.path): chosen.baseline_root(matrix.path) for matrix in matrices}
        self._is_worker = hasattr(config, "workerinput")
        self._results = Results()
        self._terminal = Terminal(config, id_width=max((len(cell.id) for cell in self._cells.values()), default=0))
        self._session = config.stash[SESSION] = Session(self._setup(), self._terminal.show)
        self._stored: list[Path] = []
        self._troubles: list[str] = []
        self._report: Path | None = None
        self._stopped_by_a_failure = False
        self._replaces_dot = False

    def pytest_sessionstart(self) -> None:
        """Make sure before hours of measuring that the report can be written, and begin a new journal."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _stop)
        if self._is_worker:
            return
        try:
            atomic_write_text(self._options.report / "journal.jsonl", "")
        except OSError as error:
            raise pytest.UsageError(
                f"{self._options.report}: the report folder cannot be written: {error.strerror}; "
                "give another with --thor-report DIR"
            ) from error

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Plan what is left after every selection."""
        self._session.plan(collection.cells_of(session.items))

    def _setup(self) -> Setup:
        chosen = self._options
        return Setup(
            models=chosen.models,
            engines=chosen.engines,
            baselines=self._roots,
            launches=chosen.launches,
            policy=Policy(inconclusive=chosen.inconclusive, invalid=chosen.invalid, strict=chosen.strict),
            full_hash=chosen.full_hash,
            journal=chosen.report / "journal.jsonl",
            cache=chosen.cache,
        )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach what a test measured to its report, in which it also crosses from a worker to the controller."""
        report = yield
        record = item.stash.get(RECORD, None)
        if call.when == "call" and record is not None:
            report.thor = record.model_dump(mode="json")  # type: ignore[attr-defined] # reports carry extras
        return report

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Show a verdict instead of a dot; nothing where the cell gets a line of its own."""
        content = getattr(report, "thor", None)
        if content is None:
            return None
        if self._replaces_dot:
            return report.outcome, "", ""
        said = content["verdict"] or content["outcome"]
        return report.outcome, _LETTERS[said], said.upper()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None]:
        """Keep a cell's record and show its line, in place of pytest's dot."""
        self._replaces_dot = self._terminal.has_lines
        yield
        self._replaces_dot = False
        record = self._results.add(report)
        if record is not None:
            self._terminal.cell(record, failed=report.failed)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report, store baselines, and tell the exit statuses apart."""
        if self._is_worker:
            return
        # Under pytest-xdist -x ends the run as an interruption; it is one that a failing test asked for.
        if self._stopped_by_a_failure and self._results.records:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        interrupted = session.exitstatus not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}
        session.exitstatus = self._results.exit_status(int(session.exitstatus))
        if not interrupted:
            self._attempt(self._store_baselines, session)
        self._attempt(self._write_report, session)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Tell a run that pytest ended itself from one that its user ended."""
        # pytest's and pytest-xdist's own are subclasses; Ctrl-C and signals are not.
        stopped = excinfo.value
        self._stopped_by_a_failure = isinstance(stopped, KeyboardInterrupt) and type(stopped) is not KeyboardInterrupt

    def _attempt(self, write: Callable[[pytest.Session], None], session: pytest.Session) -> None:
        try:
            write(session)
        except (BaselineError, ReportError) as error:
            self._troubles.append(str(error))
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def _store_baselines(self, _: pytest.Session) -> None:
        if self._options.update_baseline:
            self._stored = update_baselines(
                self._results.records,
                cells=self._cells,
                roots=self._roots,
                mode=self._options.update_baseline,
                accepted_at=now(),
            )

    def _write_report(self, session: pytest.Session) -> None:
        report = self._results.document(self._matrices, exit_status=int(session.exitstatus))
        document.write(report, self._options.report / "report.json")
        self._report = self._options.report / "report.json"

    def pytest_terminal_summary(self) -> None:
        """Show the table."""
        here = self._config.invocation_params.dir
        if self._results.records:
            self._terminal.summary(
                self._results.records,
                title=", ".join(matrix.name for matrix in self._matrices),
                report=shown(self._report, here) if self._report else None,
                stored=[shown(path, here) for path in self._stored],
                troubles=self._troubles,
            )


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    """End as Ctrl-C does: fixtures are torn down, engines are stopped, and what is finished is reported."""
    raise KeyboardInterrupt(signal.Signals(number).name)
