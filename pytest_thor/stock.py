"""What is under the model roots, and which cells of some matrices would use it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_thor.artifacts.discover import claimants
from pytest_thor.artifacts.inventory import Inventory
from pytest_thor.cell import ArtifactReference, Cell
from pytest_thor.errors import ArtifactError


@dataclass(frozen=True, slots=True, kw_only=True)
class Uses:
    """Which cells use which models.

    ``cells`` are ids by a model's path; ``missing`` are ids with the sentence why their model cannot be used;
    ``contested`` are sentences about cells that more than one model claims.
    """

    cells: Mapping[Path, tuple[str, ...]]
    missing: Mapping[str, str]
    contested: tuple[str, ...]

    def of(self, path: Path) -> tuple[str, ...]:
        """Return the cells of the model at a path, by whatever links it is reached."""
        return self.cells.get(_real(path), ())


def uses_of(cells: Iterable[Cell], roots: Sequence[Path]) -> Uses:
    """Find out which models the cells of some matrices would use, without reading any."""
    found: dict[Path, list[str]] = defaultdict(list)
    missing: dict[str, str] = {}
    contested: dict[str, None] = {}
    by_reference: dict[ArtifactReference, list[Cell]] = defaultdict(list)
    for cell in cells:
        for used in (cell.artifact, cell.reference):  # the quant that it is held against, too
            if used is not None and used.format != "synthetic":
                by_reference[used].append(cell)
    for reference, users in by_reference.items():
        ids = [cell.id for cell in users]
        try:
            places = claimants(reference, roots)
        except ArtifactError as error:
            missing |= dict.fromkeys(ids, str(error))
            continue
        if not places:
            looked = " or ".join(str(root) for root in roots) or "no root"
            missing |= dict.fromkeys(ids, f"{reference.location} is not below {looked}")
            continue
        found[_real(places[0])] += ids
        if len({_real(place) for place in places}) > 1:
            others = ", ".join(str(place) for place in places[1:])
            contested[f"{reference.location} is there more than once: {places[0]} is used, and not {others}"] = None
    return Uses(cells={path: tuple(ids) for path, ids in found.items()}, missing=missing, contested=tuple(contested))


def unused(inventory: Inventory, uses: Uses) -> Inventory:
    """Return the inventory without the models that some cell uses."""
    models = tuple(each for each in inventory.models if not uses.of(each.model.path))
    return Inventory(models=models, troubles=inventory.troubles)


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path
