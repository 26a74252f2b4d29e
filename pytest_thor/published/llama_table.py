"""llama-bench's own tables: one row a test, ``average ± standard deviation`` in tokens per second."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_thor.published.commands import Command
from pytest_thor.published.devices import device_in
from pytest_thor.published.llama_columns import column
from pytest_thor.published.names import contradict, of_label, of_path, same_family
from pytest_thor.published.numbers import (
    UnreadableNumberError,
    number,
    parameter_count,
    size_bytes,
    with_spread,
)
from pytest_thor.published.page import Place
from pytest_thor.published.records import Figure, PublishedKind, PublishedResult, Scalar, Unread, unread
from pytest_thor.published.tables import Row, Table

ENGINE = "llama-bench"
SPEED: Mapping[PublishedKind, str] = {"prefill": "pp_tps", "decode": "tg_tps", "mixed": "mixed_tps"}

_TEST = re.compile(r"(?:pp ?(?P<pp>\d{1,9}))? ?\+? ?(?:tg ?(?P<tg>\d{1,9}))?(?: ?@ ?d ?(?P<depth>\d{1,9}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """What was timed: prompt tokens, generated tokens, and the tokens before them."""

    n_prompt: int
    n_gen: int
    n_depth: int

    @property
    def kind(self) -> PublishedKind:
        """The kind of result."""
        return "mixed" if self.n_prompt and self.n_gen else "prefill" if self.n_prompt else "decode"

    @property
    def workload(self) -> dict[str, Scalar]:
        """The workload by the names of a matrix."""
        named = {"n_prompt": self.n_prompt, "n_gen": self.n_gen}
        return {**{name: value for name, value in named.items() if value}, "n_depth": self.n_depth}


def test_named(text: str) -> Test | None:
    """Return the test that ``pp512``, ``tg 128``, ``pp512+tg128`` or ``tg32 @ d4096`` is."""
    match = _TEST.fullmatch(" ".join(text.split()).casefold())
    if match is None or not (int(match["pp"] or 0) or int(match["tg"] or 0)):
        return None
    return Test(n_prompt=int(match["pp"] or 0), n_gen=int(match["tg"] or 0), n_depth=int(match["depth"] or 0))


def read_table(table: Table, place: Place) -> tuple[list[PublishedResult], list[Unread]]:
    """Read every row of a table that :func:`~pytest_thor.published.llama_columns.is_bench` knows."""
    results: list[PublishedResult] = []
    problems: list[Unread] = []
    fields = [column(title) for title in table.head]
    known = [field for field in fields if field]
    if twice := {field for field in known if known.count(field) > 1}:
        problems.append(unread(table.index, " | ".join(table.head), f"two columns are the same: {', '.join(twice)}"))
        return results, problems
    problems.extend(
        unread(table.index, title, "this column is not known; its cells are kept as text")
        for title, field in zip(table.head, fields, strict=True)
        if field is None and title
    )
    for row in table.rows:
        if row.defect:
            problems.append(unread(row.index, row.text, row.defect))
            continue
        cells = {field or title: cell for field, title, cell in zip(fields, table.head, row.cells, strict=True)}
        try:
            results.append(_result(row, cells, place))
        except UnreadableNumberError as error:
            problems.append(unread(row.index, row.text, str(error)))
    return results, problems


def _result(row: Row, cells: dict[str, str], place: Place) -> PublishedResult:
    cells = {name: cell.strip("*` ") for name, cell in cells.items()}
    test = test_named(cells.pop("test"))
    if test is None:
        raise UnreadableNumberError("the test is not one of llama-bench's: expected pp512, tg128 or pp512+tg128")
    written = cells.pop("t/s")
    speed, spread = with_spread(written)
    metrics = {SPEED[test.kind]: Figure(value=speed, unit="tok/s", spread=spread, written=written)}
    for field, metric, unit, read in (
        ("size", "model_bytes", "B", size_bytes),
        ("params", "parameters", "parameters", parameter_count),
    ):
        if cell := cells.pop(field, ""):
            metrics[metric] = Figure(value=read(cell), unit=unit, written=cell)
    for name in [name for name in cells if name.startswith("percent_of:")]:
        cell = cells.pop(name)
        if cell:
            share = number(cell.rstrip("%％ "))
            metrics[f"percent_of.{name.partition(':')[2]}"] = Figure(value=share, unit="%", written=cell)
    label = cells.pop("model", "") or None
    backend = cells.pop("backend", "") or None
    model, quant, notes = named(label, place)
    return PublishedResult(
        source=place.source.name,
        line=row.index + 1,
        kind=test.kind,
        engine=ENGINE,
        date=place.source.date,
        label=label,
        model=model,
        quant=quant,
        backend=backend,
        device=device_in(place.device_hints, backend=backend),
        headings=place.path,
        workload=test.workload,
        settings={name: setting(cell) for name, cell in cells.items() if cell},
        metrics=metrics,
        notes=notes,
    )


def named(label: str | None, place: Place) -> tuple[str | None, str | None, tuple[str, ...]]:
    """Return model, quant and notes of a row: from the nearest command's file, else the page, else its own label."""
    own_model, own_quant = of_label(label) if label else (None, None)
    command = _nearest(place)
    files = [of_path(file) for file in command.files] if command else []
    beside = command is not None and command.index > place.opened
    fitting = {each for each in files if _fits(each, label, own_quant, beside=beside)}
    if len(fitting) == 1:
        model, quant = fitting.pop()
        return model, quant or own_quant, ()
    notes: tuple[str, ...] = ()
    if files and not fitting and beside:
        told = " in ".join(filter(None, files[0]))
        notes = (f"the command before it names {told}, the row {label}: the row is believed",)
    return _page_model(place, label) or own_model, own_quant, notes


def setting(cell: str) -> Scalar:
    """Return a setting as a number where it is a plain one."""
    return int(cell) if re.fullmatch(r"-?(?:0|[1-9]\d{0,11})", cell) else cell


def _nearest(place: Place) -> Command | None:
    """Return the last command, if it ran llama-bench; an earlier one belongs to something else."""
    last = place.commands[-1] if place.commands else None
    return last if last and last.tool == ENGINE else None


def _fits(file: tuple[str, str | None], label: str | None, own_quant: str | None, *, beside: bool) -> bool:
    """Say whether a row may be of that file; a file in another section must be of the same family as well."""
    model, quant = file
    if label and (contradict(label, model) or not (beside or same_family(label, model))):
        return False
    return own_quant is None or quant is None or quant == own_quant or _repacked(quant, own_quant)


def _repacked(quant: str, own: str) -> bool:
    """Say whether a file's quant is a publisher's variant of what llama-bench calls it: ``Q4_K_L`` of ``Q4_K_M``."""
    base = own.rsplit("_", 1)[0] if own.count("_") > 1 else own
    return quant != "Q3_K_L" and quant.removeprefix("UD-") in {own, f"{base}_L", f"{base}_XL", f"{base}_XXL"}


def _page_model(place: Place, label: str | None) -> str | None:
    """Return the model that the nearest heading or ``Model:`` line names, if the row's label agrees with it."""
    candidates = [each for each in (place.heading_model(), place.model_named) if each]
    for _, name in sorted(candidates, reverse=True):
        model, _ = of_path(name)
        if label and not contradict(label, model) and same_family(label, model):
            return model
    return None
