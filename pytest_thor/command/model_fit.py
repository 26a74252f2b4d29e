"""``pytest-thor models --fit``: which quant to run here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

import click
from rich.console import Console
from rich.text import Text

from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.artifacts.cost import cost_of_architecture, cost_of_artifact
from pytest_thor.artifacts.fit import Candidate, Choice, Memory, Purpose, choose, need_of
from pytest_thor.artifacts.inventory import Listed
from pytest_thor.artifacts.quants import QUANTS, expected_size
from pytest_thor.command.drawing import show, show_json
from pytest_thor.command.model_tables import grid, plain
from pytest_thor.errors import ArtifactError
from pytest_thor.fitting import memory_of
from pytest_thor.host.device import Device, identify
from pytest_thor.plain_text import one_line
from pytest_thor.report.reading import read
from pytest_thor.units import format_bytes, format_rate

Rates = Mapping[tuple[str, str], float]
"""Decode rates by model or shape, in lower case, and quant."""


def show_fit(
    models: Sequence[Listed],
    *,
    shape: str | None,
    purpose: Purpose,
    context: int,
    reports: Sequence[Path],
    gib: float | None,
    as_json: bool,
) -> None:
    """Answer for each model that was found, or for every quant that a known shape could have.

    Raises:
        ReportError: a report cannot be read.
    """
    device = identify()
    memory = _memory(device, gib, purpose)
    rates = _rates(reports, device)
    groups = _of_shape(shape, context, rates) if shape else _of_models(models, context, rates)
    answers = {
        name: (candidates, choose(candidates, memory, purpose, on_gpu=bool(device.gpus)))
        for name, candidates in groups.items()
    }
    if as_json:
        show_json(_document(answers, memory, purpose, context))
        return
    show(lambda console: _draw(console, answers, memory, purpose, context))


def _memory(device: Device, gib: float | None, purpose: Purpose) -> Memory:
    """Return what the rule counts: for speed a GPU's own memory alone, for quality the host's too."""
    if gib is not None:
        return Memory(name="memory", total_bytes=round(gib * 2**30))
    found = memory_of(device, gpu_only=purpose == "speed")
    if found is None:
        raise ArtifactError("nothing tells how much memory this machine has; say it with --memory GIB")
    return found


def _rates(reports: Iterable[Path], device: Device) -> Rates:
    """Return the median decode rate of every model and quant that reports of this device measured."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for path in reports:
        report = read(path)
        if report.environment.device != device.slug:
            measured_on = one_line(report.environment.device)
            click.echo(f"{path}: was measured on {measured_on}, and this is {device.slug}: left out", err=True)
            continue
        for cell in report.cells:
            metric = cell.metrics.get("tg_tps")
            if cell.kind == "decode" and metric is not None and metric.value is not None and cell.verdict != "invalid":
                found[(cell.model.lower(), cell.quant)].append(metric.value)
                if cell.artifact is not None:
                    found[(cell.artifact.path, cell.quant)].append(metric.value)
    return {key: median(values) for key, values in found.items()}


def _of_shape(shape: str, context: int, rates: Rates) -> dict[str, list[Candidate]]:
    known = ARCHITECTURES[shape]
    candidates = []
    for name, quant in QUANTS.items():
        if quant.format != "gguf" or quant.wide_tables or quant.name.startswith("Q4_0_"):
            continue
        size, cost = expected_size(known, quant), cost_of_architecture(known, name)
        kv = need_of(cost, weights_bytes=0, context=context).kv_bytes if cost else 0
        rate = rates.get((shape, name))
        candidates.append(Candidate(quant=name, file_bytes=size.file_bytes, kv_bytes=kv, measured_tps=rate))
    return {shape: candidates}


def _of_models(models: Sequence[Listed], context: int, rates: Rates) -> dict[str, list[Candidate]]:
    groups: dict[str, list[Candidate]] = defaultdict(list)
    for each in models:
        model = each.model
        if model.kind != "language" or model.quant is None:
            continue
        name = model.shape or model.name or each.location
        cost = cost_of_artifact(model.path, quant=model.quant)
        kv = need_of(cost, weights_bytes=0, context=context).kv_bytes if cost else 0
        rate = rates.get((str(model.path), model.quant)) or rates.get((name.lower(), model.quant))
        groups[name].append(Candidate(quant=model.quant, file_bytes=model.size_bytes, kv_bytes=kv, measured_tps=rate))
    return dict(groups)


def _draw(
    console: Console,
    answers: Mapping[str, tuple[Sequence[Candidate], Choice]],
    memory: Memory,
    purpose: Purpose,
    context: int,
) -> None:
    console.print(Text(f"{memory.name}: {format_bytes(memory.total_bytes)}; for {purpose}, context {context}"))
    for name, (candidates, choice) in answers.items():
        console.print()
        chosen = choice.candidate.quant if choice.candidate else "none"
        console.print(Text.assemble((plain(name), "bold"), ": ", (chosen, "bold green"), f": {choice.reason}"))
        table = grid("quant", "file", "KV cache", "decode", "", right=("file", "KV cache", "decode"))
        for cells in _rows(candidates, choice):
            table.add_row(*(Text(cell) for cell in cells))
        console.print(table)
    if not answers:
        console.print(Text("no language model was found; name other folders, or ask for a shape with --shape"))


def _rows(candidates: Sequence[Candidate], choice: Choice) -> Iterator[tuple[str, ...]]:
    fitting = {id(each) for each in (choice.candidate, *choice.others) if each is not None}
    for each in sorted(candidates, key=lambda each: -each.file_bytes):
        mark = "← take this" if each is choice.candidate else "" if id(each) in fitting else "not by the rule"
        rate = "–" if each.measured_tps is None else format_rate(each.measured_tps)
        yield each.quant, format_bytes(each.file_bytes), format_bytes(each.kv_bytes), rate, mark


def _document(
    answers: Mapping[str, tuple[Sequence[Candidate], Choice]], memory: Memory, purpose: Purpose, context: int
) -> dict[str, object]:
    return {
        "schema": "pytest-thor/fit/1",
        "memory": {**asdict(memory), "usable_bytes": memory.usable_bytes},
        "purpose": purpose,
        "context": context,
        "models": [
            {
                "model": name,
                "quant": choice.candidate.quant if choice.candidate else None,
                "reason": choice.reason,
                "candidates": [asdict(each) for each in candidates],
            }
            for name, (candidates, choice) in answers.items()
        ],
    }
