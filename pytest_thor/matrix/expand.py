"""A matrix becomes its cells: model → quant → backend → workload, in the file's order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pytest_thor.cell import Cell
from pytest_thor.matrix.declared import (
    DeclaredBackend,
    DeclaredModel,
    DeclaredWorkload,
    Matrix,
    Position,
    Selection,
    matches,
    selects,
)
from pytest_thor.matrix.findings import Findings
from pytest_thor.matrix.fit import report_misfits
from pytest_thor.matrix.idle import Formed, report_idle
from pytest_thor.matrix.names import MAX_ID
from pytest_thor.matrix.references import reference_of, report_references

_Thresholds = tuple[tuple[str, float], ...]

MAX_CELLS = 100_000
"""Cells before any is excluded; at a minute each they would take ten weeks."""


def expand(matrix: Matrix) -> tuple[Cell, ...]:
    """Return the cells of a matrix, those only that make sense and are not excluded.

    Raises:
        MatrixError: two cells have one id; a model, backend or workload ends in no cell; an override changes none;
            a request does not fit in a context; a model lacks the quant that it shall be held against.
    """
    findings = Findings(matrix.path)
    if _report_too_many(matrix, findings):
        raise findings.error()
    formed = Formed()
    cells = tuple(_form(matrix, formed))
    _report_collisions(cells, matrix, findings)
    _report_canary(cells, matrix, findings)
    report_misfits(cells, matrix, findings)
    report_references(cells, matrix, findings)
    report_idle(cells, matrix, formed, findings)
    if findings:
        raise findings.error()
    return cells


def report_beside(matrix: Matrix, findings: Findings) -> None:
    """Note what is wrong with the cells of a matrix of which some declarations are broken and missing."""
    if _report_too_many(matrix, findings):
        return
    cells = tuple(_form(matrix, Formed()))
    _report_collisions(cells, matrix, findings)
    report_misfits(cells, matrix, findings)
    report_references(cells, matrix, findings)


def _report_too_many(matrix: Matrix, findings: Findings) -> bool:
    """Note a matrix of more cells than can be listed, without listing them; tell whether it is one."""
    kinds = Counter(workload.workload.kind for workload in matrix.workloads)
    of_format: Counter[str] = Counter()
    for backend in matrix.backends:
        for format_ in backend.formats:
            of_format[format_] += sum(kinds[kind] for kind in backend.kinds)
    count = sum(len(model.quants) * of_format[model.format] for model in matrix.models)
    if count > MAX_CELLS:
        findings.add(
            Position(1, 1),
            f"quants × backends × workloads make {count:,} cells before any is excluded, and {MAX_CELLS:,} are the "
            "most: name fewer, or write several matrices",
        )
    return count > MAX_CELLS


def _form(matrix: Matrix, formed: Formed) -> Iterator[Cell]:
    rules = [*matrix.exclude, *(override.match for override in matrix.overrides)]
    if matrix.canary is not None:
        rules.append(matrix.canary)
    merged = _Merged(matrix, formed)
    for model in matrix.models:
        of_model = [rule for rule in rules if matches(rule.model, model.model.name)]
        for quant in model.quants:
            of_quant = [rule for rule in of_model if matches(rule.quant, quant.name)]
            for backend in matrix.backends:
                if model.format not in backend.formats:
                    continue
                of_backend = [rule for rule in of_quant if matches(rule.backend, backend.backend.name)]
                for workload in matrix.workloads:
                    if workload.workload.kind not in backend.kinds:
                        continue
                    of_cell = [rule for rule in of_backend if selects(rule, workload)]
                    thresholds = merged.thresholds(of_cell)
                    if isinstance(thresholds, Selection):
                        for name in _names(model, backend, workload):
                            formed.excluded.setdefault(name, thresholds)
                        continue
                    yield Cell(
                        matrix=matrix.name,
                        matrix_path=matrix.path,
                        line=model.position.line,
                        model=model.model,
                        quant=quant.name,
                        artifact=quant.artifact,
                        backend=backend.backend,
                        workload=workload.workload,
                        thresholds=thresholds,
                        canary=any(rule is matrix.canary for rule in of_cell),
                        reference=reference_of(model, quant, workload),
                    )


class _Merged:
    """The thresholds that a set of rules gives, made once for all cells that share it."""

    def __init__(self, matrix: Matrix, formed: Formed) -> None:
        self._matrix = matrix
        self._formed = formed
        self._excluding = {id(rule) for rule in matrix.exclude}
        self._overriding = {id(override.match): index for index, override in enumerate(matrix.overrides)}
        self._known: dict[tuple[int, ...], _Thresholds | Selection] = {}

    def thresholds(self, rules: list[Selection]) -> _Thresholds | Selection:
        """Return a cell's thresholds, or the rule that excludes it."""
        key = tuple(map(id, rules))
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._merge(rules)
        return known

    def _merge(self, rules: list[Selection]) -> _Thresholds | Selection:
        for rule in rules:
            if id(rule) in self._excluding:
                return rule
        thresholds = dict(self._matrix.thresholds)
        for rule in rules:  # in the file's order: a later override wins
            index = self._overriding.get(id(rule))
            if index is None:  # the canary's
                continue
            self._formed.overridden.add(index)
            thresholds.update(self._matrix.overrides[index].thresholds)
        return tuple(sorted(thresholds.items()))


