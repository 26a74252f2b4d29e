"""``pytest-thor report``: render a finished run again, from its report.json."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pytest_thor.report.outputs import FORMATS, format_of, write_output
from pytest_thor.report.reading import read

_LIST = "".join(f"\n  {name:<15} {chosen.help}" for name, chosen in FORMATS.items())


@click.command(help=f"Render REPORT (report.json, or the folder it is in) again.\n\n\b\nFormats:{_LIST}")
@click.argument("report", type=click.Path(path_type=Path))
@click.option("--format", "name", type=click.Choice(list(FORMATS)), default="markdown", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="a file instead of the terminal")
def command(report: Path, name: str, output: Path | None) -> None:
    """Render a report again."""
    document = read(report)
    if output is not None:
        click.echo(write_output(document, output, name), err=True)
        return
    if name == "sqlite" and sys.stdout.isatty():
        raise click.UsageError("a database is not for a terminal: give a file with -o FILE, or --format sql")
    sys.stdout.buffer.write(format_of(name).content(document))
