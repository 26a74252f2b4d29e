"""What a whole run would have: how many shards, and which cells, so that what is missing is noticed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_thor.errors import ReportError
from pytest_thor.report.document import CellRecord
from pytest_thor.units import counted

_NAMED = 10
_DIGITS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """``shards`` by number, and by name where the jobs are known; ``cells`` by number, and by matrix and id."""

    shards: int | None = None
    names: tuple[str, ...] = ()
    cells: int | None = None
    ids: tuple[tuple[str, str], ...] = ()

    def missing(self, names: Sequence[str], records: Sequence[CellRecord]) -> list[str]:
        """Return a sentence for each thing that is missing; ``names`` are those of the shards that are there."""
        told = []
        if self.shards is not None and len(names) < self.shards:
            absent = [name for name in self.names if not any(_is_of(shard, name) for shard in names)]
            which = f": no report of {_some(absent)}" if 0 < len(absent) <= self.shards - len(names) else ""
            told.append(f"{self.shards - len(names)} of {counted(self.shards, 'shard')} left no report{which}")
        there = {(record.matrix, record.id) for record in records}
        gone = [cell for matrix, cell in self.ids if (matrix, cell) not in there]
        if gone:
            told.append(f"{len(gone)} of {counted(len(self.ids), 'cell')} are in no report: {_some(gone)}")
        elif self.cells is not None and len(there) < self.cells:
            told.append(f"{self.cells - len(there)} of {counted(self.cells, 'cell')} are in no report")
        return told


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
            return _of_json(Path(text).read_text(encoding="utf-8"), source=text)
        except (OSError, ValueError) as error:  # ValueError: no text, or no path
            raise ReportError(
                f"--expect {text}: cannot read it: {error}; expected a number of shards, or what "
                "pytest --thor-list=github prints, as text or as a file"
            ) from error
    return _of_json(text, source="--expect")


def _of_json(text: str, *, source: str) -> Expected:
    try:
        data = json.loads(text)
        if isinstance(data, dict):
            jobs = data["include"]
            return Expected(
                shards=len(jobs),
                names=tuple(str(job["name"]) for job in jobs),
                cells=sum(int(job["cells"]) for job in jobs),
            )
        return Expected(ids=tuple((str(cell["matrix"]), str(cell["id"])) for cell in data))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise ReportError(
            f"{source}: not what pytest --thor-list=github or --thor-list=json prints: {type(error).__name__}: {error}"
        ) from error


def _is_of(shard: str, job: str) -> bool:
    """Tell whether a report's name is a job's, with or without something before it (``thor-report-1-of-3``)."""
    return shard == job or shard.endswith((f"-{job}", f"_{job}", f".{job}"))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")
