"""A comparison as tables: two versions as a list of changes, anything else as a grid of percentages."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pytest_thor.comparison.contrast import Comparison, Contrast, Contrasts
from pytest_thor.comparison.source import Source
from pytest_thor.judge.change import SHOWN_LEVEL
from pytest_thor.report.figures import shown_interval, shown_quantity, shown_share
from pytest_thor.report.ranking import sign
from pytest_thor.report.sheets import Column, Enumeration, Page, Sheet
from pytest_thor.units import counted, format_bytes, format_percent
from pytest_thor.verdict import Verdict

SCHEMA = "pytest-thor/comparison/1"
"""The version of what ``--json`` prints. History: 1, the first."""

_INTERVAL = f"{SHOWN_LEVEL:.0%} interval".replace("%", " %")
_VERSIONS = frozenset({"report", "build"})
_METRICS_ABREAST = 4
_NO_CHANGE = frozenset({Verdict.INVALID, Verdict.INCOMPARABLE})
_UNTOLD = frozenset({Verdict.REGRESSED, Verdict.IMPROVED, Verdict.UNCHANGED, Verdict.INCONCLUSIVE})


def page(comparison: Comparison, sources: Sequence[Source]) -> Page:
    """Return a comparison as a page: what stands on the sides, what differs, the tables, and what was left out."""
    sheets = [_changes(comparison)] if _is_listed(comparison) else list(_grids(comparison))
    others = [column for column in comparison.columns if column != comparison.reference]
    return Page(
        title=f"{', '.join(others)} against {comparison.reference}",
        said=tuple(_said(comparison, sources)),
        sheets=tuple(sheets) if comparison.rows else (),
        lists=tuple(_lists(comparison)),
    )


def to_json(comparison: Comparison, sources: Sequence[Source]) -> dict[str, object]:
    """Return a comparison as plain values: what is not known or not finite is null."""
    return {
        "schema": SCHEMA,
        "by": comparison.by,
        "reference": comparison.reference,
        "columns": list(comparison.columns),
        "sources": [{"name": source.name, "about": source.about} for source in sources],
        "interval_level": SHOWN_LEVEL,
        "differences": [{"difference": told, "rows": rows} for told, rows in comparison.differences.items()],
        "rows": [_row_to_json(each) for each in comparison.rows],
        "left_out": [
            {"column": each.column, "source": each.subject.source, "cell": each.subject.id, "why": each.why}
            for each in comparison.left_out
        ],
    }


def _row_to_json(each: Contrasts) -> dict[str, object]:
    columns = {}
    for column, metrics in each.by_column.items():
        subject = each.row.subjects[column]
        columns[column] = {
            "source": subject.source,
            "cell": subject.id,
            "device": subject.device,
            "build": subject.build,
            "launches": len(subject.samples),
            "published": subject.published,
            "size_bytes": subject.size_bytes,
            "metrics": {key: _contrast_to_json(contrast) for key, contrast in metrics.items()},
        }
    return {"title": each.row.title, "columns": columns}


def _contrast_to_json(contrast: Contrast) -> dict[str, object]:
    figures = ("value", "reference", "change", "low", "high", "threshold", "p_value", "q_value")
    return {
        "unit": contrast.unit,
        "better": contrast.better,
        **{name: _finite(getattr(contrast, name)) for name in figures},
        "verdict": None if contrast.verdict is None else contrast.verdict.value,
        "reason": contrast.reason,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _said(comparison: Comparison, sources: Sequence[Source]) -> Iterator[str]:
    yield from (f"{source.name}: {source.about}" for source in sources)
    total = len(comparison.rows)
    for told, rows in sorted(comparison.differences.items(), key=lambda item: -item[1]):
        yield told if rows == total else f"{told} ({counted(rows, 'cell')} of {total})"
    contrasts = [each for row in comparison.rows for metrics in row.by_column.values() for each in metrics.values()]
    if any(each.low is not None for each in contrasts) and not _is_listed(comparison):
        yield f"In brackets: {_INTERVAL}s"
    if any(each.change is not None and each.low is None for each in contrasts):
        yield "Without an interval: one side is published, with figures and without launches, so that nothing is judged"
    if not comparison.rows:
        yield "No cell stands on both sides: there is nothing to compare"


def _lists(comparison: Comparison) -> Iterator[Enumeration]:
    without = [
        f"{column}: {each.row.subjects[column].id}: {each.row.subjects[column].doubt or contrast.reason}"
        for each in comparison.rows
        for column, metrics in each.by_column.items()
        for contrast in metrics.values()
        if contrast.verdict in _NO_CHANGE and (each.row.subjects[column].doubt or not _of_reference(comparison, each))
    ]
    if without:
        told = tuple(dict.fromkeys(without))
        yield Enumeration(title=f"Shown without a change: {counted(len(told), 'cell')}", lines=told)
    if comparison.left_out:
        lines = [f"{each.column}: {each.subject.id}: {each.why}" for each in comparison.left_out]
        yield Enumeration(title=f"Not compared: {counted(len(lines), 'cell')}", lines=tuple(lines))


def _of_reference(comparison: Comparison, each: Contrasts) -> bool:
    """Tell whether it is the reference that is not to be believed; that is said once."""
    return each.row.subjects[comparison.reference].doubt is not None


def _is_listed(comparison: Comparison) -> bool:
    return len(comparison.columns) == 2 and comparison.by in _VERSIONS


def _changes(comparison: Comparison) -> Sheet:
    (other,) = [column for column in comparison.columns if column != comparison.reference]
    rows = [
        (
            _word(contrast),
            each.row.title,
            key,
            shown_quantity(contrast.reference, contrast.unit),
            shown_quantity(contrast.value, contrast.unit),
            _change(contrast),
            shown_interval(contrast.low, contrast.high),
            shown_share(contrast.threshold),
        )
        for each in sorted(comparison.rows, key=lambda row: row.verdict_order)
        for key, contrast in each.by_column.get(other, {}).items()
    ]
    heads = (comparison.reference, other, "change", _INTERVAL, "threshold")
    columns = [Column(title=title) for title in ("", "cell", "metric")]
    columns += [Column(title=title, right=True) for title in heads]
    return Sheet(title="By cell", columns=tuple(columns), rows=tuple(rows))


def _word(contrast: Contrast) -> str:
    if contrast.verdict is not None:
        return f"{sign(contrast.verdict.value)} {contrast.verdict}"
    return "" if contrast.value is None or contrast.reference is None else "published"


def _change(contrast: Contrast) -> str:
    return "" if contrast.change is None else format_percent(contrast.change, signed=True)


def _grids(comparison: Comparison) -> Iterator[Sheet]:
    groups: dict[tuple[str, ...], list[Contrasts]] = {}
    for each in comparison.rows:
        groups.setdefault(each.row.words[:-1], []).append(each)
    for words, rows in groups.items():
        places = list(dict.fromkeys((number, key) for number, each in enumerate(rows) for key in _metrics_of(each)))
        for start in range(0, len(places), _METRICS_ABREAST):
            yield _grid(comparison, " · ".join(words), rows, places[start : start + _METRICS_ABREAST])


def _metrics_of(each: Contrasts) -> Iterable[str]:
    return dict.fromkeys(key for metrics in each.by_column.values() for key in metrics)


def _grid(comparison: Comparison, title: str, rows: Sequence[Contrasts], places: Sequence[tuple[int, str]]) -> Sheet:
    """Return a row for each column of the comparison, and for each metric its value and its share of the reference."""
    present = [column for column in comparison.columns if any(column in row.by_column for row in rows)]
    sizes = [_size(rows, column) for column in present]
    sized = any(sizes)
    heads = [Column(title=comparison.by), *([Column(title="size", right=True)] if sized else [])]
    for number, key in places:
        heads += [
            Column(title=f"{rows[number].row.words[-1]} {key}", right=True),
            Column(title=f"% of {comparison.reference}", right=True),
        ]
    body = []
    for column, size in zip(present, sizes, strict=True):
        texts = [column, *([size] if sized else [])]
        for number, key in places:
            texts += _pair(
                rows[number].by_column.get(column, {}), key, comparison, is_reference=column == comparison.reference
            )
        body.append(tuple(texts))
    return Sheet(title=title or comparison.by, columns=tuple(heads), rows=tuple(body))


def _pair(metrics: Mapping[str, Contrast], key: str, comparison: Comparison, *, is_reference: bool) -> list[str]:
    contrast = metrics.get(key)
    if contrast is None:
        return ["", ""]
    value = shown_quantity(contrast.value, contrast.unit)
    if is_reference and contrast.verdict is None:
        return [value, "100 %" if value else ""]
    if contrast.change is None:
        return [value, str(contrast.verdict or "")]
    share = format_percent(1 + contrast.change)
    if contrast.low is not None and contrast.high is not None:
        low, high = (format_percent(1 + bound).removesuffix(" %") for bound in (contrast.low, contrast.high))
        share = f"{share} ({low} to {high})"
    if contrast.verdict is not None and (comparison.by in _VERSIONS or contrast.verdict not in _UNTOLD):
        share = f"{sign(contrast.verdict.value)} {share}"
    return [value, share]


def _size(rows: Sequence[Contrasts], column: str) -> str:
    """Return the model's size where all cells of a column agree on it."""
    sizes = {subject.size_bytes for row in rows if (subject := row.row.subjects.get(column)) is not None}
    size = sizes.pop() if len(sizes) == 1 else None
    return "" if size is None else format_bytes(size)
