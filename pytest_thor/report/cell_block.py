"""One cell in Markdown: a row of the overview, and its paragraph with every metric behind a click."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_thor.report import gfm
from pytest_thor.report.document import CellRecord, LaunchRecord, MetricRecord
from pytest_thor.report.doubts import doubts_of
from pytest_thor.report.figures import (
    first_paragraph,
    shown_change,
    shown_interval,
    shown_quantity,
    shown_share,
    shown_value,
)
from pytest_thor.report.naming import Naming
from pytest_thor.report.published_figure import PublishedFigure
from pytest_thor.report.ranking import deciding, judged, sign, word

OVERVIEW_HEAD = (
    "| | cell | metric | measured | baseline | change | 90 % interval | threshold |\n"
    "|---|---|---|--:|--:|--:|:-:|--:|\n"
)
_METRICS_HEAD = (
    "| metric | measured | 90 % interval | baseline | change | 90 % interval | threshold | smallest detectable "
    "| of the limit | verdict |\n"
    "|---|--:|:-:|--:|--:|:-:|--:|--:|--:|---|\n"
)
_LOG_CHARS = 8_000
_REASON_CHARS = 4_000
_MOST_PUBLISHED = 20


def overview_row(record: CellRecord, naming: Naming) -> str:
    """Return one row: the metric that decided, or why there is none."""
    name_of_cell = _named(record, naming)
    said = word(record)
    name, metric = deciding(record)
    if metric is None:
        why = gfm.text(_clipped(first_paragraph(record.reason)[0], 200))
        return gfm.row([f"{sign(said)} {said}", name_of_cell, why, "", "", "", "", ""])
    return gfm.row(
        [
            f"{sign(said)} {said}",
            name_of_cell,
            gfm.code(name),
            gfm.text(shown_value(metric)),
            gfm.text(shown_quantity(metric.baseline, metric.unit)),
            shown_change(metric),
            shown_interval(metric.change_low, metric.change_high),
            shown_share(metric.threshold),
        ]
    )


def cell_block(record: CellRecord, naming: Naming, *, published: Sequence[PublishedFigure] = ()) -> str:
    """Return the folded block of a cell: its paragraph, its metrics, what failed, and where it stands in the matrix.

    ``published`` are figures of others, which it names below its own.
    """
    said = word(record)
    _, metric = deciding(record)
    figures = [shown_value(metric), shown_change(metric)] if metric is not None else []
    told = "".join(f" · {gfm.text(figure)}" for figure in figures if figure)
    return gfm.details(f"{sign(said)} {said} · {_named(record, naming)}{told}", _body(record, published))


def _named(record: CellRecord, naming: Naming) -> str:
    aside = naming.aside(record)
    return gfm.code(record.id) + (f" ({gfm.text(aside)})" if aside else "")


def _body(record: CellRecord, published: Sequence[PublishedFigure]) -> str:
    head, rest = first_paragraph(record.reason)
    parts = [f"{gfm.text(_clipped(head, _REASON_CHARS))}\n\n"]
    if rest:
        parts.append(f"{gfm.pre(_end_of(rest))}\n\n")
    if record.metrics:
        parts += [_METRICS_HEAD, *(_metric_row(name, metric) for name, metric in _ordered(record).items()), "\n"]
    parts += [f"- against {_recent(name, metric)}\n" for name, metric in record.metrics.items() if metric.recent]
    parts += [
        f"- published: {gfm.code(figure.metric)} {gfm.text(figure.told)}\n" for figure in published[:_MOST_PUBLISHED]
    ]
    parts += [f"- {gfm.text(_clipped(doubt, _REASON_CHARS))}\n" for doubt in doubts_of(record)]
    parts += [f"- {gfm.text(advice)}\n" for advice in record.advice]
    parts += [f"- differs from the baseline: {gfm.text(difference)}\n" for difference in record.differences]
    parts += [_failure(number, launch, record) for number, launch in enumerate(record.launches, 1) if launch.failure]
    parts.append(f"\n{_origin(record)}\n")
    return "".join(parts)


def _ordered(record: CellRecord) -> dict[str, MetricRecord]:
    return judged(record) | record.metrics


def _metric_row(name: str, metric: MetricRecord) -> str:
    low, high = shown_quantity(metric.ci_low, metric.unit), shown_quantity(metric.ci_high, metric.unit)
    return gfm.row(
        [
            gfm.code(name),
            gfm.text(shown_value(metric)),
            gfm.text(f"{low} to {high}") if low and high else "",
            gfm.text(shown_quantity(metric.baseline, metric.unit)),
            shown_change(metric),
            shown_interval(metric.change_low, metric.change_high),
            shown_share(metric.threshold),
            shown_share(metric.minimum_detectable_effect),
            shown_share(metric.efficiency),
            f"{sign(metric.verdict)} {metric.verdict}" if metric.verdict else "",
        ]
    )


def _recent(name: str, metric: MetricRecord) -> str:
    recent = metric.recent
    assert recent is not None
    change = MetricRecord(unit=metric.unit, better=metric.better, change=recent.change)
    interval = shown_interval(recent.change_low, recent.change_high)
    return f"the last {recent.runs} stored runs: {gfm.code(name)} {shown_change(change)} ({interval}), {recent.verdict}"


def _failure(number: int, launch: LaunchRecord, record: CellRecord) -> str:
    """Tell a launch that failed where the cell's own paragraph does not."""
    if not launch.failure or launch.failure in record.reason:
        return ""
    text = f"\nLaunch {number} failed: {gfm.text(_clipped(launch.failure, _REASON_CHARS))}\n\n"
    return text + (f"{gfm.pre(_end_of(launch.log_tail))}\n\n" if launch.log_tail else "")


def _origin(record: CellRecord) -> str:
    parts = [f"{record.kind} with {gfm.text(record.engine)}", f"on {gfm.text(record.device)}"]
    builds = sorted({launch.engine.version or launch.engine.commit or "" for launch in record.launches} - {""})
    if builds:
        parts.append(f"build {', '.join(gfm.text(build) for build in builds)}")
    launches = len(record.launches)
    if launches:
        parts.append(f"{launches} launch{'es' if launches > 1 else ''}")
    if record.shards:
        noun = "shard" if len(record.shards) == 1 else "shards"
        parts.append(f"{noun} {', '.join(map(gfm.text, record.shards))}")
    return f"<sub>{' · '.join([*parts, gfm.text(record.location)])}</sub>"


def _clipped(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 1] + "…"


def _end_of(log: str) -> str:
    return log if len(log) <= _LOG_CHARS else "…\n" + log[-_LOG_CHARS:]
