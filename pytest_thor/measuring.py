"""The hooks of a run that measures: a session behind the tests, and what is made of their records."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from _pytest._code.code import Traceback, TracebackEntry
from _pytest.runner import runtestprotocol  # as the plugins that run a test again have it; public nowhere

from pytest_thor import collection
from pytest_thor.acceptance import update_baselines
from pytest_thor.collection import LoadedMatrix
from pytest_thor.errors import BaselineError, DeviceError, PublishedError, ReportError
from pytest_thor.files import shown
from pytest_thor.finishing import finish_undisturbed
from pytest_thor.fixtures import MAY_PUT_OFF, PUT_OFF, RECORD, SESSION
from pytest_thor.host.device import check_gpus, identify
from pytest_thor.host.part import Part, parse_part, pin
from pytest_thor.options import Options
from pytest_thor.progress import Status
from pytest_thor.published.reference import load_all
from pytest_thor.published_beside import published_beside
from pytest_thor.report import document
from pytest_thor.report.document import CellRecord, PolicyRecord
from pytest_thor.report.junit import properties
from pytest_thor.report.publishing import publish
from pytest_thor.report_folder import ReportFolder
from pytest_thor.results import Results, now
from pytest_thor.resuming import told
from pytest_thor.seat import ASSIGNED, SUCCEEDS
from pytest_thor.session import Session
from pytest_thor.setup import Policy, Setup
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
        self._canaries = [cell.id for cell in self._cells.values() if cell.canary]
        self._roots = {str(matrix.path): chosen.baseline_root(matrix.path) for matrix in matrices}
        self._is_worker = hasattr(config, "workerinput")
        self._results = Results()
        self._terminal = Terminal(config, id_width=max((len(cell.id) for cell in self._cells.values()), default=0))
        self._part = _bound_to(config, chosen)
        self._session = config.stash[SESSION] = Session(self._setup(), self._show)
        self._stored: dict[Path, CellRecord] = {}
        self._troubles: list[str] = []
        self._folder = ReportFolder(chosen)
        self._distributes = config.pluginmanager.has_plugin("thor-distribution")
        self._resumed: list[str] = []
        self._report: Path | None = None
        self._annotations: list[str] = []
        self._stopped_by_a_failure = False
        self._interrupted = False
        self._replaces_dot = False
        self._waiting_from: int | None = None

    def pytest_sessionstart(self) -> None:
        """Make sure before hours of measuring that the report can be written."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _stop)
        if self._is_worker:
            return
        self._config.add_cleanup(self._folder.take())
        if self._distributes:  # its tests are its workers' business
            self._folder.begin_journal()

    def _show(self, status: Status) -> None:
        """Show what is going on; a worker, which has no terminal of its own, says only what it waits for."""
        if not self._is_worker:
            self._terminal.show(status)
        elif status.waits:
            capture = self._config.pluginmanager.get_plugin("capturemanager")
            with capture.global_and_fixture_disabled() if capture else nullcontext():
                sys.stderr.write(f"\n{os.environ['PYTEST_XDIST_WORKER']}: {status.step}\n")
                sys.stderr.flush()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Plan what is left after every selection, and begin a new journal if anything is."""
        cells = collection.cells_of(session.items)
        self._session.plan(cells)
        if cells and not (self._is_worker or self._distributes or session.config.option.collectonly):
            self._folder.begin_journal()

    def _setup(self) -> Setup:
        chosen = self._options
        handed = getattr(self._config, "workerinput", {})
        return Setup(
            models=chosen.models,
            engines=chosen.engines,
            against=chosen.against,
            baselines=self._roots,
            launches=chosen.launches,
            budget_s=chosen.budget_s,
            relative=chosen.relative,
            cool_down_c=chosen.cool_down_c,
            policy=Policy(inconclusive=chosen.inconclusive, invalid=chosen.invalid, strict=chosen.strict),
            full_hash=chosen.full_hash,
            means=chosen.means,
            journal=chosen.journal,
            resume=chosen.resume or handed.get(SUCCEEDS, False),
            cache=chosen.cache,
            part=self._part,
            command=" ".join(handed["mainargv"]) if handed else None,  # a worker's own says nothing
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Run a test whose cell may be in doubt; if it is, come back to it after the others.

        Under pytest-xdist the controller counts each test once, so a worker settles every cell in its turn. The last
        test is settled too: there is nothing to put it behind.
        """
        cell = collection.cell_of(item)
        if self._is_worker or nextitem is None or cell is None:
            item.stash[MAY_PUT_OFF] = False
            return None
        item.stash[MAY_PUT_OFF] = True
        item.stash[PUT_OFF] = False
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        if item.stash[PUT_OFF]:
            self._put_off(item, nextitem)
            self._terminal.put_off(cell, self._session.provisional(cell))
        else:
            for report in reports:
                item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _put_off(self, item: pytest.Item, nextitem: pytest.Item) -> None:
        """Queue a test again behind the others; of those that wait, the most in doubt come first."""
        items = item.session.items
        if self._waiting_from is None:
            self._waiting_from = len(items)
        items.append(item)
        # What comes next is settled: pytest has prepared for it.
        start = max(self._waiting_from, _last_index(items, nextitem) + 1)
        items[start:] = sorted(items[start:], key=self._doubt, reverse=True)

    def _doubt(self, item: pytest.Item) -> float:
        cell = collection.cell_of(item)
        return self._session.doubt(cell) if cell else 0.0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach what a test measured to its report, in which it also crosses from a worker to the controller."""
        report = yield
        record = item.stash.get(RECORD, None)
        if record is not None and call.when == "call":
            report.thor = record.model_dump(mode="json")  # type: ignore[attr-defined] # reports carry extras
        elif record is not None and call.when == "teardown":  # whose report JUnit XML takes the properties of
            report.user_properties.extend(properties(record))
        return report

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Show a verdict instead of a dot; nothing where the cell gets a line of its own."""
        content = getattr(report, "thor", None)
        outcome: str = report.outcome
        if outcome == "rerun":  # its worker was lost, and another one runs it
            return outcome, "R", "RERUN"
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
        if record is not None and (report.passed or report.failed or report.skipped):  # not one that is run again
            distribution = self._config.pluginmanager.get_plugin("thor-distribution")
            several = distribution is not None and len(distribution.devices) > 1
            self._terminal.cell(record, failed=report.failed, several_devices=several)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report, store baselines, and tell the exit statuses apart."""
        self._session.close()
        if self._is_worker:
            return
        session.config.add_cleanup(finish_undisturbed())
        # Under pytest-xdist -x ends the run as an interruption; it is one that a failing test asked for.
        if self._stopped_by_a_failure and session.testsfailed and self._results.records:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        self._interrupted = session.exitstatus == pytest.ExitCode.INTERRUPTED
        ended = session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}
        session.exitstatus = self._results.exit_status(int(session.exitstatus))
        self._results.conclude()
        journal = shown(self._options.journal, self._config.invocation_params.dir)
        self._resumed = told(self._results.records, self._folder.journaled, journal)
        if ended:
            self._attempt(self._store_baselines, session)
        self._attempt(self._write_report, session)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Tell a run that pytest ended itself from one that its user ended."""
        # A signal may strike where the interpreter knows no line, and pytest cannot show such an entry.
        excinfo.traceback = Traceback(entry for entry in excinfo.traceback if _has_a_line(entry))
        # pytest's and pytest-xdist's own are subclasses; Ctrl-C and signals are not.
        stopped = excinfo.value
        self._stopped_by_a_failure = isinstance(stopped, KeyboardInterrupt) and type(stopped) is not KeyboardInterrupt

    def _attempt(self, write: Callable[[pytest.Session], None], session: pytest.Session) -> None:
        try:
            write(session)
        except (BaselineError, PublishedError, ReportError) as error:
            self._troubles.append(str(error))
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        except OSError as error:
            self._troubles.append(f"{self._options.report}: the report could not be made: {error}")
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
        report = self._results.document(
            self._matrices,
            environment=self._results.environment(relative=self._options.relative, canaries=self._canaries),
            exit_status=int(session.exitstatus),
            policy=PolicyRecord(
                inconclusive=self._options.inconclusive, invalid=self._options.invalid, strict=self._options.strict
            ),
            part=self._part,
            reference_quant=self._options.reference_quant,
            notes=[*self._troubles, *self._resumed],
        )
        document.write(report, self._options.report / "report.json")
        self._report = self._options.report / "report.json"
        readings = [reading for root in dict.fromkeys(self._roots.values()) for reading in load_all(root / "published")]
        self._annotations = publish(
            report,
            folder=self._options.report,
            formats=self._options.exports,
            environ=os.environ,
            published=published_beside(report, readings),
        )

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the table, and how to go on after an interruption."""
        here = self._config.invocation_params.dir
        if self._results.records:
            self._terminal.summary(
                self._results.records,
                title=", ".join(matrix.name for matrix in self._matrices),
                environment=self._results.environment(relative=self._options.relative, canaries=self._canaries),
                serving_block=self._options.serving_block,
                report=shown(self._report, here) if self._report else None,
                stored={shown(path, here): record for path, record in self._stored.items()},
                troubles=self._troubles,
                annotations=self._annotations,
            )
        for line in self._resumed:
            terminalreporter.write_line(line)
        if self._interrupted and self._options.journal.exists() and self._options.journal.stat().st_size:
            terminalreporter.write_line(
                f"Interrupted: each launch that finished is in {shown(self._options.journal, here)}, and --thor-resume "
                "goes on from there."
            )


def _last_index(items: Sequence[pytest.Item], wanted: pytest.Item) -> int:
    return next(index for index in range(len(items) - 1, -1, -1) if items[index] is wanted)


def _bound_to(config: pytest.Config, chosen: Options) -> Part | None:
    """Bind this process to the part of the machine that it measures on, and return it; None for all of it.

    Every engine that it starts inherits this. A controller measures nothing, and its workers are told theirs.

    Raises:
        pytest.UsageError: the part is not on this machine, or this machine cannot be measured on.
    """
    if config.pluginmanager.has_plugin("thor-distribution"):
        return None
    if hasattr(config, "workerinput"):
        text = config.workerinput.get(ASSIGNED, "")
        part = parse_part(text) if text else None
    else:
        part = next(iter(chosen.devices), None)
    try:
        device = identify(part=part)
        if not hasattr(config, "workerinput"):  # of whose devices the controller made sure
            check_gpus(device)
    except DeviceError as error:
        raise pytest.UsageError(f"--thor-device {error}" if part else str(error)) from error
    if part is not None:
        config.add_cleanup(pin(part))
    return part


def _has_a_line(entry: TracebackEntry) -> bool:
    number: int | None = entry._rawentry.tb_lineno  # noqa: SLF001 - pytest's own property fails without one
    return number is not None and number > 0


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    """End as Ctrl-C does: fixtures are torn down, engines are stopped, and what is finished is reported."""
    raise KeyboardInterrupt(signal.Signals(number).name)
