"""The quant that another is held against: found or obtained as any, and known by its whole content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pytest_thor.artifacts.kept import content_sha256
from pytest_thor.artifacts.vocabulary import ordinary_ids
from pytest_thor.cell import Cell
from pytest_thor.engines.reference_model import ReferenceModel
from pytest_thor.errors import ArtifactError
from pytest_thor.fitting import fit_of
from pytest_thor.host.device import Device


def cell_of_reference(cell: Cell) -> Cell:
    """Return a cell that would measure the reference of another.

    Raises:
        ValueError: the cell has no reference.
    """
    if cell.reference is None:
        raise ValueError(f"{cell.id} is held against no other quant")
    return replace(cell, quant=str(cell.workload["reference"]), artifact=cell.reference, reference=None)


def reference_model(
    cell: Cell, path: Path, *, device: Device, kept: Path, tell: Callable[[str], None]
) -> ReferenceModel:
    """Return what is known of the reference at ``path``, that ``cell`` would measure; its hash is kept in ``kept``.

    Raises:
        ArtifactError: the files are not sound, or nothing can be kept.
    """
    try:
        kept.mkdir(parents=True, exist_ok=True)
        sha256 = content_sha256(path, kept, tell)
    except OSError as error:
        raise ArtifactError(
            f"{kept}: what is known of a reference quant cannot be kept there: {error.strerror or error}; choose "
            "another cache with THOR_CACHE"
        ) from error
    fit = fit_of(cell, path, device)
    size, _ = ordinary_ids(path)
    too_large = None if fit is None or fit.fits else fit.sentence
    return ReferenceModel(path=path, sha256=sha256, vocabulary=size or None, too_large=too_large)
