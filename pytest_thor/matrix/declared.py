"""A matrix that has been read and checked: what it declares, with the places where it does."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

from pytest_thor.cell import ArtifactFormat, ArtifactReference, Backend, Kind, Model, Workload


class Position(NamedTuple):
    """A place in the file, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredQuant:
    """One quant of a model, with the files that it stands for."""

    name: str
    artifact: ArtifactReference
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredModel:
    """A model and its quants; all of them have one format."""

    model: Model
    format: ArtifactFormat
    quants: tuple[DeclaredQuant, ...]
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredBackend:
    """A backend, with what its engine takes and measures, and the form in which it takes a synthetic model."""

    backend: Backend
    formats: frozenset[ArtifactFormat]
    kinds: frozenset[Kind]
    synthetic: Literal["gguf", "hf"] = "gguf"
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredWorkload:
    """A workload; ``sweep`` is the name under which the file declares it, where it is a point of a sweep.

    ``longest_tokens`` are those of its longest request, in and out; None where it is not known.
    """

    workload: Workload
    position: Position
    sweep: str | None = None
    longest_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Some cells of a matrix, by patterns of names; no pattern for a word means all of it."""

    model: tuple[str, ...] = ()
    quant: tuple[str, ...] = ()
    backend: tuple[str, ...] = ()
    workload: tuple[str, ...] = ()
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """Thresholds for some cells only."""

    match: Selection
    thresholds: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """A matrix file: valid in itself, not yet expanded. ``sha256`` is that of the file's bytes."""

    name: str
    path: str
    sha256: str
    models: tuple[DeclaredModel, ...]
    backends: tuple[DeclaredBackend, ...]
    workloads: tuple[DeclaredWorkload, ...]
    thresholds: tuple[tuple[str, float], ...]
    exclude: tuple[Selection, ...]
    overrides: tuple[Override, ...]
    canary: Selection | None = None


def matches(patterns: tuple[str, ...], name: str) -> bool:
    """Tell whether a name is meant by patterns; none mean every name."""
    return not patterns or name in patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def selects(selection: Selection, workload: DeclaredWorkload) -> bool:
    """Tell whether a workload is one of those that a selection names, itself or as a point of a sweep."""
    return matches(selection.workload, workload.workload.name) or (
        workload.sweep is not None and matches(selection.workload, workload.sweep)
    )
