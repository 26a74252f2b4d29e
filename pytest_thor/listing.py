"""``--thor-list``: the selected cells on standard output and nothing else, for eyes, programs and job matrices."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence

import pytest
from _pytest._io import TerminalWriter  # public nowhere; the reporter offers no other way to be quiet

from pytest_thor.cell import Cell
from pytest_thor.collection import LoadedMatrix
from pytest_thor.options import Options
from pytest_thor.plain_text import inert_json, one_line


class Listing:
    """Turns a run into a collection that prints its cells; what pytest would say is kept for the case of an error."""

    def __init__(self, config: pytest.Config, options: Options, matrices: Sequence[LoadedMatrix]) -> None:
        self._options = options
        self._matrices = matrices
        self._said = io.StringIO()
        self._config = config
        config.option.collectonly = True

    def mute(self) -> None:
        """Keep pytest's reporter from writing to standard output."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter._tw = TerminalWriter(self._said)  # noqa: SLF001 - see the import

    def finish(self, cells: Sequence[Cell], exit_status: int) -> None:
        """Print the cells, or say on standard error why there is nothing to print."""
        if exit_status not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
            sys.stderr.write(self._said.getvalue())
            return
        for line in self._lines(cells):
            sys.stdout.write(f"{line}\n")

    def _lines(self, cells: Sequence[Cell]) -> Iterable[str]:
        if self._options.list_format == "json":
            return as_json(cells)
        if self._options.list_format == "github":
            return [self._as_jobs(cells)]
        return as_text(cells)

    def _as_jobs(self, cells: Sequence[Cell]) -> str:
        from pytest_thor.sharding import deal, github_matrix

        roots = {str(matrix.path): self._options.baseline_root(matrix.path) for matrix in self._matrices}
        jobs = deal(cells, roots, launches=self._options.launches, shards=self._options.shards)
        return github_matrix(jobs, [cell for matrix in self._matrices for cell in matrix.cells])


def as_text(cells: Iterable[Cell]) -> Iterable[str]:
    """Return an aligned line per cell: id, kind, engine, artifact."""
    rows = [(cell.id, cell.kind, cell.backend.engine, one_line(cell.artifact.location)) for cell in cells]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    return [
        "  ".join([*(f"{text:<{width}}" for text, width in zip(row, widths, strict=False)), row[3]]) for row in rows
    ]


def as_json(cells: Iterable[Cell]) -> Iterable[str]:
    """Return one JSON list, an object per cell and line."""
    rows = [inert_json(json.dumps(as_object(cell), ensure_ascii=False)) for cell in cells]
    return ["[", *(f"{row}{',' if number < len(rows) else ''}" for number, row in enumerate(rows, 1)), "]"]


def as_object(cell: Cell) -> Mapping[str, object]:
    """Return everything that the matrix says of a cell."""
    return {
        "id": cell.id,
        **cell.fields,
        "matrix_path": cell.matrix_path,
        "line": cell.line,
        "artifact": {"format": cell.artifact.format, "location": cell.artifact.location},
        "parameters": dict(cell.workload.parameters),
        "settings": dict(cell.backend.settings),
        "thresholds": dict(cell.thresholds),
        "timeout_s": cell.backend.timeout_s,
    }
