"""Which metrics of a cell are judged, each with its summary and its threshold."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_thor.cell import Kind
from pytest_thor.measurement import GATED, METRICS, SUMMARIES, WHERE_MEASURED, Metric

_ONLY_OF: Mapping[str, Kind] = {
    "pp_tps": "prefill",
    "tg_tps": "decode",
    "perplexity": "quality",
    "kl_divergence": "quality",
}
_OF_EVERY_SPEED = frozenset({"load_s", "peak_memory_bytes", "energy_j_per_token"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One judged metric: ``key`` as the user names it, and the summary that is a launch's value.

    ``required`` ones belong to the kind of workload: a launch without them did not measure. The others are judged
    because a threshold names them, or (:attr:`where_measured`) because they were measured.
    """

    key: str
    metric: Metric
    summary: str
    threshold: float
    required: bool

    @property
    def where_measured(self) -> bool:
        """Whether a cell may be without it, and is then not judged by it."""
        return self.metric.name in WHERE_MEASURED

    @property
    def is_exact(self) -> bool:
        """Whether launches of the same give the same value."""
        return self.metric.resolution is not None

    @property
    def title(self) -> str:
        """What a person calls it: ``decode speed``, ``p99 time to first token``."""
        plain = self.metric.better == "higher" and self.summary == "median"
        return self.metric.title if plain or "." not in self.key else f"{self.summary} {self.metric.title}"


def gates(kind: Kind, thresholds: Mapping[str, float]) -> tuple[Gate, ...]:
    """Return the judged metrics of a kind of workload: its own, then those that ``thresholds`` add, sorted.

    A threshold may name a metric (its median is judged) or a summary of it (``ttft_ms.p99``); a metric's own
    threshold holds for its summaries too, unless they have one. Those of another kind's metrics are passed over.

    Raises:
        ValueError: a threshold names no metric, or is not a positive fraction.
    """
    for key, threshold in thresholds.items():
        _check(key, threshold)
    required = {_parse(key): key for key in GATED[kind]}
    added = {
        _parse(key): key for key in sorted(thresholds) if _parse(key) not in required and _belongs(_parse(key)[0], kind)
    }
    return tuple(
        Gate(
            key=key,
            metric=METRICS[name],
            summary=summary,
            threshold=_threshold(name, summary, thresholds),
            required=(name, summary) in required and name not in WHERE_MEASURED,
        )
        for (name, summary), key in {**required, **added}.items()
    )


def _parse(key: str) -> tuple[str, str]:
    name, _, summary = key.partition(".")
    return name, summary or "median"


def _belongs(name: str, kind: Kind) -> bool:
    return (name in _OF_EVERY_SPEED and kind != "quality") or _ONLY_OF.get(name, "serving") == kind


def _threshold(name: str, summary: str, thresholds: Mapping[str, float]) -> float:
    return thresholds.get(f"{name}.{summary}", thresholds.get(name, METRICS[name].threshold))


def _check(key: str, threshold: float) -> None:
    name, summary = _parse(key)
    if name not in METRICS or summary not in SUMMARIES or key.endswith("."):
        known = [*METRICS, *(f"{metric}.{summary}" for metric in METRICS for summary in SUMMARIES)]
        nearest = difflib.get_close_matches(key, known, n=1)
        advice = f"did you mean {nearest[0]}?" if nearest else f"the metrics are {', '.join(METRICS)}"
        raise ValueError(f"a threshold names {key!r}, which is no metric: {advice}")
    if not 0 < threshold < 1:
        raise ValueError(f"the threshold of {key} is {threshold}, not a fraction between 0 and 1 (3 % is 0.03)")
