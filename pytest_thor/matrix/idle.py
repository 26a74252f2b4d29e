"""What a matrix declares in vain: models, backends and workloads without a cell, overrides without effect."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pytest_thor.cell import Cell
from pytest_thor.matrix.declared import DeclaredBackend, DeclaredModel, DeclaredWorkload, Matrix, Selection
from pytest_thor.matrix.findings import Findings


@dataclass(slots=True)
class Formed:
    """What the formation of cells remembers besides them."""

    excluded: dict[str, Selection] = field(default_factory=dict)
    """The first rule that excluded a cell of ``model x``, ``backend y`` or ``workload z``."""
    overridden: set[int] = field(default_factory=set)
    """The overrides that changed a cell, by their place in the matrix."""


def report_idle(cells: tuple[Cell, ...], matrix: Matrix, formed: Formed, findings: Findings) -> None:
    """Note what is declared and never measured, with the reason, and overrides that change nothing."""
    busy_models = {id(cell.model) for cell in cells}
    busy_backends = {id(cell.backend) for cell in cells}
    busy_workloads = {id(cell.workload) for cell in cells}
    for model in matrix.models:
        if id(model.model) not in busy_models:
            why = _excluded("model", model.model.name, formed) or _model_reason(matrix, model)
            findings.add(model.position, f"the model {model.model.name!r} is never measured: {why}")
    for backend in matrix.backends:
        if id(backend.backend) not in busy_backends:
            why = _excluded("backend", backend.backend.name, formed) or _backend_reason(matrix, backend)
            findings.add(backend.position, f"the backend {backend.backend.name!r} measures nothing: {why}")
    busy_sweeps = {each.sweep for each in matrix.workloads if id(each.workload) in busy_workloads}
    for workload in matrix.workloads:
        if id(workload.workload) not in busy_workloads:
            name = workload.workload.name
            why = _excluded("workload", name, formed) or _workload_reason(matrix, workload)
            shown = name if workload.sweep is None or workload.sweep in busy_sweeps else workload.sweep  # a sweep once
            findings.add(workload.position, f"the workload {shown!r} is never measured: {why}")
    for index, override in enumerate(matrix.overrides):
        if index not in formed.overridden:
            findings.add(
                override.match.position,
                "this override changes no cell: all that it matches are excluded, or are never formed because "
                "the backend's engine does not take that model or measure that workload",
            )


def _excluded(word: str, name: str, formed: Formed) -> str | None:
    rule = formed.excluded.get(f"{word} {name}")
    if rule is None:
        return None
    return f"every cell of it is excluded (the first by line {rule.position.line}); remove it instead"


def _model_reason(matrix: Matrix, model: DeclaredModel) -> str:
    taking = [backend for backend in matrix.backends if model.format in backend.formats]
    if not taking:
        return (
            f"its format is {model.format}, and no backend takes that "
            f"({_list(f'{b.backend.name}: {b.backend.engine} takes {_list(b.formats)}' for b in matrix.backends)})"
        )
    return (
        f"the backends that take {model.format} measure "
        f"{_list({kind for backend in taking for kind in backend.kinds})}, and no workload is of such a kind"
    )


def _backend_reason(matrix: Matrix, backend: DeclaredBackend) -> str:
    engine = backend.backend.engine
    if not any(model.format in backend.formats for model in matrix.models):
        return f"{engine} takes {_list(backend.formats)}, and the models are {_list({m.format for m in matrix.models})}"
    return (
        f"{engine} measures {_list(backend.kinds)}, and the workloads are "
        f"{_list({workload.workload.kind for workload in matrix.workloads})}"
    )


def _workload_reason(matrix: Matrix, workload: DeclaredWorkload) -> str:
    kind = workload.workload.kind
    measuring = [backend.backend.name for backend in matrix.backends if kind in backend.kinds]
    if not measuring:
        measured = _list(f"{b.backend.name}: {b.backend.engine} measures {_list(b.kinds)}" for b in matrix.backends)
        return f"its kind is {kind}, and no backend measures that ({measured})"
    return f"the backends that measure {kind} ({_list(measuring)}) take none of the models"


def _list(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))
