"""Where a sweep saturates: the load beyond which a server gives little more, and only answers later.

By Little's law a closed loop of N requests with the response time R has the throughput N / R (Little 1961). While R
stays as it is, throughput grows in proportion to N; once the server is busy it stays where it is and R grows instead.
The two straight lines are the asymptotic bounds of operational analysis (Denning and Buzen 1978), and what lies between
them is the knee. Here the saturation point is the smallest value of the sweep from which going on to *any* larger one
brings less than :data:`SHARE` of what growth in proportion would bring:

    (X_j / X_i - 1) / (x_j / x_i - 1) < SHARE    for every x_j > x_i

with the output throughput X. For a doubled load that is less than a quarter more, at a response time of 1.6 times or
more. No curve is fitted, so none has to fit.

The launches scatter. Each ratio of throughputs has an interval, made of the intervals of both (MOVER, Zou and Donner
2008, on logarithms). A value counts as saturated where the intervals of all its ratios lie below the share, and as
growing where one of them reaches it with all of its interval. The saturation point is told only where every smaller
value is growing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_thor.report.document import CellRecord
from pytest_thor.report.figures import shown_quantity
from pytest_thor.report.naming import Naming
from pytest_thor.units import format_percent

SHARE = 0.25
"""The share of growth in proportion below which a larger load is not worth it."""

_METRIC = "output_tps"
_FEWEST = 2
COLUMNS = (
    ("output", "output_tps", "tok/s"),
    ("TTFT median", "ttft_ms_median", "ms"),
    ("TTFT p99", "ttft_ms_p99", "ms"),
    ("TPOT median", "tpot_ms_median", "ms"),
    ("goodput", "goodput_rps", "req/s"),
)
"""What a table tells of each point: its title, the figure, and the unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """One value of a sweep; a figure is None where it was not measured.

    ``output_tps_low`` and ``output_tps_high`` are the interval that the report has. ``is_sound`` is False where the
    cell was not measured or its figure cannot be true: then it says nothing about saturation.
    """

    value: float
    cell: str
    is_sound: bool
    output_tps: float | None
    output_tps_low: float | None
    output_tps_high: float | None
    ttft_ms_median: float | None
    ttft_ms_p99: float | None
    tpot_ms_median: float | None
    goodput_rps: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A sweep with its points in rising order; ``saturation`` is None where there is no such point, or none is clear.

    ``reason`` is a sentence that says which.
    """

    matrix: str
    model: str
    quant: str
    backend: str
    workload: str
    device: str
    swept: str
    points: tuple[SweepPoint, ...]
    saturation: float | None
    reason: str


def sweeps_of(cells: Iterable[CellRecord]) -> tuple[Sweep, ...]:
    """Return the sweeps among a report's cells, in the order in which each one's first cell stands there."""
    found: dict[tuple[str, ...], dict[float, CellRecord]] = {}
    for cell in cells:
        swept = cell.parameters.get("sweep")
        value = cell.parameters.get(swept) if isinstance(swept, str) else None
        if not isinstance(swept, str) or isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            continue
        workload = cell.workload.rpartition("@")[0] or cell.workload
        key = (cell.matrix, cell.model, cell.quant, cell.backend, workload, cell.device, swept)
        found.setdefault(key, {}).setdefault(float(value), cell)
    return tuple(_sweep(key, points) for key, points in found.items())


def _sweep(key: tuple[str, ...], cells: dict[float, CellRecord]) -> Sweep:
    matrix, model, quant, backend, workload, device, swept = key
    points = tuple(_point(value, cells[value]) for value in sorted(cells))
    saturation, reason = _saturation(swept, points)
    return Sweep(
        matrix=matrix,
        model=model,
        quant=quant,
        backend=backend,
        workload=workload,
        device=device,
        swept=swept,
        points=points,
        saturation=saturation,
        reason=reason,
    )


def _point(value: float, cell: CellRecord) -> SweepPoint:
    def figure(name: str) -> float | None:
        metric = cell.metrics.get(name)
        return metric.value if metric is not None and _is_known(metric.value) else None

    output = cell.metrics.get(_METRIC)
    interval = (output.ci_low, output.value, output.ci_high) if output is not None else (None, None, None)
    low, middle, high = interval
    ordered = (
        low is not None and middle is not None and high is not None and 0 < low <= middle <= high and _is_known(high)
    )
    return SweepPoint(
        value=value,
        cell=cell.id,
        is_sound=ordered and cell.verdict not in {None, "invalid"},
        output_tps=figure(_METRIC),
        output_tps_low=low,
        output_tps_high=high,
        ttft_ms_median=figure("ttft_ms.median"),
        ttft_ms_p99=figure("ttft_ms.p99"),
        tpot_ms_median=figure("tpot_ms.median"),
        goodput_rps=figure("goodput_rps"),
    )


def _is_known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _saturation(swept: str, points: Sequence[SweepPoint]) -> tuple[float | None, str]:
    sound = [point for point in points if point.is_sound]
    left_out = len(points) - len(sound)
    aside = f"; {left_out} of {len(points)} points could not be used" if left_out else ""
    if len(sound) < _FEWEST:
        return None, f"no saturation point: it takes {_FEWEST} measured points, and there are {len(sound)}{aside}"
    gains = [[_gain(point, other) for other in sound[index + 1 :]] for index, point in enumerate(sound[:-1])]
    saturated = next((index for index, ahead in enumerate(gains) if all(high < SHARE for _, high in ahead)), None)
    not_growing = next((index for index, ahead in enumerate(gains) if all(low < SHARE for low, _ in ahead)), None)
    if not_growing is None:
        last = shown_load(sound[-1].value)
        return None, f"does not saturate up to {swept} {last}{aside}"
    if saturated != not_growing:
        first = shown_load(sound[not_growing].value)
        latest = "not at all" if saturated is None else f"at {shown_load(sound[saturated].value)}"
        return None, (
            f"saturates at {swept} {first} at the earliest and perhaps {latest}: too few or too different launches to "
            f"tell{aside}"
        )
    point, following = sound[saturated], sound[saturated + 1]
    return point.value, (f"saturates at {swept} {shown_load(point.value)}: {_step(point, following)}{aside}")


def shown_load(value: float) -> str:
    """Return a value of a sweep: ``8``, ``2.5``."""
    return f"{value:.10g}"


def _step(point: SweepPoint, following: SweepPoint) -> str:
    more = format_percent((following.output_tps or 0.0) / (point.output_tps or math.nan) - 1, signed=True)
    load = format_percent(following.value / point.value - 1, signed=True)
    return f"{load} of load bring {more} of output throughput"


def _gain(point: SweepPoint, other: SweepPoint) -> tuple[float, float]:
    """Return the interval of what a larger load brings, as a share of growth in proportion."""
    here, there = _logs(point), _logs(other)
    middle = there[1] - here[1]
    down = math.hypot(here[2] - here[1], there[1] - there[0])
    up = math.hypot(here[1] - here[0], there[2] - there[1])
    whole = other.value / point.value - 1
    return _growth(middle - down) / whole, _growth(middle + up) / whole


def _logs(point: SweepPoint) -> tuple[float, float, float]:
    bounds = (point.output_tps_low, point.output_tps, point.output_tps_high)
    low, middle, high = (math.log(bound) for bound in bounds if bound is not None)
    return low, middle, high


def _growth(log_ratio: float) -> float:
    return math.expm1(min(log_ratio, 700.0))


def sweep_lines(sweep: Sweep, naming: Naming) -> tuple[str, ...]:
    """Return a sweep as a small table of plain text: a title, a heading, a line per point, and what it comes to."""
    columns = [column for column in COLUMNS if any(getattr(point, column[1]) is not None for point in sweep.points)]
    rows = [
        [shown_load(point.value), *(shown_quantity(getattr(point, name), unit) for _, name, unit in columns)]
        for point in sweep.points
    ]
    heading = [sweep.swept, *(title for title, _, _ in columns)]
    widths = [max(map(len, column)) for column in zip(heading, *rows, strict=True)]
    marks = [mark_of(point, sweep) for point in sweep.points]
    apart = naming.apart(sweep.matrix, sweep.device)
    model = f"{sweep.model} {sweep.quant}" + (f" ({', '.join(apart)})" if apart else "")
    return (
        f"{model} {sweep.backend} {sweep.workload}: sweep of {sweep.swept}",
        _row(heading, widths, ""),
        *(_row(row, widths, mark) for row, mark in zip(rows, marks, strict=True)),
        f"  {sweep.reason}",
    )


def mark_of(point: SweepPoint, sweep: Sweep) -> str:
    """Return what stands beside a point: that the sweep saturates there, or that it says nothing about saturation."""
    if not point.is_sound:
        return "not used"
    return "saturation" if point.value == sweep.saturation else ""


def _row(fields: Sequence[str], widths: Sequence[int], mark: str) -> str:
    shown = "  ".join(f"{field:>{width}}" for field, width in zip(fields, widths, strict=True))
    return f"  {shown}  {mark}".rstrip()
