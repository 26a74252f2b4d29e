"""May a figure be believed? For now by the number alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pytest_thor.measurement import METRICS
from pytest_thor.units import format_quantity

ABSURD: Mapping[str, float] = MappingProxyType(
    {"tok/s": 1e9, "req/s": 1e9, "ms": 1e9, "s": 1e7, "B": 2.0**60, "J/tok": 1e9}
)
"""More than any machine does, by unit: such a figure comes from a broken clock or a mixed-up unit."""

_MAY_BE_ZERO = frozenset({"goodput_rps", "itl_ms"})  # no request met its objective; two tokens in one packet


def implausible(metric: str, samples: Sequence[float]) -> str | None:
    """Return why these samples of one launch cannot be what they claim, as the rest of a sentence, or None."""
    unit = METRICS[metric].unit if metric in METRICS else ""
    if samples and math.isfinite(sum(samples)) and min(samples) > 0 and max(samples) <= ABSURD.get(unit, math.inf):
        return None
    for sample in samples:
        if not math.isfinite(sample):
            return f"holds a sample that is no number: {sample}"
        if sample < 0:
            return f"holds a sample of {format_quantity(sample, unit)}, as if the clock ran backwards"
        if sample == 0 and metric not in _MAY_BE_ZERO:
            return f"holds a sample of {format_quantity(sample, unit)}: nothing was measured"
        if sample > ABSURD.get(unit, math.inf):
            return f"holds a sample of {format_quantity(sample, unit)}, which no machine reaches"
    return None
