"""What can stand on a side of a comparison: a report, a baseline store, or a published reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_thor.baseline.survey import survey
from pytest_thor.believable import hold_published
from pytest_thor.comparison.subject import Subject, of_entry, of_record
from pytest_thor.errors import BaselineError, ReportError
from pytest_thor.published import reference
from pytest_thor.published.records import Reading
from pytest_thor.published_report import report_of
from pytest_thor.report import reading
from pytest_thor.report.document import ReportDocument

_PEEKED = 256
_SIZES = ("model_bytes", "file_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A side by its name: its subjects, and in a few words what it is."""

    name: str
    about: str
    subjects: tuple[Subject, ...]


def read_sources(arguments: Sequence[str]) -> tuple[Source, ...]:
    """Read what the arguments name, each a path, or ``NAME=PATH`` to give it a name of one's own.

    A path is a report.json or its folder, a baseline store, or a published reference. Without a name it is the file's,
    or that of the folder of a report.json; where two would be the same, the path.

    Raises:
        ReportError: there is nothing, or no report there.
        BaselineError: a file of a store cannot be used.
        PublishedError: a published reference is none.
    """
    named = [_split(argument) for argument in arguments]
    names = _unique([name or _short(path) for name, path in named], [path for _, path in named])
    return tuple(read_source(path, name=name) for name, (_, path) in zip(names, named, strict=True))


def short_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for each report: its folder's or its file's; where two would be the same, its path."""
    return _unique([_short(path) for path in paths], paths)


def _unique(short: Sequence[str], paths: Sequence[Path]) -> list[str]:
    names = [name if short.count(name) == 1 else str(path) for name, path in zip(short, paths, strict=True)]
    return [
        name if names.count(name) == 1 else f"{name} ({names[: index + 1].count(name)})"
        for index, name in enumerate(names)
    ]


def read_source(path: Path, *, name: str) -> Source:
    """Read one side.

    Raises:
        ThorError: as :func:`read_sources`.
    """
    if path.is_dir() and not (path / "report.json").is_file():
        if not any(path.glob("*/*/*.json")):
            raise ReportError(f"{path}: neither a report.json nor a baseline store is in it")
        return Source(name=name, about=f"baseline store {path}", subjects=tuple(_stored(path, name)))
    if path.is_file() and _is_published(path):
        return of_reading(reference.load(path), name=name)
    return of_report(reading.read(path), name=name)


def of_report(document: ReportDocument, *, name: str) -> Source:
    """Return a report as a side."""
    environment = document.environment
    engines = [" ".join(filter(None, (build.name, build.version))) for build in environment.engines[:3]]
    about = [environment.device, environment.power_mode, *engines, document.started_at[:10]]
    return Source(
        name=name,
        about=", ".join(filter(None, about)),
        subjects=tuple(of_record(record, source=name) for record in document.cells),
    )


def of_reading(read: Reading, *, name: str) -> Source:
    """Return a published reference as a side."""
    sizes = {
        f"{result.source}:{result.line}": int(result.metrics[size].value)
        for result in read.results
        for size in _SIZES
        if size in result.metrics
    }
    document = report_of((result, hold_published(result)) for result in read.results)
    subjects = (of_record(record, source=name, size_bytes=sizes.get(record.location)) for record in document.cells)
    about = ["published", read.source.title or read.source.name, read.source.date]
    return Source(name=name, about=", ".join(filter(None, about)), subjects=tuple(subjects))


def _stored(root: Path, name: str) -> Iterator[Subject]:
    for found in survey(root):
        if found.problem:
            raise BaselineError(found.problem)
        if found.entry is not None:
            yield of_entry(found.entry, source=name)


def _is_published(path: Path) -> bool:
    try:
        with path.open("rb") as opened:
            return b'"pytest-thor/published/' in opened.read(_PEEKED)
    except OSError as error:
        raise ReportError(f"{path}: cannot read it: {error.strerror}") from error


def _split(argument: str) -> tuple[str, Path]:
    name, equals, path = argument.partition("=")
    if equals and name and path and "/" not in name and not Path(argument).exists():
        return name, Path(path)
    return "", Path(argument)


def _short(path: Path) -> str:
    if path.is_file() and path.name != "report.json":
        return path.stem
    whole = path.resolve()
    return (whole.parent if whole.name == "report.json" else whole).name or str(path)