def _report_canary(cells: tuple[Cell, ...], matrix: Matrix, findings: Findings) -> None:
    chosen = [cell.id for cell in cells if cell.canary]
    if matrix.canary is not None and len(chosen) != 1:
        named = f": {', '.join(chosen[:3])}{', …' if len(chosen) > 3 else ''}" if chosen else ""
        findings.add(matrix.canary.position, f"the canary is one cell, and this names {len(chosen)}{named}")
    elif matrix.canary is not None and any(cell.canary and cell.kind == "quality" for cell in cells):
        findings.add(
            matrix.canary.position,
            f"the canary tells how fast the machine is, and {chosen[0]} has no speed: name a cell of another workload",
        )


def _report_collisions(cells: tuple[Cell, ...], matrix: Matrix, findings: Findings) -> None:
    """Note cells whose ids are equal, or differ in case only: each once per pair of declarations."""
    first: dict[str, Cell] = {}
    seen = set()
    for cell in cells:
        other = first.setdefault(cell.id.lower(), cell)
        if len(cell.id) > MAX_ID:
            findings.add(
                _place(matrix, cell), f"the cell id {cell.id!r} is longer than {MAX_ID} characters: shorten a name"
            )
        if other is cell:
            continue
        pairs = tuple(
            (word, one, two) for word, one, two in zip(_WORDS, _parts(other), _parts(cell), strict=True) if one != two
        )
        if pairs in seen:
            continue
        seen.add(pairs)
        same = "have the same id" if other.id == cell.id else "have ids that differ in case only (one file each)"
        findings.add(
            _place(matrix, cell),
            f"two cells {same}, {cell.id!r}: {_described(matrix, other)} and {_described(matrix, cell)}; rename one",
        )


_WORDS = ("model", "quant", "backend", "workload")


def _parts(cell: Cell) -> tuple[str, str, str, str]:
    return (cell.model.name, cell.quant, cell.backend.name, cell.workload.name)


def _described(matrix: Matrix, cell: Cell) -> str:
    named = ", ".join(f"{word} {part!r}" for word, part in zip(_WORDS, _parts(cell), strict=True))
    return f"{named} (line {_place(matrix, cell).line})"


def _place(matrix: Matrix, cell: Cell) -> Position:
    for model in matrix.models:
        if model.model is cell.model:
            return next(quant.position for quant in model.quants if quant.name == cell.quant)
    raise LookupError(cell.id)  # cells are formed from these models


def _names(model: DeclaredModel, backend: DeclaredBackend, workload: DeclaredWorkload) -> tuple[str, str, str]:
    return (
        f"model {model.model.name}",
        f"backend {backend.backend.name}",
        f"workload {workload.workload.name}",
    )
