"""Under pytest-xdist, the controller's part: which worker measures on which device, and where each cell belongs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_thor import journal
from pytest_thor.baseline import store
from pytest_thor.cell import Cell
from pytest_thor.collection import LoadedMatrix
from pytest_thor.errors import DeviceError
from pytest_thor.host.part import sharing_cores
from pytest_thor.options import Options
from pytest_thor.plain_text import one_line
from pytest_thor.record import unmeasured_record
from pytest_thor.scheduling import CellsOfNodes, DeviceScheduling, Scope
from pytest_thor.seat import ASSIGNED, SUCCEEDS, VARIABLE, Seat, seat_on, told_seat
from pytest_thor.units import counted

if TYPE_CHECKING:
    from xdist.remote import Producer

_PROBE = """\
import subprocess, sys
command = [sys.executable, "-m", "pytest_thor.seat"]
asked = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
channel.send((asked.returncode, asked.stdout, asked.stderr))
"""
"""Asked in a process of its own: pytest wants to be the first that imports its plugins in a worker."""
_PROBE_S = 60.0
_PATHS = ("--thor-matrix", "--thor-models", "--thor-baseline", "--thor-report", "--thor-imatrix")


class Distribution:
    """Workers on this machine take the devices that ``--thor-device`` names; one elsewhere brings its own."""

    def __init__(self, config: pytest.Config, chosen: Options, matrices: Sequence[LoadedMatrix]) -> None:
        self._config = config
        self._options = chosen
        self._matrices = matrices
        self._free: list[Seat] = []
        self._seats: dict[str, Seat] = {}
        """By worker."""
        self.devices: set[str] = set()
        """The slugs of all that any worker has had."""
        self._lost: Seat | None = None
        """Where the worker measured that ended last: pytest-xdist tells of a lost worker's test right after its end."""
        self._cells = CellsOfNodes(cell for matrix in matrices for cell in matrix.cells)
        self._lent: set[str] = set()
        """The workers that have one of this machine's devices."""
        self._scheduling: DeviceScheduling | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, config: pytest.Config, specs: Sequence[Any]) -> None:
        """Make sure that there is a worker for each device, before any is started."""
        here = [spec for spec in specs if not _brings_own(spec)]
        wanted = self._options.devices
        if len(here) < len(wanted):
            raise pytest.UsageError(
                f"{counted(len(wanted), 'device')} and {counted(len(here), 'worker')} for them on this machine: "
                f"each device needs one; start them with -n auto or -n {len(wanted)}"
            )
        shared = sharing_cores(wanted)
        if shared:
            raise pytest.UsageError(
                f"--thor-device {shared[0].written} and {shared[1].written} have cores in common: two CPUs of one core "
                "slow each other down; give both to one device (lscpu -e=CPU,CORE tells which those are)"
            )
        try:
            self._free = [seat_on(part) for part in wanted or ([None] if here else [])]
        except DeviceError as error:
            raise pytest.UsageError(f"--thor-device {error}" if wanted else str(error)) from error
        if len(here) < len(specs):
            # pytest-xdist takes a path that is an argument of its own for one that it has to bring to the other side.
            params = config.invocation_params
            config.invocation_params = replace(params, args=_with_equals_signs(params.args))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:  # noqa: ANN401 - pytest-xdist's, which is untyped
        """Give a worker its device; one more than there are devices gets none, and measures nothing."""
        worker = node.gateway.id
        if _brings_own(node.gateway.spec):
            self._seats[worker] = _ask(node.gateway)
        elif self._free:
            self._seats[worker] = self._free.pop(0)
            self._lent.add(worker)
        seat = self._seats.get(worker)
        self.devices |= {seat.slug} if seat else set()
        node.workerinput[ASSIGNED] = seat.part if seat else ""
        node.workerinput[SUCCEEDS] = self._lost is not None and worker in self._lent

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:  # noqa: ANN401 - as above
        """Take a lost worker's device back, for the one that takes its place."""
        worker = node.gateway.id
        seat = self._lost = self._seats.pop(worker, None)
        if seat is not None and worker in self._lent:
            self._lent.remove(worker)
            self._free.insert(0, seat)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport, sched: DeviceScheduling) -> None:
        """Tell of the test that a worker was at when it was lost; it is run again, or its cell is not measured."""
        if sched.is_left(crashitem):
            report.outcome = "rerun"  # type: ignore[assignment] # as pytest-xdist and the plugins that run again say it
        cell = self._cells.cell_of(crashitem)
        if cell is not None and self._lost is not None:
            reason = f"{report.longrepr}; --thor-resume goes on with the launches that it had finished"
            record = unmeasured_record(cell, device=self._lost.slug, outcome="error", reason=reason)
            report.thor = record.model_dump(mode="json")  # type: ignore[attr-defined] # reports carry extras

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Producer) -> DeviceScheduling:
        """Deal out cells by device."""
        cells = [cell for matrix in self._matrices for cell in matrix.cells]
        self._scheduling = DeviceScheduling(
            config,
            log,
            cells=self._cells,
            seat_of=lambda node: self._seats.get(node.gateway.id),
            homes=self._homes(cells),
        )
        return self._scheduling

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """Let no run pass whose workers were lost, one too many of them, before all tests were run."""
        left = self._scheduling is not None and self._scheduling.leaves_tests
        if left and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return (yield)

    def _homes(self, cells: Sequence[Cell]) -> Mapping[Scope, frozenset[str]]:
        """Return the devices of this run where cells must go: where their finished launches are, or their baselines."""
        slugs = {seat.slug for seat in self._seats.values()}
        if len(slugs) < 2:
            return {}
        finished = journal.launches_by_device(self._options.journal) if self._options.resume else {}
        roots = {matrix.path: self._options.baseline_root(matrix.path) for matrix in self._matrices}
        by_path = {str(path): root for path, root in roots.items()}
        launched: dict[Scope, Counter[str]] = {}
        stored: dict[Scope, Counter[str]] = {}
        for cell in cells:
            counts = finished.get((cell.matrix, cell.id), {})
            launched.setdefault(cell.group, Counter()).update({slug: counts.get(slug, 0) for slug in slugs})
            if not self._options.against:
                root = by_path[cell.matrix_path]
                there = [slug for slug in slugs if store.path_of(root, slug, cell).exists()]
                stored.setdefault(cell.group, Counter()).update(there)
        return {group: _most(counts) or _most(stored.get(group, Counter())) for group, counts in launched.items()}


