"""A cell as flat properties of its test, for JUnit XML and whatever else reads ``user_properties``."""

from __future__ import annotations

import math

from pytest_thor.plain_text import one_line
from pytest_thor.report.document import CellRecord

Scalar = str | int | float
_FIGURES = (
    *("value", "ci_low", "ci_high", "baseline", "change", "change_low", "change_high", "threshold"),
    *("minimum_detectable_effect", "q_value", "limit", "efficiency"),
)


def properties(record: CellRecord) -> list[tuple[str, Scalar]]:
    """Return names with text or numbers: ``thor.verdict``, ``thor.tg_tps.value``, ``thor.tg_tps.change``.

    What is not known is left out, never 0; a figure that is not finite is its name (``nan``, ``inf``), as text.
    """
    first = next((launch.engine for launch in record.launches), None)
    fields: dict[str, Scalar | None] = {
        "cell": record.id,
        "matrix": record.matrix,
        "model": record.model,
        "quant": record.quant,
        "backend": record.backend,
        "engine": record.engine,
        "engine.version": first.version if first else None,
        "engine.commit": first.commit if first else None,
        "workload": record.workload,
        "kind": record.kind,
        "device": record.device,
        "outcome": record.outcome,
        "verdict": record.verdict,
        "launches": len(record.launches),
    }
    for name, metric in record.metrics.items():
        fields[f"{name}.unit"] = metric.unit
        fields[f"{name}.verdict"] = metric.verdict
        for figure in _FIGURES:
            value: float | None = getattr(metric, figure)
            fields[f"{name}.{figure}"] = value if value is None or math.isfinite(value) else str(value)
    return [
        (f"thor.{name}", one_line(value) if isinstance(value, str) else value)
        for name, value in fields.items()
        if value is not None
    ]
