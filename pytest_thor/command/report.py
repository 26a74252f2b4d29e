"""``pytest-thor report``: render a finished run again, from its report.json."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from pytest_thor.errors import PublishedError, ReportError
from pytest_thor.merging.merge import merge
from pytest_thor.merging.shards import Shard
from pytest_thor.plain_text import one_line
from pytest_thor.published.records import Reading
from pytest_thor.published.reference import load, load_all
from pytest_thor.published_beside import published_beside
from pytest_thor.report.document import ReportDocument
from pytest_thor.report.outputs import FORMATS, format_of, write_output
from pytest_thor.report.reading import read

_LIST = "".join(f"\n  {name:<15} {chosen.help}" for name, chosen in FORMATS.items())


@click.command(help=f"Render REPORT (report.json, or the folder it is in) again.\n\n\b\nFormats:{_LIST}")
@click.argument("report", type=click.Path(path_type=Path))
@click.option("--format", "name", type=click.Choice(list(FORMATS)), default="markdown", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="a file instead of the terminal")
@click.option(
    "--published",
    "references",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="PATH",
    help="show what others published beside ours, in markdown and html: a file that pytest-thor import wrote, or a "
    "folder of them (baselines/published); may be repeated",
)
@click.option("--reference-quant", metavar="NAME", help="tell the quants of each model as percent of this one")
@click.option("--exit-status", is_flag=True, help="end with the status that the run ended with")
def command(
    *,
    report: Path,
    name: str,
    output: Path | None,
    references: tuple[Path, ...],
    reference_quant: str | None,
    exit_status: bool,
) -> None:
    """Render a report again."""
    document = read(report)
    if reference_quant is not None:
        document = _beside_quant(document, reference_quant)
    published = published_beside(document, [reading for path in references for reading in _readings(path)])
    if output is not None:
        click.echo(write_output(document, output, name, published=published), err=True)
    elif name == "sqlite" and sys.stdout.isatty():
        raise click.UsageError("a database is not for a terminal: give a file with -o FILE, or --format sql")
    else:
        sys.stdout.buffer.write(format_of(name).content(document, published))
    if exit_status:
        raise SystemExit(_status(document, name=str(report)))


def _status(document: ReportDocument, *, name: str) -> int:
    """Return the status that the run ended with; where the report does not tell, that of its cells."""
    stored = document.summary.exit_status
    return merge([Shard(name=name, document=document)]).exit_status if stored is None else stored


def _readings(path: Path) -> Iterable[Reading]:
    if not path.is_dir():
        return [load(path)]
    found = load_all(path)
    if not found:
        raise PublishedError(f"--published {path}: no published reference is in it; pytest-thor import makes them")
    return found


def _beside_quant(document: ReportDocument, wanted: str) -> ReportDocument:
    quants = list(dict.fromkeys(record.quant for record in document.cells))
    if wanted.casefold() not in map(str.casefold, quants):
        near = difflib.get_close_matches(wanted, quants, n=1)
        known = f"did you mean {one_line(near[0])}?" if near else f"expected one of {', '.join(map(one_line, quants))}"
        raise ReportError(f"--reference-quant {wanted}: no cell of the report has this quant; {known}")
    return document.model_copy(update={"reference_quant": wanted})
