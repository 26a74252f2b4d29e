"""The quants that a quality workload holds the others against."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_thor.cell import ArtifactReference, Cell
from pytest_thor.matrix.declared import DeclaredModel, DeclaredQuant, DeclaredWorkload, Matrix
from pytest_thor.matrix.findings import Findings
from pytest_thor.matrix.names import nearest


def reference_of(model: DeclaredModel, quant: DeclaredQuant, workload: DeclaredWorkload) -> ArtifactReference | None:
    """Return the files of the quant that another one is held against; None where it is held against none."""
    wanted = _wanted(workload)
    if wanted is None or wanted == quant.name:
        return None
    return next((other.artifact for other in model.quants if other.name == wanted), None)


def report_references(cells: Iterable[Cell], matrix: Matrix, findings: Findings) -> None:
    """Note models that are measured and lack the quant that their workload names as the reference."""
    models = {id(declared.model): declared for declared in matrix.models}
    workloads = {id(declared.workload): declared for declared in matrix.workloads}
    seen = set()
    for cell in cells:
        pair = (id(cell.model), id(cell.workload))
        if cell.kind != "quality" or pair in seen:
            continue
        seen.add(pair)
        workload, model = workloads[id(cell.workload)], models[id(cell.model)]
        wanted, names = _wanted(workload), [quant.name for quant in model.quants]
        if wanted is not None and wanted not in names:
            findings.add(
                workload.position,
                f"{workload.workload.name}: the model {model.model.name!r} (line {model.position.line}) has no quant "
                f"{wanted!r} to be the reference{nearest(wanted, names)}; add it to its quants (exclude keeps it from "
                "other workloads), or exclude the model from this one",
            )


def _wanted(workload: DeclaredWorkload) -> str | None:
    if workload.workload.kind != "quality":
        return None
    name = workload.workload["reference"]
    return name if isinstance(name, str) else None
