"""``pytest-thor merge``: the reports of shards become one, whose exit status a last job can gate on."""

from __future__ import annotations

import os
from pathlib import Path

import click

from pytest_thor.comparison.source import short_names
from pytest_thor.merging.expected import parse_expected
from pytest_thor.merging.merge import merge, told_of
from pytest_thor.merging.shards import Shard
from pytest_thor.plain_text import one_line
from pytest_thor.published.reference import load_all
from pytest_thor.published_beside import published_beside
from pytest_thor.report.document import write
from pytest_thor.report.outputs import FORMATS
from pytest_thor.report.publishing import publish
from pytest_thor.report.reading import read


@click.command()
@click.argument("reports", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="REPORT...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="the folder for report.json, report.md and the exports",
)
@click.option(
    "--export", "formats", type=click.Choice(list(FORMATS)), multiple=True, help="write this too; may be repeated"
)
@click.option(
    "--expect", help="what must be there: a number of shards, or what --thor-list=github printed (or its file)"
)
@click.option(
    "--baseline",
    "baselines",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("baselines"),
    show_default=True,
    help="the store that the shards were held against, read only where several measured the same cell; figures of "
    "others that stand in its folder published/ are shown beside ours",
)
def command(
    *, reports: tuple[Path, ...], output: Path, formats: tuple[str, ...], expect: str | None, baselines: Path
) -> None:
    """Join REPORTs (report.json, or their folders) of one run in shards.

    A cell that several shards measured under the same conditions keeps all its launches and is judged again; under
    different ones it is refused. Exit status: as pytest gives of the whole run (0, 1, 8, 9); 2 as well where a shard
    was interrupted or the reports cannot be joined.
    """
    expected = None if expect is None else parse_expected(expect)
    shards = [Shard(name=name, document=read(path)) for name, path in zip(short_names(reports), reports, strict=True)]
    merged = merge(shards, baselines=baselines if baselines.is_dir() else None, expected=expected)
    write(merged.document, output / "report.json")
    published = published_beside(merged.document, load_all(baselines / "published"))
    publish(merged.document, folder=output, formats=formats, environ=os.environ, published=published)
    for sentence in told_of(merged):
        click.echo(one_line(sentence), err=True)
    click.echo(str(output / "report.json"))
    raise SystemExit(merged.exit_status)
