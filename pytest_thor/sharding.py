"""Cells dealt out to jobs that run side by side: by model, or evenly by how long they will probably take."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TypeAlias

from pytest_thor.cell import Cell
from pytest_thor.expectation import Expected, expected, seconds_of

MOST_JOBS = 256
"""Jobs that GitHub Actions makes of one matrix at most."""

_SELECTED_BY = (("matrix",), ("matrix", "model"), ("matrix", "model", "quant", "backend"))
"""From coarse to fine: the words by which a job names cells of which it has all that bear them."""
_NAMED_BY = ("matrix", "model", "quant", "backend", "workload")
_Words: TypeAlias = "tuple[tuple[str, str], ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The cells of one job; ``expected_s`` is None where nothing is stored of any cell."""

    name: str
    cells: tuple[Cell, ...]
    expected_s: float | None


def deal(
    cells: Sequence[Cell], roots: Mapping[str, Path], *, launches: tuple[int, int], shards: int | None
) -> list[Job]:
    """Return jobs that have every cell once: one per model, or ``shards`` of about equal length.

    Cells that share an engine start stay together, so that there may be fewer jobs than asked for. They are dealt out
    longest first, each to the job that has least so far: by expected seconds, or by cells where nothing is stored.
    More models than a matrix may have jobs are dealt out evenly too.
    """
    _, known = expected(cells, roots, launches=launches)
    if shards is None:
        models: dict[tuple[str, str], list[Cell]] = {}
        for cell in cells:
            models.setdefault((cell.matrix, cell.model.name), []).append(cell)
        if len(models) <= MOST_JOBS:
            several = len({matrix for matrix, _ in models}) > 1
            # '~' stands in no name, so that two pairs never make one; a file's name may hold it.
            names = [f"{matrix}~{model}" if several else model for matrix, model in models]
            return [
                Job(name=name, cells=tuple(own), expected_s=_seconds(own, known))
                for name, own in zip(names, models.values(), strict=True)
            ]
    return _balanced(cells, known, min(shards or MOST_JOBS, MOST_JOBS))


def github_matrix(jobs: Sequence[Job], cells: Sequence[Cell]) -> str:
    """Return the jobs as one line of JSON for ``fromJSON``; ``cells`` are all cells of the matrices.

    ``args`` holds neither blanks within an argument nor anything that a shell expands, and no quotes that it would
    have to take away: an unquoted ``$ARGS`` is the arguments. ``argv`` is the same as a list.
    """
    everything = _holders(cells)
    include = []
    for job in jobs:
        argv = ["-m", _expression(job.cells, everything)]
        seconds = None if job.expected_s is None else ceil(job.expected_s)
        include.append(
            {"name": job.name, "args": " ".join(argv), "argv": argv, "cells": len(job.cells), "expected_s": seconds}
        )
    return json.dumps({"include": include})


def _balanced(cells: Sequence[Cell], known: Mapping[Cell, Expected], shards: int) -> list[Job]:
    """Deal out engine starts, the longest first, each to the job that has least."""
    groups = list(_groups(cells))
    lengths = {id(group): seconds_of(group, known) or float(len(group)) for group in groups}
    loads = [0.0] * min(shards, len(groups))
    hands: list[list[Cell]] = [[] for _ in loads]
    for group in sorted(groups, key=lambda group: -lengths[id(group)]):
        least = min(range(len(loads)), key=loads.__getitem__)
        loads[least] += lengths[id(group)]
        hands[least].extend(group)
    order = {cell: place for place, cell in enumerate(cells)}
    return [
        Job(
            name=f"{number}-of-{len(hands)}",
            cells=tuple(sorted(hand, key=order.__getitem__)),
            expected_s=_seconds(hand, known),
        )
        for number, hand in enumerate(hands, 1)
    ]


def _groups(cells: Iterable[Cell]) -> Iterable[list[Cell]]:
    groups: dict[tuple[str, str, str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.group, []).append(cell)
    return groups.values()


def _seconds(cells: Iterable[Cell], known: Mapping[Cell, Expected]) -> float | None:
    parts = [seconds_of(group, known) for group in _groups(cells)]
    return None if None in parts else sum(part for part in parts if part is not None)


def _holders(cells: Iterable[Cell]) -> Mapping[_Words, frozenset[Cell]]:
    """Return, for each choice of words that a job may be told by, the cells that bear them."""
    found: dict[_Words, set[Cell]] = {}
    for cell in cells:
        for names in _SELECTED_BY:
            found.setdefault(_words(cell, names), set()).add(cell)
    return {words: frozenset(bearers) for words, bearers in found.items()}


def _expression(cells: Sequence[Cell], everything: Mapping[_Words, frozenset[Cell]]) -> str:
    """Return what ``-m`` takes to select these cells and no other, as coarse as it may be."""
    own = frozenset(cells)
    chosen = dict.fromkeys(_coarsest(cell, own, everything) for cell in cells)
    several = len({words for words in everything if len(words) == 1}) > 1
    first, *others = [_told(words, several=several) for words in chosen]
    return "".join([first, *(f"or({other})" for other in others)])


def _coarsest(cell: Cell, own: frozenset[Cell], everything: Mapping[_Words, frozenset[Cell]]) -> _Words:
    for names in _SELECTED_BY:
        words = _words(cell, names)
        if everything[words] <= own:
            return words
    return _words(cell, _NAMED_BY)


def _words(cell: Cell, names: Iterable[str]) -> _Words:
    return tuple((name, cell.fields[name]) for name in names)


def _told(words: _Words, *, several: bool) -> str:
    """Return the mark that bears these words; a lone matrix needs no name beside others."""
    shown = [word for word in words if several or len(words) == 1 or word[0] != "matrix"]
    return f"thor_cell({','.join(f'{name}={value!r}' for name, value in shown)})"
