"""Tables as people paste them: piped, tabbed, aligned by spaces, or one cell a line; found and cut into cells.

What a table means is its readers' business. A row that was cut off is told from a whole one: by the number of its cells
and, where the head ends in a pipe, by the pipe that is missing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Shape: TypeAlias = Literal["pipes", "tabs", "spaces", "cells"]

_PIPE = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r":?-+:?|:?—+:?|:?─+:?|=+")
_BOXES = str.maketrans({"│": "|", "┃": "|", "║": "|", "｜": "|", "┼": "|", "├": "|", "┤": "|"})
_ONE_CELL = re.compile(r"\s*([^|]{1,500}?)\s*\|\s*")
_LONGEST = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row at a 0-based line; ``defect`` says why its cells cannot be trusted."""

    index: int
    text: str
    cells: tuple[str, ...]
    defect: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A head and the rows under it; ``end`` is the index of the first line that is no part of it."""

    index: int
    shape: Shape
    head: tuple[str, ...]
    rows: tuple[Row, ...]
    end: int


def cells_of(line: str) -> tuple[str, ...] | None:
    """Return the cells of a piped line, None where it has no pipe (or is too long to be a row)."""
    text = line.translate(_BOXES).strip()
    if "|" not in text or len(text) > _LONGEST:
        return None
    inner = text.removeprefix("|")
    if inner.endswith("|") and not inner.endswith("\\|"):
        inner = inner[:-1]
    return tuple(cell.replace("\\|", "|").strip() for cell in _PIPE.split(inner))


def is_rule(cells: Sequence[str] | None) -> bool:
    """Say whether these are the dashes between a head and its rows."""
    written = [cell for cell in cells or () if cell]
    return bool(written) and all(_RULE.fullmatch(cell) for cell in written)


def piped_table(lines: Sequence[str], index: int, *, ruled: bool = True) -> Table | None:
    """Read a table whose head stands at ``index``, followed by a line of dashes unless it is known to lack it."""
    head = cells_of(lines[index])
    if head is None or is_rule(head):
        return None
    if ruled and (index + 1 >= len(lines) or not is_rule(cells_of(lines[index + 1]))):
        return None
    framed = lines[index].translate(_BOXES).lstrip().startswith("|")
    closed = lines[index].translate(_BOXES).rstrip().endswith("|")
    rows: list[Row] = []
    at = end = index + 1 + ruled
    while at < len(lines):
        line = lines[at]
        cells = cells_of(line)
        starts = line.translate(_BOXES).lstrip().startswith("|")
        if cells is None or (framed and not starts):
            if not framed or _ends_table(line):
                break
            at += 1  # a log line, or a blank one, between the rows of a run
            continue
        if at + 1 < len(lines) and is_rule(cells_of(lines[at + 1])):
            break  # the head of the next table
        if not is_rule(cells):
            rows.append(_row(at, line, cells, columns=len(head), closed=closed))
        at += 1
        end = at
    return Table(index=index, shape="pipes", head=head, rows=tuple(rows), end=end)


def spaced_table(lines: Sequence[str], index: int, *, shape: Literal["tabs", "spaces"]) -> Table:
    """Read a table whose columns stand apart by tabs, or by two spaces and more, up to the next blank line."""
    head = _apart(lines[index], shape)
    rows: list[Row] = []
    at = index + 1
    while at < len(lines) and lines[at].strip() and "|" not in lines[at]:
        cells = _apart(lines[at], shape)
        if len(cells) == 1 and not is_rule(cells):
            break
        if not is_rule(cells):
            rows.append(_row(at, lines[at], cells, columns=len(head), closed=False))
        at += 1
    return Table(index=index, shape=shape, head=head, rows=tuple(rows), end=at)


def apart(line: str) -> tuple[Literal["tabs", "spaces"], tuple[str, ...]] | None:
    """Return the cells of a line without pipes, and what stands between them; None where it is one text."""
    if "|" in line or len(line) > _LONGEST:
        return None
    for shape in ("tabs", "spaces"):
        cells = _apart(line, shape)
        if len(cells) > 2:
            return ("tabs", cells) if shape == "tabs" else ("spaces", cells)
    return None


def single_cells(lines: Sequence[str], index: int, *, most: int | None = None) -> tuple[str, ...]:
    """Return the cells of a run of lines that hold one each, ``Q4_0 |``, beginning at ``index``; the first few."""
    found: list[str] = []
    for at in range(index, len(lines) if most is None else min(len(lines), index + most)):
        line = lines[at]
        match = _ONE_CELL.fullmatch(line) if len(line) <= _LONGEST else None
        if match is None:
            break
        found.append(match[1])
    return tuple(found)


def stacked_table(index: int, cells: Sequence[str], *, columns: int) -> Table:
    """Return the table that a run of single cells is, the first ``columns`` of them its head."""
    rows = []
    for at in range(columns, len(cells), columns):
        own = tuple(cells[at : at + columns])
        defect = None if len(own) == columns else f"cut off: {len(own)} of {columns} cells"
        rows.append(Row(index=index + at, text=" | ".join(own), cells=own, defect=defect))
    return Table(index=index, shape="cells", head=tuple(cells[:columns]), rows=tuple(rows), end=index + len(cells))


def _row(index: int, text: str, cells: tuple[str, ...], *, columns: int, closed: bool) -> Row:
    defect = None
    if len(cells) != columns:
        defect = f"{len(cells)} cells under {columns} columns"
    elif closed and not text.translate(_BOXES).rstrip().endswith("|"):
        defect = "cut off: the closing | is missing, so that the last figure may be incomplete"
    return Row(index=index, text=text, cells=cells, defect=defect)


def _apart(line: str, shape: str) -> tuple[str, ...]:
    parts = line.strip("\n").split("\t") if shape == "tabs" else re.split(r"\s{2,}", line.strip())
    return tuple(part.strip() for part in parts)


def _ends_table(line: str) -> bool:
    return line.lstrip().startswith(("#", "```", "~~~", "build:"))
