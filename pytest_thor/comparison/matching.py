"""Which cell stands beside which: rows of subjects that differ in one word, and what found no partner."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from pytest_thor.believable import architecture_named
from pytest_thor.comparison.subject import Subject

By: TypeAlias = Literal["report", "build", "device", "quant", "engine", "backend", "model"]
"""The word in which the sides of a comparison differ."""

_ASKED: Mapping[str, tuple[str, ...]] = {
    "prefill": ("n_prompt", "n_depth"),
    "decode": ("n_gen", "n_depth"),
    "serving": ("input_len", "output_len", "max_concurrency", "num_prompts"),
}
_WORDS = ("model", "quant", "backend", "engine", "workload", "kind", "device")
# What changes along with the word compared, and what a name of its own stands for already.
_NOT_IN_KEY: Mapping[By, frozenset[str]] = {
    "report": frozenset({"engine", "device"}),
    "build": frozenset({"engine"}),
    "device": frozenset({"engine", "device"}),
    "quant": frozenset({"quant"}),
    "engine": frozenset({"engine", "backend"}),
    "backend": frozenset({"engine", "backend"}),
    "model": frozenset({"model"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Subjects that differ in the word compared, by its value; ``words`` are what they share, in order."""

    words: tuple[str, ...]
    title: str
    subjects: Mapping[str, Subject]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A subject that stands in no comparison, and why, as the rest of a sentence."""

    column: str
    subject: Subject
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """The columns in the order in which they came, the rows, and what was left out."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    left_out: tuple[LeftOut, ...]


def match(subjects: Sequence[Subject], by: By, *, columns: Iterable[str] = ()) -> Matched:
    """Put subjects into rows; ``columns`` come first, whether or not there is anything in them.

    What has the same words stands in one row. Matrices of other names, and devices where a report holds several, are
    told apart only as far as needed. A published cell stands beside every row of the same model, quant and kind with
    whose workload all agrees that it states; where several of one column fit a row, none does.
    """

    def column_of(subject: Subject) -> str:
        return str(subject.source if by == "report" else getattr(subject, by))

    left_out: list[LeftOut] = []
    usable = []
    for subject in subjects:
        if subject.problem is None:
            usable.append(subject)
        else:
            left_out.append(LeftOut(column=column_of(subject), subject=subject, why=subject.problem))
    named = tuple(dict.fromkeys([*columns, *map(column_of, usable)]))
    groups, twice, alone = _grouped(usable, by, column_of)
    devices, sources = ({getattr(each, word) for each in usable} for word in ("device", "source"))
    also = [word for word, several in (("device", devices), ("source", sources)) if len(several) > 1]
    rows = [_row(group, by, also=also) for group in groups]
    if by == "report":
        rows, alone = _with_published(rows, alone, column_of)
    left_out += [LeftOut(column=column_of(each), subject=each, why="is there more than once") for each in twice]
    left_out += [LeftOut(column=column_of(each), subject=each, why="has no counterpart") for each in alone]
    return Matched(columns=named, rows=tuple(rows), left_out=tuple(left_out))


def widest_quant(matched: Matched) -> str | None:
    """Return the quant of the most bits per weight among those in the most rows; None where not all of these tell."""
    rows = {quant: [row.subjects[quant] for row in matched.rows if quant in row.subjects] for quant in matched.columns}
    most = max(map(len, rows.values()), default=0)
    bits: dict[str, float] = {}
    for quant, subjects in rows.items():
        known = [subject.bits_per_weight for subject in subjects if subject.bits_per_weight is not None]
        if not subjects or len(subjects) < most:
            continue
        if len(known) < len(subjects):
            return None
        bits[quant] = sum(known) / len(known)
    return max(bits, key=lambda quant: bits[quant], default=None)


def _grouped(
    subjects: Sequence[Subject], by: By, column_of: Callable[[Subject], str]
) -> tuple[list[dict[str, Subject]], list[Subject], list[Subject]]:
    """Group by ever fewer words what found no partner yet; return groups, what is there twice, and what is alone."""
    groups: list[dict[str, Subject]] = []
    twice: list[Subject] = []
    waiting = list(subjects)
    for key in _keys(by, subjects, column_of):
        found: dict[Hashable, list[Subject]] = {}
        for subject in waiting:
            found.setdefault(key(subject), []).append(subject)
        waiting = []
        for together in found.values():
            by_column: dict[str, list[Subject]] = {}
            for subject in together:
                by_column.setdefault(column_of(subject), []).append(subject)
            if len(by_column) == 1:
                waiting += together
                continue
            twice += [subject for several in by_column.values() if len(several) > 1 for subject in several]
            single = {column: several[0] for column, several in by_column.items() if len(several) == 1}
            if len(single) > 1:
                groups.append(single)
            else:
                waiting += single.values()
    return groups, twice, waiting


