"""What other tools read: github-action-benchmark, the Bencher Metric Format, and CSV with one row per sample.

Figures of invalid cells stay out of the first two, whose readers keep what they are given as history; CSV has
everything, with its verdict.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from pytest_thor.measurement import METRICS, Better
from pytest_thor.plain_text import inert_json, one_line
from pytest_thor.report.document import CellRecord, LaunchRecord, MetricRecord, ReportDocument
from pytest_thor.report.naming import naming_of

CSV_COLUMNS = (
    *("matrix", "cell", "model", "quant", "backend", "engine", "workload", "kind", "device", "outcome", "verdict"),
    *("launch_role", "launch", "started_at", "engine_version", "engine_commit"),
    *("metric", "unit", "better", "sample", "value"),
)
_FORMULA = ("=", "+", "-", "@")


def action_benchmark(document: ReportDocument, better: Better) -> str:
    """Return the JSON of ``customBiggerIsBetter`` (higher) or ``customSmallerIsBetter`` (lower).

    An array of ``{name, value, unit, range, extra}``; ``range`` is half the 90 % interval. A name is the cell and its
    metric, of several devices with the device: the same in every run of them.
    """
    entries = []
    naming = naming_of(document.cells)
    for record, name, metric in _believable(document):
        if metric.better != better:
            continue
        entry = {"name": f"{naming.series(record)} {name}", "value": metric.value, "unit": metric.unit}
        if metric.ci_low is not None and metric.ci_high is not None:
            half = float(f"{(metric.ci_high - metric.ci_low) / 2:.4g}")
            # The reader wants at least two characters after the sign, which a float's repr always has.
            entry["range"] = f"± {half!r}" if math.isfinite(half) and half >= 0 else None
        entry["extra"] = _extra(record, metric)
        entries.append({key: value for key, value in entry.items() if value is not None})
    return _json(entries)


def bencher(document: ReportDocument) -> str:
    """Return Bencher Metric Format: ``{benchmark: {measure: {value, lower_value, upper_value}}}``."""
    naming = naming_of(document.cells)
    benchmarks: dict[str, dict[str, dict[str, float]]] = {}
    for record, name, metric in _believable(document):
        bounds = {"value": metric.value, "lower_value": metric.ci_low, "upper_value": metric.ci_high}
        known = {key: value for key, value in bounds.items() if value is not None and math.isfinite(value)}
        benchmarks.setdefault(naming.series(record), {})[name] = known
    return _json(benchmarks)


def long_csv(document: ReportDocument) -> bytes:
    """Return one row per raw sample of every launch, failed and reference launches included; lines end in a newline."""
    content = io.BytesIO()
    content.write(_line(CSV_COLUMNS).encode())
    for record in document.cells:
        for role, launches in (("current", record.launches), ("reference", record.reference_launches)):
            for number, launch in enumerate(launches, 1):
                content.write("".join(_samples(record, role, number, launch)).encode("utf-8", "replace"))
    return content.getvalue()


def _samples(record: CellRecord, role: str, number: int, launch: LaunchRecord) -> Iterator[str]:
    """Yield a line per sample. What the samples of a metric share is quoted once: there are a million and more."""
    place = (
        *(record.matrix, record.id, record.model, record.quant, record.backend, record.engine, record.workload),
        *(record.kind, record.device, record.outcome, record.verdict or "", role, number, launch.started_at),
        *(launch.engine.version or "", launch.engine.commit or ""),
    )
    for name, samples in launch.samples.items():
        known = METRICS.get(name)
        metric = (name, known.unit, known.better) if known else (name, "", "")
        shared = _line((*place, *metric)).removesuffix("\n")
        for index, value in enumerate(samples, 1):
            yield f"{shared},{index},{value!r}\n"


def _line(fields: Sequence[object]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(_field(field) for field in fields)
    return text.getvalue()


def _field(value: object) -> object:
    """Return a field of which a spreadsheet makes no formula: foreign text that begins like one gets an apostrophe."""
    if not isinstance(value, str):
        return value
    text = one_line(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _believable(document: ReportDocument) -> Iterator[tuple[CellRecord, str, MetricRecord]]:
    """Yield every metric with a finite value, those of invalid cells left out."""
    for record in document.cells:
        if record.verdict == "invalid":
            continue
        for name, metric in record.metrics.items():
            if metric.verdict != "invalid" and metric.value is not None and math.isfinite(metric.value):
                yield record, name, metric


def _extra(record: CellRecord, metric: MetricRecord) -> str:
    verdict = metric.verdict or "not judged"
    builds = sorted({launch.engine.version or launch.engine.commit or "" for launch in record.launches} - {""})
    lines = [verdict, f"{record.engine} {', '.join(builds)}".strip(), f"on {record.device}"]
    launches = len(record.launches)
    return "\n".join([*lines, f"{launches} launch" if launches == 1 else f"{launches} launches"])


def _json(content: Any) -> str:  # noqa: ANN401 - JSON of any shape
    return inert_json(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)) + "\n"
