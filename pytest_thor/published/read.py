"""The way in: a text becomes results, and a list of what could not be read.

One pass over the lines. Whatever begins on a line (a table, a block, an object, CSV, SQL) is read where it stands, so
that a file of one format and a page that holds several are the same thing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

from pytest_thor.published import llama_columns, llama_rows, llama_table, quant_table, serving_block
from pytest_thor.published.numbers import UnreadableNumberError, with_spread
from pytest_thor.published.objects import Objects
from pytest_thor.published.page import Place, lines_of, source_of
from pytest_thor.published.records import PublishedResult, Reading, Unread, unread
from pytest_thor.published.tables import (
    Table,
    apart,
    cells_of,
    is_rule,
    piped_table,
    single_cells,
    spaced_table,
    stacked_table,
)

Format: TypeAlias = Literal["auto", "md", "block", "json", "jsonl", "csv", "sql"]
FORMATS: tuple[Format, ...] = ("auto", "md", "block", "json", "jsonl", "csv", "sql")
"""What may be asked for; ``json`` and ``jsonl`` are read alike, ``block`` is the console block of vllm bench serve."""

_Found: TypeAlias = "tuple[list[PublishedResult], list[Unread], int]"
_MOST_COLUMNS = 40
_BUILD = re.compile(r"\s*build: ([0-9a-f]{6,40}|unknown) ?\(([^()]{1,40})\)\s*")
_FIGURE = re.compile(r"[~≈]?\d[\d.,]*\s?(?:%|[A-Za-z/]{1,6})?(?: ?± ?\d[\d.,]*)?")
_LOST_ROW = re.compile(r".*\|\s*(?:pp|tg) ?\d+[^|]{0,40}\|.*")
_LOST_LINE = re.compile(
    r"\s*(?:(?:Mean|Median|P\d\d) (?:TTFT|TPOT|ITL|E2EL)|\w+ token throughput) \([\w/]+\):\s*\S.*", re.IGNORECASE
)


def read(text: str, *, name: str, format: Format = "auto") -> Reading:  # noqa: A002 - the option's name
    """Read a text; ``name`` is what its results say they come from. Nothing is raised: what is unreadable is listed."""
    lines = lines_of(text)
    scan = _Scan(lines, Place(source=source_of(lines, name)), "json" if format == "jsonl" else format)
    scan.run()
    return Reading(source=scan.place.source, results=tuple(scan.results), unread=tuple(scan.problems))


class _Scan:
    """One pass over one text."""

    def __init__(self, lines: Sequence[str], place: Place, wanted: Format) -> None:
        self.lines = lines
        self.place = place
        self.wanted = wanted
        self.results: list[PublishedResult] = []
        self.problems: list[Unread] = []
        self._objects = Objects(lines)
        self._unbuilt = 0
        self._readers: tuple[tuple[Format, Callable[[int], _Found | None]], ...] = (
            ("md", self._table),
            ("block", self._block),
            ("json", self._object),
            ("csv", self._csv),
            ("sql", self._sql),
        )

    def run(self) -> None:
        """Read everything, in order."""
        at = 0
        while at < len(self.lines):
            found = self._read(at)
            if found is not None:
                results, problems, end = found
                self.results.extend(results)
                self.problems.extend(problems)
                at = max(end, at + 1)
            elif build := _BUILD.fullmatch(self.lines[at]):
                self._name_build(f"{build[1]} ({build[2]})")
                at += 1
            else:
                self._lost(at)
                at = self.place.feed(self.lines, at)

    def _read(self, at: int) -> _Found | None:
        if not self.lines[at].strip():
            return None
        for form, reader in self._readers:
            if self.wanted in {"auto", form} and (found := reader(at)):
                return found
        return None

    def _table(self, at: int) -> _Found | None:
        line = self.lines[at]
        table = piped_table(self.lines, at)
        if table is None and (cells := cells_of(line)) and llama_columns.is_bench(cells):
            table = piped_table(self.lines, at, ruled=False)
        if table is None and (columns := apart(line)) and llama_columns.is_bench(columns[1]):
            table = spaced_table(self.lines, at, shape=columns[0])
        if table is None:
            table = self._stacked(at)
        return None if table is None else self._read_table(table)

    def _stacked(self, at: int) -> Table | None:
        if not self.lines[at].rstrip().endswith("|"):
            return None
        cells = single_cells(self.lines, at, most=_MOST_COLUMNS)
        columns = next((n for n, cell in enumerate(cells) if llama_columns.column(cell) is None), len(cells))
        if columns < 3 or not llama_columns.is_bench(cells[:columns]):
            return None
        return stacked_table(at, single_cells(self.lines, at), columns=columns)

    def _read_table(self, table: Table) -> _Found:
        if llama_columns.is_bench(table.head):
            return *llama_table.read_table(table, self.place), table.end
        if quant_table.is_quants(table.head):
            return *quant_table.read_quants(table, self.place), table.end
        if any(_FIGURE.fullmatch(cell) for row in table.rows for cell in row.cells):
            reason = f"{len(table.rows)} rows under columns that no reader knows"
            return [], [unread(table.index, self.lines[table.index], reason)], table.end
        return [], [], table.end

    def _block(self, at: int) -> _Found | None:
        return (
            serving_block.read_block(self.lines, at, self.place) if serving_block.starts_block(self.lines[at]) else None
        )

    def _object(self, at: int) -> _Found | None:
        return self._objects.read(at, self.place) if self._objects.opens(at) else None

    def _csv(self, at: int) -> _Found | None:
        delimiter = llama_rows.csv_delimiter(self.lines[at])
        return llama_rows.read_csv(self.lines, at, self.place, delimiter) if delimiter else None

    def _sql(self, at: int) -> _Found | None:
        return llama_rows.read_insert(self.lines, at, self.place) if llama_rows.is_insert(self.lines[at]) else None

    def _name_build(self, build: str) -> None:
        """Give the build to the rows above it: llama-bench names itself after its table."""
        self.results[self._unbuilt :] = [
            replace(result, build=build) if result.engine == llama_table.ENGINE and result.build is None else result
            for result in self.results[self._unbuilt :]
        ]
        self._unbuilt = len(self.results)

    def _lost(self, at: int) -> None:
        """List a line that no reader took and that looks like part of a result."""
        line = self.lines[at][:2000]
        if self.wanted in {"auto", "md"} and _LOST_ROW.fullmatch(line) and _holds_speed(line):
            self.problems.append(unread(at, line, "a row without the head of its table"))
        elif self.wanted in {"auto", "block"} and _LOST_LINE.fullmatch(line):
            self.problems.append(unread(at, line, "a line without the block that it belongs to"))
        elif self.wanted in {"csv", "sql", "json"} and self.place.fence is None and _is_foreign(line, self.wanted):
            self.problems.append(unread(at, line, f"this is not {self.wanted} of llama-bench or vllm bench serve"))


def _holds_speed(line: str) -> bool:
    return any(_is_speed(cell) for cell in cells_of(line) or ())


def _is_speed(cell: str) -> bool:
    try:
        return with_spread(cell)[1] is not None
    except UnreadableNumberError:
        return False


def _is_foreign(line: str, wanted: Format) -> bool:
    shown = line.strip()
    if not shown or is_rule(cells_of(shown)):
        return False
    if wanted == "sql":
        return not re.match(r"CREATE TABLE|[a-z_0-9]+ (?:TEXT|INTEGER|REAL)|\)|--", shown, re.IGNORECASE)
    return not (wanted == "json" and shown in {"[", "]", "{", "}", "],", "},"})
