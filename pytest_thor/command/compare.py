"""``pytest-thor compare``: finished measurements side by side."""

from __future__ import annotations

import difflib
import gc
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pytest_thor.command.drawing import InertConsole
from pytest_thor.comparison.contrast import Comparison, contrast
from pytest_thor.comparison.matching import By, Matched, match, widest_quant
from pytest_thor.comparison.source import Source, read_sources
from pytest_thor.comparison.tables import page, to_json
from pytest_thor.errors import ReportError
from pytest_thor.files import atomic_write_text
from pytest_thor.plain_text import inert_json, one_line
from pytest_thor.report.sheets import Page, Sheet, html, markdown, shortened

_FORMATS = ("table", "markdown", "html", "json")


@click.command()
@click.argument("sides", nargs=-1, required=True, metavar="SIDE...")
@click.option(
    "--by",
    type=click.Choice(get_args(By)),
    help="the word that is compared; by default reports, or quants of one report",
)
@click.option(
    "--reference", help="the side that the others are held against; by default the first, of quants the widest"
)
@click.option("--metric", "metrics", multiple=True, help="compare these (tg_tps, 'ttft_ms.*', '*'); may be repeated")
@click.option("-k", "pattern", default="", help="only cells whose id has this in it")
@click.option("--format", "form", type=click.Choice(_FORMATS), default="table", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="the same as --format json")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="a file instead of the terminal")
def command(
    *,
    sides: tuple[str, ...],
    by: By | None,
    reference: str | None,
    metrics: tuple[str, ...],
    pattern: str,
    form: str,
    as_json: bool,
    output: Path | None,
) -> None:
    """Show SIDEs beside one another: reports, baseline stores, published references.

    Each SIDE is a report.json or its folder, a baseline store, or a file of pytest-thor import, as PATH or NAME=PATH.
    With one SIDE its own quants (or --by) are compared. Nothing gates here. Exit status: 0; 1 where nothing compares.
    """
    with _uncollected():
        found = comparison_of(sides, by, reference=reference, metrics=metrics, pattern=pattern)
        _show(*found, "json" if as_json else form, output)
    if not found[0].rows:
        raise SystemExit(1)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector from walking large reports again and again, of which nothing is garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def comparison_of(
    sides: Sequence[str], by: By | None, *, reference: str | None, metrics: Sequence[str], pattern: str
) -> tuple[Comparison, tuple[Source, ...]]:
    """Read the sides and compare them; reports where there are several and no word is named, else quants.

    Raises:
        ThorError: a side cannot be read, or there is no such reference.
    """
    sources = read_sources(sides)
    chosen: By = by or ("report" if len(sources) > 1 else "quant")
    names = [source.name for source in sources] if chosen == "report" else []
    subjects = [each for source in sources for each in source.subjects if pattern in each.id]
    matched = match(subjects, chosen, columns=names)
    return contrast(matched, chosen, reference=_reference(matched, reference, chosen), metrics=metrics), sources


def _reference(matched: Matched, name: str | None, by: By) -> str:
    if name is None:
        if not matched.columns:
            raise ReportError("the sides hold no cell; there is nothing to compare")
        return (widest_quant(matched) if by == "quant" else None) or matched.columns[0]
    if name not in matched.columns:
        columns = [one_line(column) for column in matched.columns]
        near = difflib.get_close_matches(name, columns, n=1)
        known = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(columns)}"
        raise ReportError(f"--reference {name}: no {by} of that name; {known}")
    return name


def _show(comparison: Comparison, sources: tuple[Source, ...], form: str, output: Path | None) -> None:
    if form == "json":
        written = json.dumps(to_json(comparison, sources), indent=1, ensure_ascii=False, allow_nan=False)
        text = f"{inert_json(written)}\n"
    else:
        made = page(comparison, sources)
        if form == "table" and output is None and sys.stdout.isatty():
            _draw(made, InertConsole())
            return
        text = {"markdown": markdown, "html": html, "table": _plain}[form](made)
    if output is None:
        sys.stdout.buffer.write(text.encode("utf-8", "replace"))
        return
    try:
        atomic_write_text(output, text)
    except OSError as error:
        raise ReportError(f"{output}: cannot write it: {error.strerror}; give another --output") from error
    click.echo(str(output), err=True)


def _draw(made: Page, console: Console) -> None:
    console.print(Text(one_line(made.title), style="bold"))
    for sentence in made.said:
        console.print(Text(one_line(sentence)), soft_wrap=True)
    for sheet in made.sheets:
        table = Table(title=Text(one_line(sheet.title)), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for column in sheet.columns:
            justify: Literal["left", "right"] = "right" if column.right else "left"
            table.add_column(Text(one_line(column.title)), justify=justify, overflow="fold")
        for row in sheet.rows:
            table.add_row(*(Text(one_line(text)) for text in row))
        console.print(table)
    for listed in made.lists:
        console.print(Text(one_line(listed.title), style="bold"))
        for line in shortened(listed):
            console.print(Text(f"  {one_line(line)}"), soft_wrap=True)


def _plain(made: Page) -> str:
    """Return the page for a pipe or a log: aligned columns, no box, no colour."""
    lines = [one_line(made.title), *map(one_line, made.said), ""]
    for sheet in made.sheets:
        lines += [one_line(sheet.title), *_aligned(sheet), ""]
    for listed in made.lists:
        lines += [one_line(listed.title), *(f"  {one_line(line)}" for line in shortened(listed)), ""]
    return "\n".join(lines)


def _aligned(sheet: Sheet) -> list[str]:
    rows = [
        [one_line(column.title) for column in sheet.columns],
        *([one_line(text) for text in row] for row in sheet.rows),
    ]
    widths = [max(map(len, texts)) for texts in zip(*rows, strict=True)]
    return [
        "  ".join(
            text.rjust(width) if column.right else text.ljust(width)
            for text, width, column in zip(row, widths, sheet.columns, strict=True)
        ).rstrip()
        for row in rows
    ]