def _brings_own(spec: Any) -> bool:  # noqa: ANN401 - execnet's
    """Tell whether a worker is on another machine, or was told its device with its start."""
    return not spec.popen or bool(spec.via) or VARIABLE in spec.env


def _ask(gateway: Any) -> Seat:  # noqa: ANN401 - execnet's
    """Ask a worker that is about to be started for its device."""
    channel = gateway.remote_exec(_PROBE)
    try:
        status, told, complaint = channel.receive(_PROBE_S)
        channel.waitclose(_PROBE_S)
    except (channel.RemoteError, channel.TimeoutError, EOFError) as error:
        status, told, complaint = 1, "", str(error) or type(error).__name__
    if status:
        last = complaint.strip().splitlines()[-1:] or [f"exit status {status}"]
        raise pytest.UsageError(
            f"--tx {gateway.spec}: pytest-thor does not answer there: {one_line(last[0])}; install the same version "
            "for the Python that python=… names"
        )
    try:
        return told_seat(told)
    except DeviceError as error:
        raise pytest.UsageError(f"--tx {gateway.spec}: {error}") from error


def _with_equals_signs(arguments: Sequence[str]) -> tuple[str, ...]:
    """Write ``--thor-matrix PATH`` as ``--thor-matrix=PATH``: it is meant as it is on the other side, too."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] in _PATHS:
            joined[-1] += f"={argument}"
        else:
            joined.append(str(argument))
    return tuple(joined)


def _most(counts: Counter[str]) -> frozenset[str]:
    most = max(counts.values(), default=0)
    return frozenset(slug for slug, count in counts.items() if count == most and most)
