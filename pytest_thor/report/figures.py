"""Figures as a reader sees them; what is not known is empty."""

from __future__ import annotations

import math
from datetime import datetime

from pytest_thor.report.document import EngineRecord, MetricRecord, ReportDocument
from pytest_thor.units import format_duration, format_percent, format_quantity


def shown_value(metric: MetricRecord) -> str:
    """Return what was measured, ``?`` where nothing was."""
    return shown_quantity(metric.value, metric.unit) or "?"


def shown_quantity(value: float | None, unit: str) -> str:
    """Return a value with its unit; NaN and infinities as they are."""
    if value is None:
        return ""
    return format_quantity(value, unit) if math.isfinite(value) else f"{value} {unit}"


def shown_change(metric: MetricRecord) -> str:
    """Return the change against the baseline: ``-12.4 %``."""
    return "" if metric.change is None else format_percent(metric.change, signed=True)


def shown_interval(low: float | None, high: float | None) -> str:
    """Return an interval of relative changes: ``-13.0 to -11.8 %``."""
    if low is None or high is None:
        return ""
    return f"{format_percent(low, signed=True).removesuffix(' %')} to {format_percent(high, signed=True)}"


def shown_share(fraction: float | None) -> str:
    """Return a share: ``3.0 %``."""
    return "" if fraction is None else format_percent(fraction)


def shown_run_time(document: ReportDocument) -> str:
    """Return how long the run took: ``1 h 03 min``."""
    try:
        started, finished = (datetime.fromisoformat(at) for at in (document.started_at, document.finished_at))
        return format_duration((finished - started).total_seconds())
    except (ValueError, TypeError):  # not a time, or one with a zone and one without
        return ""


def shown_build(engine: EngineRecord) -> str:
    """Return an engine with its build: ``llama-bench b7000 (abcdef0)``."""
    commit = f"({engine.commit})" if engine.commit else None
    return " ".join(part for part in (engine.name, engine.version, commit) if part)


def first_paragraph(reason: str) -> tuple[str, str]:
    """Split a cell's reason into its sentence and what follows it, the end of a log as a rule."""
    head, _, rest = reason.strip().partition("\n\n")
    return head, rest.strip("\n")
