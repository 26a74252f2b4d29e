"""A matrix file becomes a module of tests: its parameters, its marks, its order."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from operator import itemgetter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.cell import Cell
from pytest_thor.engines import ENGINES
from pytest_thor.errors import MatrixError
from pytest_thor.matrix import Vocabulary, expand, load
from pytest_thor.measurement import METRICS


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedMatrix:
    """A matrix file that was read without a mistake; ``cells`` are all of its cells, in the file's order."""

    path: Path
    name: str
    sha256: str
    cells: tuple[Cell, ...]


def vocabulary() -> Vocabulary:
    """Return the names that a matrix may use."""
    return Vocabulary(
        engines={name: engine.traits for name, engine in ENGINES.items()},
        architectures=frozenset(ARCHITECTURES),
        metrics=METRICS,
    )


def check_programs(option: str, given: Mapping[str, Path], known: Iterable[str]) -> None:
    """Refuse a name that no engine or backend has: the one that was meant would be measured instead, unnoticed.

    Raises:
        pytest.UsageError: a name is unknown, or nothing is at its path.
    """
    names = list(dict.fromkeys(known))
    for name, path in given.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            advice = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(names)}"
            raise pytest.UsageError(f"{option} {name}={path}: there is no engine or backend {name!r}; {advice}")
        if not path.exists():
            raise pytest.UsageError(f"{option} {name}={path}: there is nothing at this path")


def check_quant(option: str, wanted: str, matrices: Iterable[LoadedMatrix]) -> None:
    """Refuse a quant that no cell has, in any spelling.

    Raises:
        pytest.UsageError: there is none of that name.
    """
    quants = list(dict.fromkeys(cell.quant for matrix in matrices for cell in matrix.cells))
    if wanted.casefold() not in map(str.casefold, quants):
        near = difflib.get_close_matches(wanted, quants, n=1)
        advice = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(quants)}"
        raise pytest.UsageError(f"{option} {wanted}: no cell has this quant; {advice}")


def load_matrices(paths: Sequence[Path]) -> tuple[LoadedMatrix, ...]:
    """Read every matrix of a run.

    Raises:
        pytest.UsageError: one has mistakes; all mistakes of all files are in the message.
    """
    problems: list[str] = []
    loaded = []
    known = vocabulary()
    for path in paths:
        try:
            matrix = load(path, known)
            cells = expand(matrix)
        except MatrixError as error:
            problems.extend(str(problem) for problem in error.problems)
            continue
        loaded.append(LoadedMatrix(path=path, name=matrix.name, sha256=matrix.sha256, cells=cells))
    problems.extend(_same_names(loaded))
    if problems:
        raise pytest.UsageError(*problems)
    return tuple(loaded)


def _same_names(matrices: Sequence[LoadedMatrix]) -> Iterator[str]:
    """Two matrices of one name would write to the same baselines."""
    first: dict[str, Path] = {}
    for matrix in matrices:
        if matrix.name in first:
            yield (
                f"{matrix.path}: its name {matrix.name!r} is also that of {first[matrix.name]}; they would share "
                "baselines, so run them apart or give one another name"
            )
        first.setdefault(matrix.name, matrix.path)


class MatrixModule(pytest.Module):
    """A matrix file as pytest sees it: the bundled tests that have at least one of its cells."""

    matrix: LoadedMatrix

    def _getobj(self) -> ModuleType:
        from pytest_thor import suite

        return suite

    def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
        """Leave out a test without cells: pytest would show it as skipped."""
        for node in super().collect():
            if isinstance(node, pytest.Function) and not hasattr(node, "callspec"):
                continue
            yield node


def parametrize(metafunc: pytest.Metafunc, matrices: Mapping[Path, LoadedMatrix]) -> None:
    """Make one test per cell that a function's marks leave of its matrix, or of all where it stands in none.

    A bundled test without a cell gets no parameter at all, and is then left out.
    """
    module = metafunc.definition.getparent(MatrixModule)
    cells = module.matrix.cells if module else tuple(cell for m in matrices.values() for cell in m.cells)
    for mark in metafunc.definition.iter_markers("thor_cells"):
        _check_fields(mark, metafunc)
        cells = _selected(cells, mark.kwargs)
    if module and not cells:
        return
    qualify = module is None and len(matrices) > 1
    thor_cell = pytest.mark.thor_cell
    metafunc.parametrize(
        "thor_cell",
        [
            pytest.param(
                cell,
                id=f"{cell.matrix}/{cell.id}" if qualify else cell.id,
                marks=thor_cell.with_args(**cell.fields),
            )
            for cell in cells
        ],
        indirect=True,
    )


def _check_fields(mark: pytest.Mark, metafunc: pytest.Metafunc) -> None:
    known = ("matrix", "model", "quant", "backend", "engine", "workload", "kind")
    unknown = [name for name in mark.kwargs if name not in known]
    if unknown or mark.args:
        raise pytest.UsageError(
            f"{metafunc.definition.nodeid}: thor_cells takes {', '.join(known)} as keywords, not "
            f"{', '.join([*unknown, *map(repr, mark.args)])}"
        )


def _selected(cells: Sequence[Cell], wanted: Mapping[str, Any]) -> tuple[Cell, ...]:
    """Return the cells whose fields match: each a name, a pattern, or a list of them."""
    for name, value in wanted.items():
        patterns = [value] if isinstance(value, str) else list(value)
        # A field has few values: each is matched once, not once per cell.
        present = {cell.fields[name] for cell in cells}
        matching = {text for text in present if any(fnmatchcase(text, pattern) for pattern in patterns)}
        cells = [cell for cell in cells if cell.fields[name] in matching]
    return tuple(cells)


def cell_of(item: pytest.Item) -> Cell | None:
    """Return the cell that a test measures, or None."""
    callspec = getattr(item, "callspec", None)
    cell = callspec.params.get("thor_cell") if callspec else None
    return cell if isinstance(cell, Cell) else None


def cells_of(items: Iterable[pytest.Item]) -> list[Cell]:
    """Return the cells that tests measure, once each, in the order of the tests."""
    return list(dict.fromkeys(cell for item in items if (cell := cell_of(item))))


def sort_by_cell(items: list[pytest.Item], matrices: Iterable[LoadedMatrix]) -> None:
    """Bring tests into the matrix's order, in which the cells of one engine start stand together; canaries first.

    Tests without a cell keep their places; several tests of one cell keep their order.
    """
    cells = [cell for matrix in matrices for cell in matrix.cells]
    first = {cell.group for cell in cells if cell.canary}
    order = {cell: index for index, cell in enumerate(sorted(cells, key=lambda cell: cell.group not in first))}
    places = []
    ranked = []
    for place, item in enumerate(items):
        cell = cell_of(item)
        if cell is not None:
            places.append(place)
            ranked.append((order[cell], place, item))
    ranked.sort(key=itemgetter(0, 1))
    for place, (_, _, item) in zip(places, ranked, strict=True):
        items[place] = item
