"""The figures of every cell that the table and the pictures need at once, as JSON; the rest waits in ``details``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from typing import Any, TypeAlias

from pytest_thor.measurement import METRICS
from pytest_thor.plain_text import cleaned
from pytest_thor.report.document import CellRecord, MetricRecord
from pytest_thor.report.published_figure import PublishedFigure
from pytest_thor.report.quants import Share
from pytest_thor.report.ranking import deciding, sign, word

Json: TypeAlias = Any

PICTURED = (
    *("pp_tps", "tg_tps", "output_tps", "energy_j_per_token"),
    *("ttft_ms.median", "ttft_ms.p99", "tpot_ms.median", "tpot_ms.p99"),
)
"""The metrics that pictures show."""
FIELDS = (
    *("unit", "better", "value", "ci_low", "ci_high", "baseline", "change", "change_low", "change_high"),
    *("threshold", "minimum_detectable_effect", "limit", "efficiency", "verdict"),
)
"""What a row has of a metric, in this order."""
LATENCIES = ("ttft_ms", "tpot_ms", "itl_ms", "e2el_ms")
SHARES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
"""A latency's distribution is told by these quantiles, interpolated linearly between the requests."""
_LEVELS = ("max_concurrency", "request_rate")
_NOT_SAID_BY_THE_LOAD = frozenset({*_LEVELS, "num_prompts", "duration_s", "sweep"})


def row(
    record: CellRecord,
    *,
    published: Sequence[PublishedFigure] = (),
    shares: Mapping[str, Share] | None = None,
    saturates: bool = False,
) -> dict[str, Json]:
    """Return one cell's row; ``shares`` are its figures beside the reference quant's, by metric.

    ``saturates`` says that it is the point at which its sweep does.
    """
    said = word(record)
    decided_by, _ = deciding(record)
    wanted = dict.fromkeys((decided_by, *PICTURED))
    share = (shares or {}).get(decided_by)
    return {
        **{name: getattr(record, name) for name in ("id", "matrix", "model", "quant", "backend", "workload")},
        "kind": record.kind,
        "device": record.device,
        "outcome": record.outcome,
        "word": said,
        "sign": sign(said),
        "decided_by": decided_by,
        "metrics": {name: _figures(record.metrics[name]) for name in wanted if name in record.metrics},
        "size_bytes": _size_bytes(record),
        "latency": _latencies(record) if record.kind == "serving" else {},
        "load": {**_load(record), "saturates": saturates} if record.kind == "serving" else None,
        "share": None if share is None else [_plain(each) for each in astuple(share)],
        "runs": len(record.history),
        "published": [[_plain(each) for each in astuple(figure)] for figure in published],
    }


def script_json(content: Json) -> str:
    """Return JSON that may stand inside a ``<script>`` element whatever text is in it."""
    return harmless(cleaned(json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))))


def harmless(text: str) -> str:
    """Return JSON with the signs that mean something to a page written as escapes; it reads back the same."""
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text.replace("##[", "##\\u005b")  # which a runner of GitHub Actions would take for a command in its log


def _figures(metric: MetricRecord) -> list[Json]:
    return [_plain(getattr(metric, name)) for name in FIELDS]


def _plain(value: Json) -> Json:
    """Return a value as JSON has it: what is not finite is its name, as in report.json."""
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _size_bytes(record: CellRecord) -> int | None:
    if record.artifact is None:
        return None
    return record.artifact.tensor_bytes or record.artifact.size_bytes


def _load(record: CellRecord) -> dict[str, Json]:
    """Return how heavy the load is, and the name of all that the loads of one curve have in common."""
    common = {name: value for name, value in record.parameters.items() if name not in _NOT_SAID_BY_THE_LOAD}
    alike = (record.matrix, record.model, record.quant, record.backend, record.device)
    return {
        **{name: _plain(record.parameters.get(name)) for name in _LEVELS},
        "curve": json.dumps([alike, common, record.parameters.get("sweep")], sort_keys=True, default=str),
    }


def _latencies(record: CellRecord) -> dict[str, list[Json]]:
    """Return the quantiles of each latency over the requests of all launches that did not fail, and their number."""
    launches = [launch for launch in record.launches if launch.failure is None]
    found: dict[str, list[Json]] = {}
    for name in LATENCIES:
        samples = sorted(_finite(value for launch in launches for value in launch.samples.get(name, ())))
        if samples:
            found[name] = [*(_quantile(samples, share) for share in SHARES), len(samples)]
    return found


def _finite(values: Iterable[float]) -> Iterable[float]:
    return (value for value in values if math.isfinite(value))


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Return a quantile of ordered samples: type 7 of Hyndman & Fan."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def titles() -> dict[str, str]:
    """Return what each metric is called."""
    return {name: metric.title for name, metric in METRICS.items()}
