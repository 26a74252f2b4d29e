"""Which cells a reader must see first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from pytest_thor.report.document import CellRecord, MetricRecord

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "regressed": "🔴",
        "invalid": "🟣",
        "error": "❌",
        "incomparable": "🟠",
        "inconclusive": "🟡",
        "skipped": "⚪",
        "no-baseline": "🔵",
        "improved": "🟢",
        "unchanged": "✅",
    }
)
"""The one word for a cell, worst first, with the sign that stands for it."""
_RANK = {word: rank for rank, word in enumerate(WORDS)}
_QUIET = frozenset({"skipped", "no-baseline", "improved", "unchanged"})
_FAILING = frozenset({"failed", "error", "warned"})


def word(record: CellRecord) -> str:
    """Return the one word for a cell: its verdict, or why it has none."""
    return record.verdict or record.outcome


def sign(said: str) -> str:
    """Return the sign of a word."""
    return WORDS.get(said, "❔")


def wants_attention(record: CellRecord) -> bool:
    """Say whether somebody has to look at a cell: for its verdict, or since the policy made it fail or warn."""
    return word(record) not in _QUIET or record.outcome in _FAILING


def judged(record: CellRecord) -> dict[str, MetricRecord]:
    """Return the metrics that have a verdict, the worst first."""
    metrics = {name: metric for name, metric in record.metrics.items() if metric.verdict}
    if len(metrics) < 2:
        return metrics
    return dict(sorted(metrics.items(), key=lambda item: (_RANK[str(item[1].verdict)], -_harm(item[1]))))


def deciding(record: CellRecord) -> tuple[str, MetricRecord | None]:
    """Return the worst judged metric, else the first there is; no name and None where nothing was measured."""
    metrics = judged(record) or record.metrics
    return next(iter(metrics.items()), ("", None))


def worst_first(cells: Iterable[CellRecord]) -> list[CellRecord]:
    """Return the cells by their word, within it by how many thresholds the worst metric lost, else as they came."""
    return sorted(cells, key=lambda record: (_place(record), -_worst_harm(record)))


def _place(record: CellRecord) -> tuple[float, str]:
    """Return the rank of a cell's word; one that fails although its word is quiet stands right after the errors."""
    said = word(record)
    if said in _QUIET and record.outcome in _FAILING:
        return _RANK["error"] + 0.5, said
    return _RANK.get(said, len(_RANK)), said


def _worst_harm(record: CellRecord) -> float:
    return max((_harm(metric) for metric in record.metrics.values() if metric.verdict), default=-math.inf)


def _harm(metric: MetricRecord) -> float:
    """Return the loss in thresholds, negative for a gain; what is not known or not finite is no loss."""
    if metric.change is None or not math.isfinite(metric.change):
        return 0.0
    loss = -metric.change if metric.better == "higher" else metric.change
    return loss / metric.threshold if metric.threshold else loss
