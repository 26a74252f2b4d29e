"""The hooks of a run with a matrix: what is collected; measuring joins in where anything is run."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_thor import collection
from pytest_thor.engines import ENGINES
from pytest_thor.files import shown
from pytest_thor.listing import Listing
from pytest_thor.options import Options
from pytest_thor.units import counted

if TYPE_CHECKING:
    from xdist.remote import Producer

    from pytest_thor.scheduling import DeviceScheduling


class Run:
    """One pytest run with at least one matrix."""

    def __init__(self, config: pytest.Config, chosen: Options) -> None:
        self._config = config
        self._options = chosen
        self._matrices = {matrix.path: matrix for matrix in collection.load_matrices(chosen.matrices)}
        backends = {cell.backend.name for matrix in self._matrices.values() for cell in matrix.cells}
        collection.check_programs("--thor-engine", chosen.engines, [*ENGINES, "llama-quantize", *sorted(backends)])
        collection.check_programs("--thor-against", chosen.against, [*ENGINES, *sorted(backends)])
        self._listing = Listing(config, chosen, list(self._matrices.values())) if chosen.list_format else None
        self._select_matrices()
        if not config.option.collectonly:
            from pytest_thor.measuring import Measuring

            config.pluginmanager.register(Measuring(config, chosen, list(self._matrices.values())), "thor-measuring")
            if config.pluginmanager.has_plugin("benchmark"):
                from pytest_thor.benchmark_bridge import BenchmarkBridge

                accepts = chosen.update_baseline == "accept"
                config.pluginmanager.register(BenchmarkBridge(config, accepts=accepts), "thor-benchmark")
        gc.freeze()

    def _select_matrices(self) -> None:
        """Collect the matrices where no file or test was named; beside the usual ones if an ini file names them."""
        if self._config.args_source is pytest.Config.ArgsSource.ARGS:
            return
        usual = [] if self._options.matrices_from_command_line else self._config.args
        self._config.args = [*usual, *map(str, self._matrices)]

    def pytest_report_header(self) -> list[str]:
        """Say what will be measured."""
        here = self._config.invocation_params.dir
        return [
            f"thor: {counted(len(matrix.cells), 'cell')} in {matrix.name} ({shown(path, here)})"
            for path, matrix in self._matrices.items()
        ]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Keep standard output for the listing, where one is asked for."""
        if self._listing:
            self._listing.mute()

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """Collect a matrix as a module of tests."""
        matrix = self._matrices.get(file_path)
        if matrix is None:
            return None
        # Outside the root pytest would make an empty id, and two matrices' tests would pass for the same.
        nodeid = shown(file_path, self._config.rootpath).as_posix()
        module = collection.MatrixModule.from_parent(parent, path=file_path, nodeid=nodeid)
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

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        """Keep the garbage collector from walking thousands of items while something is measured."""
        gc.freeze()

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Print the listing, where one is asked for."""
        if self._listing:
            self._listing.finish(collection.cells_of(session.items), int(session.exitstatus))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Producer) -> DeviceScheduling:
        """Send the cells of one device to one worker."""
        from pytest_thor.scheduling import DeviceScheduling

        return DeviceScheduling(config, log, [cell.id for matrix in self._matrices.values() for cell in matrix.cells])
