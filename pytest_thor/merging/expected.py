"""What a whole run would have: how many shards, and which cells, so that what is missing is noticed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_thor import foreign_json
from pytest_thor.errors import ReportError
from pytest_thor.report.document import CellRecord
from pytest_thor.units import counted

_NAMED = 10
_DIGITS = 10
_LARGEST_BYTES = 64 << 20
_LITERAL = re.compile(r"'[^'\\]*'|\"[^\"\\]*\"")
_BARE = re.compile(r"(?:thor_cell\(|[a-z]+=''|or\b|[\s(),])*")
_CALLED_AGAIN = re.compile(r"\)\s*\(")
_SELECTED_BY = frozenset({"matrix", "model", "quant", "backend", "workload"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedJob:
    """One job of a plan: how many cells it has, and the words that a cell of it bears: all of one alternative."""

    name: str
    cells: int
    words: tuple[Mapping[str, str], ...]

    def has(self, record: CellRecord) -> bool:
        """Tell whether a cell is this job's."""
        return any(all(getattr(record, name) == value for name, value in each.items()) for each in self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """``shards`` by number, ``jobs`` where they are known; or ``ids``, the cells by matrix and id."""

    shards: int | None = None
    jobs: tuple[ExpectedJob, ...] = ()
    ids: tuple[tuple[str, str], ...] = ()

    def missing(self, names: Sequence[str], records: Sequence[CellRecord]) -> list[str]:
        """Return a sentence for each thing that is missing, or is there and is of another run.

        ``names`` are those of the shards that are there.
        """
        told = []
        if self.shards is not None and len(names) < self.shards:
            absent = [job.name for job in self.jobs if not any(_is_of(shard, job.name) for shard in names)]
            which = f": no report of {_some(absent)}" if 0 < len(absent) <= self.shards - len(names) else ""
            told.append(f"{self.shards - len(names)} of {counted(self.shards, 'shard')} left no report{which}")
        return [*told, *self._of_cells(records)]

    def _of_cells(self, records: Sequence[CellRecord]) -> Iterator[str]:
        there = {(record.matrix, record.id): record for record in records}
        gone = [cell for matrix, cell in self.ids if (matrix, cell) not in there]
        if gone:
            yield f"{len(gone)} of {counted(len(self.ids), 'cell')} are in no report: {_some(gone)}"
        found = [(job, sum(job.has(record) for record in there.values())) for job in self.jobs]
        short = [(job.name, job.cells - number) for job, number in found if number < job.cells]
        if short:
            total = counted(sum(job.cells for job in self.jobs), "cell")
            which = _some([f"{number} of {name}" for name, number in short])
            yield f"{sum(number for _, number in short)} of {total} are in no report: {which}"
        if self.jobs:
            strange = [record.id for record in there.values() if not any(job.has(record) for job in self.jobs)]
        else:
            strange = [record.id for place, record in there.items() if self.ids and place not in self.ids]
        if strange:
            yield f"the reports have {counted(len(strange), 'cell')} of another run: {_some(strange)}"


def parse_expected(text: str) -> Expected:
    """Return what ``--expect`` means: a number of shards, the JSON of ``--thor-list=github`` or ``=json``, or a file.

    Raises:
        ReportError: it is none of these.
    """
    text = text.strip()
    if text.isdecimal() and len(text) < _DIGITS:
        return Expected(shards=int(text))
    if not text.startswith(("{", "[")):
        try:
            return _of_json(_content(Path(text)), source=text)
        except (OSError, ValueError) as error:  # ValueError: no text, or no path
            raise ReportError(
                f"--expect {text}: cannot read it: {error}; expected a number of shards, or what "
                "pytest --thor-list=github prints, as text or as a file"
            ) from error
    return _of_json(text, source="--expect")


def _content(path: Path) -> bytes:
    """Return what a file holds, or a pipe, as a shell makes of ``<(…)``.

    Raises:
        ValueError: more than a list of cells can be long.
    """
    with path.open("rb") as file:
        content = file.read(_LARGEST_BYTES + 1)
    if len(content) > _LARGEST_BYTES:
        raise ValueError(f"larger than {_LARGEST_BYTES >> 20} MiB")
    return content


def _of_json(text: str | bytes, *, source: str) -> Expected:
    try:
        data = foreign_json.parse(text)
        if isinstance(data, dict):
            jobs = tuple(_job(job) for job in data["include"])
            return Expected(shards=len(jobs), jobs=jobs)
        return Expected(ids=tuple((str(cell["matrix"]), str(cell["id"])) for cell in data))
    except (ValueError, TypeError, KeyError, SyntaxError, OverflowError, RecursionError, MemoryError) as error:
        raise ReportError(
            f"{source}: not what pytest --thor-list=github or --thor-list=json prints: {type(error).__name__}: {error}"
        ) from error


def _job(entry: Mapping[str, Any]) -> ExpectedJob:
    option, expression = entry["argv"]
    if option != "-m":
        raise ValueError(f"a job's argv begins with {option!r}")
    return ExpectedJob(name=str(entry["name"]), cells=int(entry["cells"]), words=tuple(_words(str(expression))))


def _words(expression: str) -> Iterator[Mapping[str, str]]:
    """Yield the words of each ``thor_cell(…)`` of an expression that joins them by ``or``.

    Anything else is not even parsed: ``a(1)(1)(1)…`` of a megabyte ends Python 3.10 with a fault of memory.
    """
    bare = _LITERAL.sub("''", expression)
    if not _BARE.fullmatch(bare) or _CALLED_AGAIN.search(bare):
        raise ValueError(f"{expression[:80]!r} selects no cells by their words")
    body = ast.parse(expression, mode="eval").body
    for term in body.values if isinstance(body, ast.BoolOp) and isinstance(body.op, ast.Or) else [body]:
        words = {}
        for word in term.keywords if isinstance(term, ast.Call) and not term.args else ():
            if word.arg in _SELECTED_BY and isinstance(word.value, ast.Constant):
                words[word.arg] = str(word.value.value)
        if not isinstance(term, ast.Call) or len(words) != len(term.keywords) or not words:
            raise ValueError(f"{ast.unparse(term)[:80]} selects no cells by their words")
        yield words


def _is_of(shard: str, job: str) -> bool:
    """Tell whether a report's name is a job's, with or without something before it (``thor-report-1-of-3``)."""
    return shard == job or shard.endswith((f"-{job}", f"_{job}", f".{job}"))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")
