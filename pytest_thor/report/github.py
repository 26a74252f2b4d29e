"""What GitHub Actions shows of a run: annotations at the matrix's lines, and the summary of the job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_thor.errors import ReportError
from pytest_thor.plain_text import cleaned
from pytest_thor.report.document import CellRecord, ReportDocument
from pytest_thor.report.figures import first_paragraph, shown_change
from pytest_thor.report.markdown import LEAST_BYTES, STEP_SUMMARY_BYTES, markdown
from pytest_thor.report.naming import Naming, naming_of
from pytest_thor.report.published_figure import Published
from pytest_thor.report.ranking import judged, word, worst_first
from pytest_thor.units import counted

MOST_PER_KIND = 10
"""Annotations of one kind that GitHub shows of a step; it drops the rest without a word."""
_MESSAGE_CHARS = 4_000
_KINDS = {"failed": "error", "error": "error", "warned": "warning"}


def annotation_lines(document: ReportDocument, *, root: Path) -> list[str]:
    """Return the workflow commands that annotate the worst cells, one line each, at most 10 errors and 10 warnings.

    ``root`` is the checkout (``$GITHUB_WORKSPACE``), which the matrix's path is told relative to. Where there are more
    cells than annotations, the last one counts what is left.
    """
    naming = naming_of(document.cells)
    by_kind: dict[str, list[CellRecord]] = {"error": [], "warning": []}
    for record in worst_first(document.cells):
        kind = _KINDS.get(record.outcome)
        if kind:
            by_kind[kind].append(record)
    return [line for kind, cells in by_kind.items() for line in _commands(kind, cells, root, naming)]


def append_step_summary(document: ReportDocument, path: Path, *, published: Published | None = None) -> bool:
    """Add the report to the file that ``$GITHUB_STEP_SUMMARY`` names, within what it may hold; say whether it fit.

    ``published`` are figures of others, told beside ours.

    Raises:
        ReportError: the file cannot be written.
    """
    try:
        used_bytes = path.stat().st_size if path.exists() else 0
        limit_bytes = STEP_SUMMARY_BYTES - used_bytes - 2
        if limit_bytes < LEAST_BYTES:
            return False
        text = markdown(document, limit_bytes=limit_bytes, published=published)
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(f"\n{text}\n" if used_bytes else f"{text}\n")
    except OSError as error:
        raise ReportError(
            f"{path}: cannot write the job summary: {error.strerror}; GITHUB_STEP_SUMMARY names this file"
        ) from error
    return True


def _commands(kind: str, cells: Sequence[CellRecord], root: Path, naming: Naming) -> Iterator[str]:
    shown = cells if len(cells) <= MOST_PER_KIND else cells[: MOST_PER_KIND - 1]
    for record in shown:
        place = _place(record.location, root)
        message = first_paragraph(record.reason)[0] or word(record)
        yield _command(kind, {**place, "title": _title(record, naming)}, _clipped(message))
    rest = cells[len(shown) :]
    if rest:
        names = ", ".join(map(naming.full, rest))
        title = f"pytest-thor: {counted(len(rest), 'more cell')}"
        yield _command(kind, {"title": title}, _clipped(names))


def _title(record: CellRecord, naming: Naming) -> str:
    metric = next(iter(judged(record).values()), None)
    change = f" {shown_change(metric)}" if metric is not None and metric.change is not None else ""
    return f"{naming.full(record)}: {word(record)}{change}"


def _place(location: str, root: Path) -> dict[str, str]:
    """Return file and line; a matrix outside the checkout has no place in it."""
    path, _, line = location.rpartition(":")
    try:
        file = Path(path).relative_to(root).as_posix() if Path(path).is_absolute() else path
    except ValueError:
        return {}
    if not file or not line.isdecimal():
        return {}
    return {"file": file, "line": line}


def _command(kind: str, properties: dict[str, str], message: str) -> str:
    told = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{kind} {told}::{_data(message)}"


def _data(value: str) -> str:
    """Escape a message as the runner's own toolkit does, so that nothing in it is read as another command."""
    return cleaned(value).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")


def _clipped(message: str) -> str:
    return message if len(message) <= _MESSAGE_CHARS else message[: _MESSAGE_CHARS - 1] + "…"
