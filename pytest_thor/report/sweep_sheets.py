"""A sweep as a table: a row per load, and where it saturates."""

from __future__ import annotations

from pytest_thor.report.figures import shown_quantity
from pytest_thor.report.naming import Naming
from pytest_thor.report.saturation import COLUMNS, Sweep, mark_of, shown_load
from pytest_thor.report.sheets import Column, Sheet


def sweep_sheet(sweep: Sweep, naming: Naming) -> Sheet:
    """Return the points in rising order; what was not measured at any of them has no column."""
    told = [column for column in COLUMNS if any(getattr(point, column[1]) is not None for point in sweep.points)]
    rows = [
        (
            shown_load(point.value),
            *(shown_quantity(getattr(point, name), unit) for _, name, unit in told),
            mark_of(point, sweep),
        )
        for point in sweep.points
    ]
    return Sheet(
        title=" · ".join(
            [sweep.model, sweep.quant, *naming.apart(sweep.matrix, sweep.device), sweep.backend, sweep.workload]
        ),
        columns=(
            Column(title=sweep.swept, right=True),
            *(Column(title=title, right=True) for title, _, _ in told),
            Column(title=""),
        ),
        rows=tuple(rows),
    )
