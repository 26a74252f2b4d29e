"""The tables of the page that need no script: quants side by side, and sweeps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_thor.report.document import ReportDocument
from pytest_thor.report.naming import Naming
from pytest_thor.report.quant_sheets import quant_sheets
from pytest_thor.report.saturation import Sweep
from pytest_thor.report.sheets import Sheet
from pytest_thor.report.sweep_sheets import sweep_sheet

MOST = 40
"""So many tables of a kind stand in the page."""
_OPENED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table, and what is said below it."""

    sheet: Sheet
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """The first of several tables, how many more there are, and whether they are few enough to stand open."""

    shown: tuple[Table, ...]
    more: int
    opened: bool


def quant_tables(document: ReportDocument) -> Tables:
    """Return the quants of each model, as shares of the reference quant."""
    return _first(Table(sheet=sheet, said="") for sheet in quant_sheets(document))


def sweep_tables(sweeps: Sequence[Sweep], naming: Naming) -> Tables:
    """Return every sweep with the sentence on where it saturates."""
    return _first(Table(sheet=sweep_sheet(sweep, naming), said=sweep.reason) for sweep in sweeps)


def _first(tables: Iterable[Table]) -> Tables:
    found = tuple(tables)
    return Tables(shown=found[:MOST], more=max(len(found) - MOST, 0), opened=len(found) <= _OPENED)
