"""The tables of ``pytest-thor models``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.artifacts.inventory import Inventory, Listed
from pytest_thor.artifacts.quants import QUANTS, expected_size
from pytest_thor.command.drawing import show, show_json
from pytest_thor.stock import Uses
from pytest_thor.units import counted, format_bytes, format_significant

_WIDTH = 160
_SHOWN_CELLS = 3


def plain(text: str) -> str:
    """Return a name from a disk as it may be printed: bytes that are no text, and control characters, escaped."""
    shown = text.encode(errors="backslashreplace").decode()
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in shown)


def parameters(count: int | None) -> str:
    """Return a number of weights as people say it: ``30.53 B``."""
    if count is None:
        return "–"
    return f"{count / 1e9:.2f} B" if count >= 1e9 else f"{count / 1e6:.1f} M"


def grid(*columns: str, right: Sequence[str] = ()) -> Table:
    """Return an empty table with these headings."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return table


def show_inventory(inventory: Inventory, uses: Uses, folders: Sequence[Path], *, with_cells: bool) -> None:
    """Print the models, then what cannot be used."""

    def draw(console: Console) -> None:
        names = ["model", "kind", "architecture", "quant", "size", "parameters", "context"]
        table = grid(*names, *(["cells"] if with_cells else []), right=("size", "parameters", "context"))
        for each in inventory.models:
            table.add_row(*(Text(cell) for cell in _row(each, uses, with_cells=with_cells)))
        if inventory.models:
            console.print(table)
            console.print()
        total = sum(each.model.size_bytes for each in inventory.models)
        where = ", ".join(plain(str(folder)) for folder in folders)
        console.print(Text(f"{counted(len(inventory.models), 'model')}, {format_bytes(total)}, below {where}"))
        for sentence in (*(each.sentence for each in inventory.troubles), *uses.contested):
            console.print(Text.assemble(("✗ ", "red"), plain(sentence)), soft_wrap=True)
        for cell, sentence in uses.missing.items():
            console.print(Text.assemble(("✗ ", "yellow"), plain(f"{cell}: {sentence}")), soft_wrap=True)

    show(draw)


def _row(each: Listed, uses: Uses, *, with_cells: bool) -> list[str]:
    model = each.model
    location = plain(each.location) + (f" (+{model.files - 1} shards)" if model.files > 1 else "")
    family = model.architecture or "–"
    row = [
        location,
        model.kind,
        f"{family} ({model.shape})" if model.shape else family,
        model.quant or "–",
        format_bytes(model.size_bytes),
        parameters(model.parameters),
        "–" if model.context_length is None else str(model.context_length),
    ]
    if with_cells:
        cells = uses.of(model.path)
        more = f" and {len(cells) - _SHOWN_CELLS} more" if len(cells) > _SHOWN_CELLS else ""
        row.append(", ".join(cells[:_SHOWN_CELLS]) + more or "–")
    return [plain(cell) for cell in row]


def show_catalogue(shape: str | None, *, as_json: bool) -> None:
    """Print every known quant and, of a known shape, how large it becomes."""
    sizes = {name: expected_size(ARCHITECTURES[shape], quant) for name, quant in QUANTS.items()} if shape else {}
    if as_json:
        rows = [
            {
                **asdict(quant),
                "expected_file_bytes": sizes[name].file_bytes if sizes else None,
                "expected_bits_per_weight": sizes[name].bits_per_weight if sizes else None,
            }
            for name, quant in QUANTS.items()
        ]
        document = {"schema": "pytest-thor/quants/1", "shape": shape, "quants": rows}
        show_json(document)
        return

    def draw(console: Console) -> None:
        names = ["quant", "class", "bits"] + (["bits in all", "file"] if sizes else []) + ["advice"]
        table = grid(*names, right=("bits", "bits in all", "file"))
        for name, quant in QUANTS.items():
            size = sizes.get(name)
            of_shape = [format_significant(size.bits_per_weight, 3), format_bytes(size.file_bytes)] if size else []
            bits = format_significant(quant.bits, 3)
            table.add_row(*(Text(cell) for cell in (name, quant.quant_class, bits, *of_shape, quant.advice)))
        console.print(table)

    show(draw)
