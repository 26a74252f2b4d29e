"""The hooks of a run with a matrix; each hands over to the room that does the work."""

from __future__ import annotations

import signal
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from pytest_thor import collection
from pytest_thor.acceptance import update_baselines
from pytest_thor.errors import BaselineError, ReportError
from pytest_thor.files import atomic_write_text
from pytest_thor.fixtures import RECORD, SESSION
from pytest_thor.listing import Listing
from pytest_thor.options import Options
from pytest_thor.report import document
from pytest_thor.results import Results, now
from pytest_thor.session import Policy, Session, Setup
from pytest_thor.terminal import Terminal
from pytest_thor.verdict import Verdict

if TYPE_CHECKING:
    from types import FrameType

    from xdist.remote import Producer

    from pytest_thor.scheduling import DeviceScheduling

_LETTERS = {**{verdict.value: verdict.letter for verdict in Verdict}, "error": "E", "skipped": "s"}


class Run:
    """One pytest run with at least one matrix; a worker of pytest-xdist measures, its controller reports."""

    def __init__(self, config: pytest.Config, chosen: Options) -> None:
        self._config = config
        self._options = chosen
        self._matrices = {matrix.path: matrix for matrix in collection.load_matrices(chosen.matrices)}
        self._cells = {(cell.matrix, cell.id): cell for m in self._matrices.values() for cell in m.cells}
        self._roots = {str(path): chosen.baseline_root(path) for path in self._matrices}
        self._is_worker = hasattr(config, "workerinput")
        self._listing = Listing(config, chosen.list_format) if chosen.list_format else None
        self._results = Results()
        self._terminal = Terminal(config, id_width=max((len(cell.id) for cell in self._cells.values()), default=0))
        self._session = config.stash[SESSION] = Session(self._setup(), self._terminal.show)
        self._stored: list[Path] = []
        self._trouble: str | None = None
        self._replaces_dot = False
        self._select_matrices()

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

    def _select_matrices(self) -> None:
        """Collect the matrices where no file or test was named; beside the usual ones if an ini file names them."""
        if self._config.args_source is pytest.Config.ArgsSource.ARGS:
            return
        usual = [] if self._options.matrices_from_command_line else self._config.args
        self._config.args = [*usual, *map(str, self._matrices)]

    @property
    def _measures(self) -> bool:
        return not self._config.option.collectonly

    def _relative(self, path: Path) -> Path:
        here = self._config.invocation_params.dir
        return path.relative_to(here) if path.is_relative_to(here) else path

    def pytest_report_header(self) -> list[str]:
        """Say what will be measured."""
        return [f"thor: {len(m.cells)} cells in {m.name} ({self._relative(m.path)})" for m in self._matrices.values()]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Make sure before hours of measuring that the report can be written, and begin a new journal."""
        if self._listing:
            self._listing.mute()
        if not self._measures:
            return
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

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """Collect a matrix as a module of tests."""
        matrix = self._matrices.get(file_path)
        if matrix is None:
            return None
        module = collection.MatrixModule.from_parent(parent, path=file_path)
        module.matrix = matrix
        return module

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make one test per cell of every function that takes ``thor_cell``."""
        if "thor_cell" in metafunc.fixturenames:
            collection.parametrize(metafunc, self._matrices)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Bring the tests of one engine start together."""
        collection.sort_by_cell(items, self._matrices.values())

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Plan what is left after every selection."""
        self._session.plan([cell for item in session.items if (cell := collection.cell_of(item))])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Producer) -> DeviceScheduling:
        """Send the cells of one device to one worker."""
        from pytest_thor.scheduling import DeviceScheduling

        return DeviceScheduling(config, log, [cell.id for cell in self._cells.values()])

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
        if self._listing:
            self._listing.finish(self._session.planned, int(session.exitstatus))
        if self._is_worker or not self._measures:
            return
        interrupted = session.exitstatus not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}
        session.exitstatus = self._results.exit_status(int(session.exitstatus))
        try:
            if self._options.update_baseline and not interrupted:
                self._stored = update_baselines(
                    self._results.records,
                    cells=self._cells,
                    roots=self._roots,
                    mode=self._options.update_baseline,
                    accepted_at=now(),
                )
            report = self._results.document(list(self._matrices.values()), exit_status=int(session.exitstatus))
            document.write(report, self._options.report / "report.json")
        except (BaselineError, ReportError) as error:
            self._trouble = str(error)
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def pytest_terminal_summary(self) -> None:
        """Show the table."""
        if self._results.records:
            self._terminal.summary(
                self._results.records,
                title=", ".join(matrix.name for matrix in self._matrices.values()),
                report=self._relative(self._options.report / "report.json"),
                stored=[self._relative(path) for path in self._stored],
                trouble=self._trouble,
            )


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    """End as Ctrl-C does: fixtures are torn down, engines are stopped, and what is finished is reported."""
    raise KeyboardInterrupt(signal.Signals(number).name)
