"""``pytest-thor models``: what is under the model roots, what uses it, what fits, and a matrix to start from."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import cast, get_args

import click

from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.artifacts.fit import Purpose
from pytest_thor.artifacts.found import ModelKind
from pytest_thor.artifacts.inventory import Inventory, Listed, take_inventory
from pytest_thor.cell import Cell
from pytest_thor.command import model_tables as tables
from pytest_thor.command.drawing import show_json
from pytest_thor.errors import ArtifactMissing
from pytest_thor.files import atomic_write_text
from pytest_thor.starter import starter_matrix
from pytest_thor.stock import Uses, unused, uses_of

SCHEMA = "pytest-thor/models/1"
_Folder = click.Path(path_type=Path)


@click.command(
    help="List every model under DIR… (else $THOR_MODELS, else /models), reading headers only.\n\n"
    "Exit status: 0 listed, 1 something there cannot be used or a cell's model is missing, 2 a wrong option."
)
@click.argument("roots", nargs=-1, type=_Folder, metavar="[DIR…]")
@click.option("--matrix", "matrices", multiple=True, type=_Folder, help="say which cells use each model; repeatable")
@click.option("--format", "format_", type=click.Choice(["gguf", "hf"]), help="only models of this format")
@click.option("--kind", type=click.Choice(get_args(ModelKind)), help="only models of this kind")
@click.option("--quant", metavar="PATTERN", help="only quants such as 'Q4_*'")
@click.option("--architecture", metavar="PATTERN", help="only families or known shapes such as 'qwen3*'")
@click.option("--unused", "only_unused", is_flag=True, help="only models that no cell of --matrix uses")
@click.option("--write-matrix", type=_Folder, metavar="PATH", help="write a matrix of the models found; - prints it")
@click.option("--catalogue", is_flag=True, help="print every known quant; with --shape, how large it makes that model")
@click.option("--fit", is_flag=True, help="say which quant to run here")
@click.option("--for", "purpose", type=click.Choice(["quality", "speed"]), default="quality", show_default=True)
@click.option("--shape", type=click.Choice(sorted(ARCHITECTURES)), help="a known shape, for --catalogue and --fit")
@click.option("--context", type=click.IntRange(1), default=4096, show_default=True, help="tokens, for --fit")
@click.option("--report", "reports", multiple=True, type=_Folder, help="measurements of this device, for --fit")
@click.option("--memory", metavar="GIB", type=float, help="the memory there is, for --fit; else this machine's")
@click.option("--json", "as_json", is_flag=True, help=f"print JSON (schema {SCHEMA})")
@click.pass_context
def command(
    context_: click.Context,
    *,
    roots: tuple[Path, ...],
    matrices: tuple[Path, ...],
    format_: str | None,
    kind: str | None,
    quant: str | None,
    architecture: str | None,
    only_unused: bool,
    write_matrix: Path | None,
    catalogue: bool,
    fit: bool,
    purpose: str,
    shape: str | None,
    context: int,
    reports: tuple[Path, ...],
    memory: float | None,
    as_json: bool,
) -> None:
    """List models."""
    if catalogue:
        tables.show_catalogue(shape, as_json=as_json)
        return

    def fits(models: Sequence[Listed], of_shape: str | None) -> None:
        from pytest_thor.command.model_fit import show_fit

        show_fit(
            models,
            shape=of_shape,
            purpose=cast(Purpose, purpose),
            context=context,
            reports=reports,
            gib=memory,
            as_json=as_json,
        )

    if fit and shape is not None:
        fits([], shape)
        return
    folders = _roots(roots)
    inventory = _take(folders)
    uses = uses_of(_cells(matrices), folders)
    wanted = _filtered(
        unused(inventory, uses) if only_unused else inventory,
        lambda each: (
            (format_ is None or each.model.format == format_)
            and (kind is None or each.model.kind == kind)
            and (quant is None or _like(quant, each.model.quant))
            and (architecture is None or _like(architecture, each.model.architecture, each.model.shape))
        ),
    )
    if write_matrix is not None:
        _write(starter_matrix(wanted), write_matrix)
        return
    if fit:
        fits(wanted.models, None)
        return
    if as_json:
        show_json(_document(wanted, uses, folders))
    else:
        tables.show_inventory(wanted, uses, folders, with_cells=bool(matrices))
    context_.exit(1 if wanted.troubles or uses.missing or uses.contested else 0)


def _roots(given: Sequence[Path]) -> tuple[Path, ...]:
    named = given or [Path(each) for each in os.environ.get("THOR_MODELS", "").split(os.pathsep) if each]
    found = tuple(Path(os.path.abspath(each)) for each in named)  # noqa: PTH100 - links stay
    if not found and not Path("/models").is_dir():
        raise ArtifactMissing("there is no /models: name the folders of your models, or set THOR_MODELS")
    return found or (Path("/models"),)


def _cells(matrices: Sequence[Path]) -> list[Cell]:
    if not matrices:
        return []
    from pytest_thor.collection import vocabulary
    from pytest_thor.matrix import expand, load

    known = vocabulary()
    return [cell for matrix in matrices for cell in expand(load(matrix, known))]


def _take(folders: Sequence[Path]) -> Inventory:
    """Look through the folders, telling a terminal how far it is."""
    if not sys.stderr.isatty():
        return take_inventory(folders)
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("looking for models") as status:
        return take_inventory(
            folders,
            on_progress=lambda number, path: status.update(f"reading model {number}: {tables.plain(path.name)}"),
        )


def _like(pattern: str, *names: str | None) -> bool:
    return any(name is not None and fnmatchcase(name.lower(), pattern.lower()) for name in names)


def _filtered(inventory: Inventory, wants: Callable[[Listed], bool]) -> Inventory:
    return Inventory(models=tuple(each for each in inventory.models if wants(each)), troubles=inventory.troubles)


def _write(text: str, target: Path) -> None:
    if str(target) == "-":
        click.echo(text, nl=False)
        return
    if target.exists():
        raise click.UsageError(f"{target} is there already; choose another name, or remove it")
    try:
        atomic_write_text(target, text)
    except OSError as error:
        raise click.UsageError(f"{target}: cannot be written: {error.strerror or error}") from None
    click.echo(f"wrote {target}; run it with: pytest --thor-matrix {target}", err=True)


def _document(inventory: Inventory, uses: Uses, folders: Sequence[Path]) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "roots": [str(folder) for folder in folders],
        "models": [
            {
                **asdict(each.model),
                "path": str(each.model.path),
                "root": str(each.root),
                "location": each.location,
                "cells": list(uses.of(each.model.path)),
            }
            for each in inventory.models
        ],
        "troubles": [{"path": str(each.path), "sentence": each.sentence} for each in inventory.troubles],
        "missing": dict(uses.missing),
        "contested": list(uses.contested),
    }
