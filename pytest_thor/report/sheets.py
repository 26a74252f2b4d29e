"""Tables of plain text with what is said above and below them, as Markdown and as one HTML page that does nothing."""

from __future__ import annotations

import html as markup
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pytest_thor.plain_text import one_line
from pytest_thor.report import gfm
from pytest_thor.report.budget import Budget
from pytest_thor.units import counted

_LISTED = 50
"""Of one list, so many entries are written out."""
_STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { margin: 1.5rem auto; max-width: 90rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: left; border-bottom: 1px solid #8884; white-space: nowrap; }
th { border-bottom-width: 2px; } .right { text-align: right; } tbody tr:hover { background: #8881; }
@media print { body { margin: 0; } .table { overflow: visible; } }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """The head of a column; figures stand to the right."""

    title: str
    right: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One table; each row has a text for each column. Texts are foreign: whoever draws them escapes them."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Enumeration:
    """A heading with lines of text below it."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Sentences, tables and lists under one title, in this order."""

    title: str
    said: tuple[str, ...]
    sheets: tuple[Sheet, ...]
    lists: tuple[Enumeration, ...] = ()


def shortened(listed: Enumeration) -> Iterator[str]:
    """Yield the lines of a list, the last of a long one saying how many are left out."""
    yield from listed.lines[:_LISTED]
    if len(listed.lines) > _LISTED:
        yield f"… and {len(listed.lines) - _LISTED} more"


def markdown(page: Page, *, limit_bytes: int | None = None) -> str:
    """Return a page in GitHub-flavoured Markdown, or as many rows of it, from the top, as fit into ``limit_bytes``."""
    budget = Budget(limit_bytes)
    budget.add(f"## {gfm.text(page.title)}\n\n", *(f"- {gfm.text(sentence)}\n" for sentence in page.said), "\n")
    reserve = 0 if limit_bytes is None else limit_bytes // 8
    left_out = sum(add_sheet(budget, sheet, reserve_bytes=reserve) for sheet in page.sheets)
    if left_out:
        budget.add(f"… and {counted(left_out, 'row')} more, left out for size.\n\n")
    for listed in page.lists:
        body = "".join(f"- {gfm.text(line)}\n" for line in shortened(listed))
        budget.add(gfm.details(gfm.text(listed.title), body))
    return budget.text().rstrip("\n") + "\n"


def add_sheet(budget: Budget, sheet: Sheet, *, reserve_bytes: int) -> int:
    """Add a table in Markdown below its title, as far as it fits; return how many of its rows do not."""
    head = gfm.row([gfm.text(column.title) for column in sheet.columns])
    rule = f"|{'|'.join('--:' if column.right else '---' for column in sheet.columns)}|\n"
    if not budget.add(f"### {gfm.text(sheet.title)}\n\n", head, rule, reserve_bytes=reserve_bytes):
        return len(sheet.rows)
    rows = (gfm.row([gfm.text(text) for text in row]) for row in sheet.rows)
    added = budget.add_while_it_fits(rows, reserve_bytes=reserve_bytes)
    budget.add("\n")
    return len(sheet.rows) - added


def html(page: Page) -> str:
    """Return a page as one HTML file without scripts, which loads nothing from anywhere."""
    return "".join(_html(page))


def _html(page: Page) -> Iterator[str]:
    yield '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
    yield "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield f"<title>{_safe(page.title)}</title>\n<style>{_STYLE}</style></head>\n<body>\n"
    yield f"<h1>{_safe(page.title)}</h1>\n"
    yield from _html_list(page.said)
    for sheet in page.sheets:
        yield f'<h2>{_safe(sheet.title)}</h2>\n<div class="table"><table>\n<thead>'
        yield from _html_row("th", [column.title for column in sheet.columns], sheet.columns)
        yield "</thead>\n<tbody>\n"
        for row in sheet.rows:
            yield from _html_row("td", row, sheet.columns)
        yield "</tbody></table></div>\n"
    for listed in page.lists:
        yield f"<details><summary>{_safe(listed.title)}</summary>\n"
        yield from _html_list(listed.lines)
        yield "</details>\n"
    yield "</body></html>\n"


def _html_row(tag: str, texts: Sequence[str], columns: Sequence[Column]) -> Iterator[str]:
    yield "<tr>"
    for text, column in zip(texts, columns, strict=True):
        yield f"<{tag}{' class=right' if column.right else ''}>{_safe(text)}</{tag}>"
    yield "</tr>\n"


def _html_list(lines: Iterable[str]) -> Iterator[str]:
    items = [f"<li>{_safe(line)}</li>\n" for line in lines]
    if items:
        yield "".join(["<ul>\n", *items, "</ul>\n"])


def _safe(foreign: str) -> str:
    return markup.escape(one_line(foreign))