def _keys(
    by: By, subjects: Sequence[Subject], column_of: Callable[[Subject], str]
) -> list[Callable[[Subject], Hashable]]:
    """Return the keys to group by, the strictest first; none of them puts two of one column together needlessly."""
    names = [name for name in _WORDS if name not in _NOT_IN_KEY[by]]

    def loose(subject: Subject) -> tuple[str, ...]:
        # Published cells have no backend of a matrix, whose name would stand for their settings.
        settings = json.dumps(subject.settings, sort_keys=True, default=str) if subject.published else ""
        return (*(getattr(subject, name) for name in names), settings if by != "report" else "")

    def strict(subject: Subject) -> tuple[str, ...]:
        return (*loose(subject), subject.matrix)

    def with_device(subject: Subject) -> tuple[str, ...]:
        return (*strict(subject), subject.device)

    def with_source(subject: Subject) -> tuple[str, ...]:
        return (*strict(subject), subject.source)

    places = {(column_of(each), strict(each)) for each in subjects}
    if len(places) == len(subjects):
        return [strict, loose]
    return [with_device, strict, loose] if by == "report" else [with_source, strict, loose]


def _with_published(
    rows: Sequence[Row], alone: Sequence[Subject], column_of: Callable[[Subject], str]
) -> tuple[list[Row], list[Subject]]:
    """Put published cells into the rows that they fit, and beside measured cells that stand alone."""
    published: dict[tuple[str, ...], list[Subject]] = {}
    for subject in alone:
        if subject.published:
            published.setdefault(_alike(subject), []).append(subject)
    if not published:
        return list(rows), list(alone)
    lonely = [subject for subject in alone if not subject.published]
    held: set[int] = set()
    found = []
    for row in [*rows, *(_row({column_of(each): each}, "report") for each in lonely)]:
        first = next(iter(row.subjects.values()))
        fitting: dict[str, list[Subject]] = {}
        for subject in published.get(_alike(first), ()):
            if _agrees(subject, first) and column_of(subject) not in row.subjects:
                fitting.setdefault(column_of(subject), []).append(subject)
        more = {column: chosen for column, several in fitting.items() if (chosen := _only(several, first)) is not None}
        held |= {id(subject) for subject in more.values()}
        if len(row.subjects) + len(more) > 1:
            held |= {id(subject) for subject in row.subjects.values()}
            found.append(replace(row, subjects={**row.subjects, **more}))
    return found, [subject for subject in alone if id(subject) not in held]


def _only(several: Sequence[Subject], beside: Subject) -> Subject | None:
    """Return the one published cell that is meant, None where that is not clear."""
    same_device = [subject for subject in several if subject.device == beside.device]
    for chosen in (several, same_device):
        if len(chosen) == 1:
            return chosen[0]
    return None


def _alike(subject: Subject) -> tuple[str, ...]:
    """Return what a published cell shares with ours: a model of a known shape goes by that, whatever it is called."""
    model = subject.architecture or architecture_named(subject.model) or _plain(subject.model)
    return subject.kind, model, _plain(subject.quant)


def _agrees(published: Subject, subject: Subject) -> bool:
    """Tell whether all that a published cell states of its workload is so; one that states nothing fits nothing."""
    asked = [name for name in _ASKED[published.kind] if published.parameters.get(name) is not None]
    return any(published.parameters[name] for name in asked) and all(
        published.parameters[name] == (subject.parameters.get(name) or (0 if name == "n_depth" else None))
        for name in asked
    )


def _row(subjects: Mapping[str, Subject], by: By, *, also: Sequence[str] = ()) -> Row:
    """Return a row; ``also`` are further words that tell rows apart, where a row's subjects share them."""
    several = list(subjects.values())
    first = several[0]
    more = [word for word in also if word != by and len({getattr(each, word) for each in several}) == 1]
    names = [name for name in ("model", "quant", "backend") if name not in _NOT_IN_KEY[by]]
    words = tuple(getattr(first, name) for name in (*names, *more, "workload"))
    title = " · ".join([first.id, *(getattr(first, word) for word in more)]) if by == "report" else " · ".join(words)
    return Row(words=words, title=title, subjects=subjects)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())
