"""The hooks of a run with a matrix: what is collected; measuring joins in where anything is run."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from pytest_thor import collection
from pytest_thor.artifacts.means import CONVERTER, CONVERTER_PYTHON
from pytest_thor.engines import ENGINES
from pytest_thor.files import shown
from pytest_thor.host.part import shared_memory_nodes
from pytest_thor.listing import Listing
from pytest_thor.options import Options
from pytest_thor.units import counted


class Run:
    """One pytest run with at least one matrix."""

    def __init__(self, config: pytest.Config, chosen: Options) -> None:
        self._config = config
        self._options = chosen
        self._matrices = {matrix.path: matrix for matrix in collection.load_matrices(chosen.matrices)}
        backends = {cell.backend.name for matrix in self._matrices.values() for cell in matrix.cells}
        programs = [*ENGINES, "llama-quantize", CONVERTER, CONVERTER_PYTHON, *sorted(backends)]
        collection.check_programs("--thor-engine", chosen.engines, programs)
        collection.check_programs("--thor-against", chosen.against, [*ENGINES, *sorted(backends)])
        if chosen.reference_quant is not None:
            collection.check_quant("--thor-reference-quant", chosen.reference_quant, self._matrices.values())
        self._listing = Listing(config, chosen, list(self._matrices.values())) if chosen.list_format else None
        self._select_matrices()
        if not config.option.collectonly:
            from pytest_thor.measuring import Measuring

            self._distribute()
            config.pluginmanager.register(Measuring(config, chosen, list(self._matrices.values())), "thor-measuring")
            if config.pluginmanager.has_plugin("benchmark"):
                from pytest_thor.benchmark_bridge import BenchmarkBridge

                accepts = chosen.update_baseline == "accept"
                config.pluginmanager.register(BenchmarkBridge(config, accepts=accepts), "thor-benchmark")
        gc.freeze()

    def _distribute(self) -> None:
        """Let pytest-xdist's workers take devices; without workers there is one device, which is this process's."""
        if hasattr(self._config, "workerinput"):
            return
        if getattr(self._config.option, "dist", "no") != "no" and getattr(self._config.option, "tx", ()):
            from pytest_thor.distribution import Distribution

            distribution = Distribution(self._config, self._options, list(self._matrices.values()))
            self._config.pluginmanager.register(distribution, "thor-distribution")
        elif len(self._options.devices) > 1:
            raise pytest.UsageError(
                f"--thor-device names {counted(len(self._options.devices), 'device')}, and each needs a worker of "
                "pytest-xdist: add -n auto"
            )

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
            *(
                f"thor: {counted(len(matrix.cells), 'cell')} in {matrix.name} ({shown(path, here)})"
                for path, matrix in self._matrices.items()
            ),
            *(f"thor: on {device.written}" for device in self._options.devices),
            *(
                f"thor: {one.written} and {other.written} are on one memory node: each slows down the other"
                for one, other in shared_memory_nodes(self._options.devices)
            ),
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
