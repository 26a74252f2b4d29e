"""What the page says before any picture: the counts, what moved, and the paragraph of every cell that matters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_thor.report.document import CellRecord, ReportDocument
from pytest_thor.report.figures import first_paragraph, shown_change, shown_interval, shown_quantity, shown_value
from pytest_thor.report.naming import Naming
from pytest_thor.report.ranking import WORDS, deciding, sign, wants_attention, word
from pytest_thor.units import format_percent

MOST_CARDS = 200
"""So many cells have their paragraph at the top; the table has every cell."""
_MOST_REASONS = 50
_MOST_NAMES = 200
_REASON_CHARS = 4_000
_LOG_CHARS = 8_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many cells a word stands for."""

    word: str
    sign: str
    cells: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One cell that changed or wants attention; ``index`` is its place in the table, ``rest`` the end of a log.

    ``aside`` is what tells it from another cell of the same id.
    """

    index: int
    word: str
    sign: str
    id: str
    aside: str
    metric: str
    value: str
    baseline: str
    change: str
    interval: str
    reason: str
    rest: str
    notes: tuple[str, ...]
    location: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Cells that were skipped for one reason."""

    reason: str
    cells: int
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The cells moved together: the machine changed. The reason says how many of them did."""

    change: str
    interval: str
    left_out: bool
    reason: str


def counts(document: ReportDocument) -> list[Count]:
    """Return the words there are, the worst first."""
    found = Counter(word(record) for record in document.cells)
    return [Count(word=said, sign=sign(said), cells=found[said]) for said in WORDS if found[said]]


def cards(ordered: Sequence[CellRecord], naming: Naming) -> tuple[list[Card], int]:
    """Return the cells that want attention and those that improved, and how many more there are."""
    loud = [place for place in enumerate(ordered) if wants_attention(place[1]) or word(place[1]) == "improved"]
    return [_card(index, record, naming) for index, record in loud[:MOST_CARDS]], max(len(loud) - MOST_CARDS, 0)


def calm(ordered: Sequence[CellRecord]) -> str:
    """Return what to say where no cell changed and none wants attention."""
    said = {word(record) for record in ordered} - {"skipped"}
    if not said:
        return "Nothing was measured."
    if said == {"no-baseline"}:
        return "There is no baseline yet: nothing was held against anything."
    return "Nothing changed, and nothing wants attention."


def skipped(ordered: Sequence[CellRecord], naming: Naming) -> list[Skipped]:
    """Return why cells were skipped, the reason of most cells first."""
    by_reason: dict[str, list[str]] = {}
    for record in ordered:
        if word(record) == "skipped" and not wants_attention(record):
            by_reason.setdefault(record.reason, []).append(naming.full(record))
    often = sorted(by_reason.items(), key=lambda item: -len(item[1]))[:_MOST_REASONS]
    return [
        Skipped(reason=reason[:_REASON_CHARS], cells=len(ids), ids=tuple(ids[:_MOST_NAMES])) for reason, ids in often
    ]


def moved(document: ReportDocument) -> Moved | None:
    """Return how far the cells moved together, None where they did not."""
    shift = document.summary.environment
    if shift is None:
        return None
    return Moved(
        change=format_percent(shift.shift, signed=True),
        interval=shown_interval(shift.low, shift.high),
        left_out=shift.judged_relative,
        reason=shift.reason[:_REASON_CHARS],
    )


def _card(index: int, record: CellRecord, naming: Naming) -> Card:
    name, metric = deciding(record)
    reason, rest = first_paragraph(record.reason)
    differs = (f"Differs from the baseline: {difference}" for difference in record.differences)
    return Card(
        index=index,
        word=word(record),
        sign=sign(word(record)),
        id=record.id,
        aside=naming.aside(record),
        metric=name,
        value=shown_value(metric) if metric else "",
        baseline=shown_quantity(metric.baseline, metric.unit) if metric else "",
        change=shown_change(metric) if metric else "",
        interval=shown_interval(metric.change_low, metric.change_high) if metric else "",
        reason=reason[:_REASON_CHARS],
        rest=rest[-_LOG_CHARS:],
        notes=(*record.advice, *differs),
        location=record.location,
    )
