"""A matrix that has been read and checked: what it declares, with the places where it does."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

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
    """A backend, with what its engine takes and measures."""

    backend: Backend
    formats: frozenset[ArtifactFormat]
    kinds: frozenset[Kind]
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredWorkload:
    """A workload."""

    workload: Workload
    position: Position


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


def matches(patterns: tuple[str, ...], name: str) -> bool:
    """Tell whether a name is meant by patterns; none mean every name."""
    return not patterns or name in patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
