"""What is known of a cell's model beside its name: its shape, how many weights it has, and how wide they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pytest_thor.artifacts.architectures import ARCHITECTURES, Architecture
from pytest_thor.artifacts.hf_config import read_config
from pytest_thor.artifacts.hf_shape import shape_of_config
from pytest_thor.artifacts.quants import expected_size, known_quant
from pytest_thor.cell import Cell
from pytest_thor.report.document import ArtifactRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A known shape by name, the number of weights, and the bits that each takes on average; None is "not known"."""

    architecture: str | None
    count: int | None
    bits: float | None


def weights_of(cell: Cell, artifact: ArtifactRecord | None = None) -> Weights:
    """Return what the files say, and where they do not what the matrix says and the catalogue knows of it.

    A shape that the matrix does not name is known by its number of weights, to the last of them.

    Raises:
        ArtifactError: ``artifact`` is an HF directory whose configuration is not sound.
    """
    declared = cell.model.architecture
    count = bits = None
    if artifact is not None:
        count = artifact.parameters or _count_of_directory(Path(artifact.path))
        if artifact.parameters and artifact.tensor_bytes:
            bits = 8 * artifact.tensor_bytes / artifact.parameters
    architecture = declared or (None if count is None else _shape_of_count(count))
    shape = None if architecture is None else ARCHITECTURES.get(architecture)
    return Weights(
        architecture=architecture,
        count=count or (shape.parameters if shape is not None else None),
        bits=bits or usual_bits(cell.quant, architecture),
    )


def has_so_many(shape: Architecture, count: float, *, within: float) -> bool:
    """Tell whether a model of this shape may have so many weights, give or take a share of them.

    Some files hold the table that is both input and output twice, which costs memory and changes no speed.
    """
    return any(abs(count - each) <= within * each for each in _counts(shape.name))


@cache
def _counts(architecture: str) -> tuple[int, ...]:
    shape = ARCHITECTURES[architecture]
    twice = (shape.parameters + shape.width * shape.vocabulary,) if shape.tied_embeddings else ()
    return (shape.parameters, *twice)


@cache
def _shape_of_count(count: int) -> str | None:
    found = [name for name in ARCHITECTURES if count in _counts(name)]
    return found[0] if len(found) == 1 else None


def _count_of_directory(path: Path) -> int | None:
    if not path.is_dir():
        return None
    found = shape_of_config(read_config(path), name=path.name)
    return None if found is None else found[0].parameters


@cache
def usual_bits(name: str, architecture: str | None = None) -> float | None:
    """Return the bits per weight that a quant has as a rule, in a known shape on average over all of its tensors.

    None stands for a quant that the catalogue does not know.
    """
    quant = known_quant(name)
    if quant is None:
        return None
    shape = None if architecture is None else ARCHITECTURES.get(architecture)
    return quant.bits if shape is None else expected_size(shape, quant).bits_per_weight
