"""The plugin's life, hook by hook.

Without a matrix only the hooks at the top are there: plain pytest neither imports more nor behaves differently.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

from pytest_thor import declaration

pytest_plugins = ("pytest_thor.fixtures",)

_MARKERS = (
    "thor_cell(matrix, model, quant, backend, engine, workload, kind): set on every test of a cell; select with -m",
    "thor_cells(**fields): measure only the cells whose fields match; patterns such as 'Q4_*' and lists are allowed",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    declaration.add_options(parser)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    """Where the command line names matrices and nothing else, spare the conftest files of ``testpaths``.

    None of their tests will run, and what they import is often not there where only measurements are made.
    """
    known = early_config.known_args_namespace
    if known.thor_matrix and not known.file_or_dir:
        here = early_config.invocation_params.dir / "conftest.py"
        known.file_or_dir = [*map(str, known.thor_matrix), *([str(here)] if here.is_file() else [])]
    return (yield)


def pytest_configure(config: pytest.Config) -> None:
    """Read the matrices, where any are given, and bring in the hooks that run them."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    if declaration.has_matrix(config):
        from pytest_thor.options import read_options
        from pytest_thor.run import Run

        config.pluginmanager.register(Run(config, read_options(config)), "thor-run")


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Let ``-n auto`` mean a worker for each device, where a matrix is given and the environment asks for no other."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or not declaration.has_matrix(config):
        return None
    from pytest_thor.options import device_count

    return device_count(config)


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Skip a test that wants a cell where no matrix was given."""
    if "thor_cell" in metafunc.fixturenames and not metafunc.config.pluginmanager.has_plugin("thor-run"):
        skip = pytest.mark.skip(reason="needs a matrix: --thor-matrix PATH")
        metafunc.parametrize("thor_cell", [pytest.param(None, id="no-matrix", marks=skip)], indirect=True)
