"""Every file that a report can be written as, and writing them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pytest_thor.errors import ReportError
from pytest_thor.files import atomic_write
from pytest_thor.report.document import ReportDocument
from pytest_thor.report.exports import action_benchmark, bencher, long_csv
from pytest_thor.report.html.page import render as html
from pytest_thor.report.llama_bench_sql import llama_bench_sql, llama_bench_sqlite
from pytest_thor.report.llama_bench_table import llama_bench_table
from pytest_thor.report.markdown import comment, markdown
from pytest_thor.report.published_figure import Published
from pytest_thor.report.vllm_bench import vllm_blocks

Render = Callable[[ReportDocument], str | bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One way to write a report: a file's name, what makes its content, and one line for a help text.

    ``beside`` makes it where there are published figures to be shown beside ours, in a format that shows them.
    """

    file: str
    render: Render
    help: str
    beside: Callable[[ReportDocument, Published], str] | None = None

    def content(self, document: ReportDocument, published: Published | None = None) -> bytes:
        """Return the file's content."""
        made = self.beside(document, published) if self.beside and published else self.render(document)
        return made if isinstance(made, bytes) else made.encode("utf-8", "replace")


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "markdown": Format(
            file="report.md",
            render=markdown,
            help="the whole report in Markdown",
            beside=lambda document, published: markdown(document, published=published),
        ),
        "html": Format(
            file="report.html",
            render=html,
            help="the whole report as one page with pictures",
            beside=lambda document, published: html(document, published=published),
        ),
        "comment": Format(file="comment.md", render=comment, help="a pull-request comment below 64 KB"),
        "llama-bench": Format(file="llama-bench.md", render=llama_bench_table, help="the table of llama-bench"),
        "vllm": Format(file="vllm-bench-serve.txt", render=vllm_blocks, help="the blocks of vllm bench serve"),
        "csv": Format(file="samples.csv", render=long_csv, help="one row per raw sample"),
        "bencher": Format(file="bencher.json", render=bencher, help="Bencher Metric Format"),
        "github-bigger": Format(
            file="github-action-benchmark-bigger.json",
            render=lambda document: action_benchmark(document, "higher"),
            help="github-action-benchmark, customBiggerIsBetter",
        ),
        "github-smaller": Format(
            file="github-action-benchmark-smaller.json",
            render=lambda document: action_benchmark(document, "lower"),
            help="github-action-benchmark, customSmallerIsBetter",
        ),
        "sql": Format(file="llama-bench.sql", render=llama_bench_sql, help="what llama-bench -o sql prints"),
        "sqlite": Format(
            file="llama-bench.sqlite",
            render=llama_bench_sqlite,
            help="the database that compare-llama-bench.py reads",
        ),
    }
)
"""Every format by the name that ``--thor-export`` and ``pytest-thor report --format`` take."""


def write_outputs(
    document: ReportDocument, folder: Path, formats: Iterable[str], *, published: Published | None = None
) -> list[Path]:
    """Write a report in every format named, once each, each file in one step; return the files.

    ``published`` are figures of others, for the formats that show them beside ours.

    Raises:
        ReportError: a format is unknown, or a file cannot be written.
    """
    return [
        write_output(document, folder / format_of(name).file, name, published=published)
        for name in dict.fromkeys(formats)
    ]


def write_output(document: ReportDocument, path: Path, name: str, *, published: Published | None = None) -> Path:
    """Write a report in one format.

    Raises:
        ReportError: the format is unknown, or the file cannot be written.
    """
    content = format_of(name).content(document, published)
    try:
        atomic_write(path, content)
    except OSError as error:
        raise ReportError(f"{path}: cannot write it: {error.strerror}; give another place") from error
    return path


def format_of(name: str) -> Format:
    """Return a format by its name.

    Raises:
        ReportError: there is none of that name.
    """
    try:
        return FORMATS[name]
    except KeyError:
        raise ReportError(f"{name!r} is no format of a report: expected one of {', '.join(FORMATS)}") from None
