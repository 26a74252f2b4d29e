"""A published reading as a report, so that whatever takes a report takes it: one cell for each result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone

from pytest_thor.believable import Believed, architecture_named
from pytest_thor.measurement import METRICS
from pytest_thor.published.records import PublishedResult
from pytest_thor.report.document import (
    CellRecord,
    EnvironmentRecord,
    MetricRecord,
    ReportDocument,
    VerdictName,
    summarize,
)
from pytest_thor.weights import usual_bits

_UNKNOWN = "unknown"


def report_of(results: Iterable[tuple[PublishedResult, Believed]]) -> ReportDocument:
    """Return results as cells, in order; files on offer and mixed tests are no cells and are left out.

    A result that lies beyond its device is ``invalid``, every other has no baseline. There are no launches: what a
    source publishes are summaries, and they stand as the metrics' values.
    """
    now = datetime.now(tz=timezone.utc).isoformat(timespec="seconds")
    kept = [(result, believed) for result, believed in results if result.kind in {"prefill", "decode", "serving"}]
    names = Counter(_id(result) for result, _ in kept)
    cells = [_cell(result, believed, alone=names[_id(result)] == 1) for result, believed in kept]
    devices = sorted({cell.device for cell in cells})
    return ReportDocument(
        schema="pytest-thor/report/1",
        started_at=now,
        finished_at=now,
        environment=EnvironmentRecord(device=", ".join(devices) or _UNKNOWN, fingerprint={}),
        matrix=[],
        summary=summarize(cells, exit_status=None),
        cells=cells,
    )


def _cell(result: PublishedResult, believed: Believed, *, alone: bool) -> CellRecord:
    invalid = believed.doubt is not None
    architecture = None if result.model is None else architecture_named(result.model)
    weights, size = (result.metrics.get(name) for name in ("parameters", "model_bytes"))
    bits = 8 * size.value / weights.value if weights and size and weights.value > 0 else None
    verdict: VerdictName = "invalid" if invalid else "no-baseline"
    assert result.kind in {"prefill", "decode", "serving"}
    return CellRecord(
        id=_id(result) if alone else f"{_id(result)}-line{result.line}",
        matrix=result.source,
        model=result.model or result.label or _UNKNOWN,
        quant=result.quant or _UNKNOWN,
        backend=result.backend or result.engine or _UNKNOWN,
        engine=result.engine or _UNKNOWN,
        workload=_workload(result),
        kind=result.kind,
        architecture=architecture,
        weights=None if weights is None else round(weights.value),
        bits_per_weight=bits or usual_bits(result.quant or "", architecture),
        device=believed.device or result.device or _UNKNOWN,
        location=f"{result.source}:{result.line}",
        outcome="failed" if invalid else "passed",
        verdict=verdict,
        reason=believed.doubt or "published; there is nothing to hold it against",
        parameters=dict(result.workload),
        settings=dict(result.settings),
        advice=[*result.notes, *([believed.assumed] if believed.assumed else [])],
        metrics=dict(_metrics(result, believed)),
    )


def _metrics(result: PublishedResult, believed: Believed) -> Mapping[str, MetricRecord]:
    """Return the figures that are metrics of pytest-thor; counts and sizes are none."""
    return {
        name: MetricRecord(
            unit=metric.unit,
            better=metric.better,
            value=figure.value,
            limit=held.limit.value if held else None,
            efficiency=held.efficiency if held else None,
        )
        for name, figure in result.metrics.items()
        if (metric := METRICS.get(name.partition(".")[0])) is not None
        for held in [believed.held.get(name)]
    }


def _id(result: PublishedResult) -> str:
    parts = (result.model or result.label or _UNKNOWN, result.quant or _UNKNOWN, result.engine or _UNKNOWN)
    return "-".join((*parts, _workload(result)))


def _workload(result: PublishedResult) -> str:
    work = result.workload
    if result.kind == "serving":
        lengths = f"{work.get('input_len') or '?'}-{work.get('output_len') or '?'}"
        return f"load-{lengths}-x{work.get('num_prompts') or '?'}-c{work.get('max_concurrency') or '?'}"
    count = f"pp{work.get('n_prompt')}" if result.kind == "prefill" else f"tg{work.get('n_gen')}"
    return f"{count}@{work['n_depth']}" if work.get("n_depth") else count
