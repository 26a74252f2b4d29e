"""What others published of the cells of a report, so that it can be shown beside ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_thor.measurement import METRICS
from pytest_thor.published.records import PublishedResult, Reading
from pytest_thor.published.reference import beside
from pytest_thor.report.document import ReportDocument
from pytest_thor.report.html.published_figure import Published, PublishedFigure


def published_beside(document: ReportDocument, readings: Sequence[Reading]) -> Published:
    """Return the figures of every cell that a reference has of the same model, quant and workload, on any device.

    Only figures that are metrics, in the metric's own unit, are taken; nothing is converted.
    """
    if not readings:
        return {}
    dated = {reading.source.name: reading.source.date for reading in readings}
    found = {}
    for record in document.cells:
        results = beside(
            readings, models=[record.model], quant=record.quant, kind=record.kind, parameters=record.parameters
        )
        figures = tuple(figure for result in results for figure in _figures(result, dated.get(result.source)))
        if figures:
            found[record.matrix, record.id] = figures
    return found


def _figures(result: PublishedResult, dated: str | None) -> Iterator[PublishedFigure]:
    for name, figure in result.metrics.items():
        metric = METRICS.get(name.partition(".")[0])
        if metric is not None and figure.unit == metric.unit:
            yield PublishedFigure(
                metric=name,
                value=figure.value,
                unit=figure.unit,
                source=f"{result.source}:{result.line}",
                date=result.date or dated,
                device=result.device,
                engine=" ".join(part for part in (result.engine, result.build) if part) or None,
            )
