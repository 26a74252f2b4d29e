"""``pytest-thor import``: read what other tools printed, list what could not be read, mark what cannot be."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pytest_thor.believable import Believed, hold_published, known_device
from pytest_thor.command.drawing import InertConsole, show_json
from pytest_thor.errors import PublishedError
from pytest_thor.published import reference
from pytest_thor.published.names import of_path
from pytest_thor.published.page import decode
from pytest_thor.published.read import FORMATS, Format, read
from pytest_thor.published.records import Figure, PublishedResult, Reading
from pytest_thor.published_report import report_of
from pytest_thor.report import document
from pytest_thor.units import counted, format_quantity

_STANDARD_INPUT = "-"
_PLAIN_WIDTH = 160
_LARGEST_BYTES = 64 << 20
_SHOWN = (
    "pp_tps",
    "tg_tps",
    "mixed_tps",
    "ttft_ms.median",
    "tpot_ms.median",
    "output_tps",
    "request_rps",
    "file_bytes",
)
_TITLES = {"ttft_ms.median": "TTFT", "tpot_ms.median": "TPOT"}


@click.command(name="import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--device", help="What it ran on, where the source does not say (jetson-agx-thor).")
@click.option("--model", help="What it is of, where the source does not say (Qwen3-8B-Q4_K_M).")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="auto", show_default=True, help="What the files hold."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Write a published reference: one FILE.json, or one for each input into a folder.",
)
@click.option("--report", type=click.Path(path_type=Path), help="Write a report.json of them to this FILE.")
@click.option("--json", "as_json", is_flag=True, help="Print the references and the doubts as JSON.")
def command(  # noqa: PLR0917 - one parameter an option
    files: tuple[str, ...],
    device: str | None,
    model: str | None,
    form: Format,
    output: Path | None,
    report: Path | None,
    as_json: bool,
) -> None:
    """Read figures that llama-bench or vllm bench serve printed: tables, blocks, JSON, CSV, SQL, or pages of them.

    FILE may be - for standard input. Ends with status 1 where a file holds nothing that could be read.
    """
    if device is not None and not known_device(device):
        raise PublishedError(f"--device {device}: no limits of it are known; docs/limits.md lists the devices that are")
    readings = [_named(_read(file, form), model=model, device=device) for file in files]
    believed = {id(result): hold_published(result, device=device) for each in readings for result in each.results}
    if output is not None:
        for path, reading in _targets(output, files, readings):
            reference.write(reading, path)
    if report is not None:
        document.write(
            report_of((result, believed[id(result)]) for each in readings for result in each.results), report
        )
    if as_json:
        show_json([_document(reading, believed) for reading in readings])
    else:
        width = None if sys.stdout.isatty() else _PLAIN_WIDTH
        console = InertConsole(width=width, soft_wrap=width is not None)
        for reading in readings:
            _show(console, reading, [believed[id(result)] for result in reading.results])
    if not all(reading.results for reading in readings):
        raise SystemExit(1)


def _read(file: str, form: Format) -> Reading:
    name = "standard input" if file == _STANDARD_INPUT else Path(file).name
    try:
        if file == _STANDARD_INPUT:
            content = sys.stdin.buffer.read(_LARGEST_BYTES + 1)
        else:
            with Path(file).open("rb") as source:
                content = source.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise PublishedError(f"{file}: cannot read it: {error.strerror}") from error
    if len(content) > _LARGEST_BYTES:
        raise PublishedError(f"{file}: larger than {_LARGEST_BYTES >> 20} MiB; give the part that holds the results")
    if content.startswith(b"SQLite format 3"):
        raise PublishedError(f"{file}: a database; give its rows instead: sqlite3 {file} .dump | pytest-thor import -")
    return read(decode(content), name=name, format=form)


def _named(reading: Reading, *, model: str | None, device: str | None) -> Reading:
    """Return the reading with the user's word where the source says nothing."""
    name, quant = of_path(model) if model else (None, None)
    results = tuple(
        replace(
            result,
            model=result.model or name,
            quant=result.quant or (quant if result.model is None else None),
            label=result.label or model,
            device=result.device or device,
        )
        for result in reading.results
    )
    return replace(reading, results=results)


def _targets(output: Path, files: Sequence[str], readings: Sequence[Reading]) -> list[tuple[Path, Reading]]:
    if output.suffix == ".json":
        if len(files) > 1:
            raise PublishedError(f"--output {output}: one file for {len(files)} inputs; give a folder")
        return [(output, readings[0])]
    stems = ["standard-input" if file == _STANDARD_INPUT else Path(file).stem for file in files]
    if twice := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise PublishedError(f"--output {output}: two inputs are called {twice[0]}; import them one by one")
    return [(output / f"{stem}.json", reading) for stem, reading in zip(stems, readings, strict=True)]


def _document(reading: Reading, believed: dict[int, Believed]) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(reference.dump(reading))
    for stored, result in zip(told.get("results", []), reading.results, strict=True):
        verdict = believed[id(result)]
        stored["verdict"] = "invalid" if verdict.doubt else None
        stored["reason"] = verdict.doubt
        stored["not_held"] = verdict.skipped
        stored["efficiency"] = {name: held.efficiency for name, held in verdict.held.items()}
    return told


def _show(console: Console, reading: Reading, believed: Sequence[Believed]) -> None:
    source = reading.source
    told = ", ".join(filter(None, (source.title, source.date)))
    counts = f"{counted(len(reading.results), 'result')}, {counted(reading.figures, 'figure')}"
    console.print(Text(f"{source.name}: {counts}" + (f" ({told})" if told else "")), style="bold")
    if reading.results:
        console.print(_table(reading.results, believed))
    for result in reading.results:
        for note in result.notes:
            console.print(Text(f"{source.name}:{result.line}: note: {note}"), style="dim")
    for problem in reading.unread:
        console.print(Text(f"{source.name}:{problem.line}: not read: {problem.reason}: {problem.text}"), style="yellow")
    _show_doubts(console, reading, believed)


def _show_doubts(console: Console, reading: Reading, believed: Sequence[Believed]) -> None:
    invalid = [(result, each) for result, each in zip(reading.results, believed, strict=True) if each.doubt]
    for result, each in invalid:
        assumed = f" ({each.assumed})" if each.assumed else ""
        text = f"{reading.source.name}:{result.line}: invalid: {_name(result)}: {each.doubt}{assumed}"
        console.print(Text(text), style="red")
    skipped: dict[str, int] = {}
    for each in believed:
        if each.skipped:
            skipped[each.skipped] = skipped.get(each.skipped, 0) + 1
    held = len(believed) - sum(skipped.values())
    console.print(Text(f"{reading.source.name}: {held} held against a device's limit, {len(invalid)} invalid"))
    for reason, count in skipped.items():
        console.print(Text(f"{reading.source.name}: {count} not held: {reason}"), style="dim")


def _table(results: Iterable[PublishedResult], believed: Iterable[Believed]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("line", justify="right")
    for title in ("model", "quant", "workload", "device", "published", ""):
        table.add_column(title, overflow="fold")
    for result, each in zip(results, believed, strict=True):
        cells = [
            str(result.line),
            result.model or result.label or "?",
            result.quant or "?",
            _workload(result),
            result.device or "?",
            ", ".join(_figure(name, result.metrics[name]) for name in _SHOWN if name in result.metrics),
            "invalid" if each.doubt else "",
        ]
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _workload(result: PublishedResult) -> str:
    work = result.workload
    if result.kind == "serving":
        lengths = f"{work.get('input_len', '?')} → {work.get('output_len', '?')}"
        return f"{lengths} ×{work.get('num_prompts', '?')}, {work.get('max_concurrency', '?')} at a time"
    if result.kind == "file":
        return "file"
    parts = [f"{short}{work[name]}" for short, name in (("pp", "n_prompt"), ("tg", "n_gen")) if work.get(name)]
    return "+".join(parts) + (f" @ d{work['n_depth']}" if work.get("n_depth") else "")


def _figure(name: str, figure: Figure) -> str:
    shown = format_quantity(figure.value, figure.unit)
    if figure.written:
        shown = figure.written if figure.unit == "B" else f"{figure.written} {figure.unit}"
    return f"{_TITLES[name]} {shown}" if name in _TITLES else shown


def _name(result: PublishedResult) -> str:
    return ", ".join(filter(None, (result.label or result.model, *result.headings[-1:])))
