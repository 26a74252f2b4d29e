"""The runs of a cell beside its anchor: one line each, in any order, so that git can unite two branches' lines."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from pytest_thor.baseline.place import history_path
from pytest_thor.baseline.store import unwritable
from pytest_thor.baseline.stored_text import check_inside, is_conflict_marker, read_stored, refused
from pytest_thor.baseline.strict_json import fields, items, number, optional_text, parse, table, text_of, version
from pytest_thor.cell import Cell
from pytest_thor.errors import BaselineError
from pytest_thor.files import append_line, atomic_write_text
from pytest_thor.verdict import Verdict

VERSION = 1
"""The version of a line. History: 1, the first."""

FAMILY = "pytest-thor/history/"
SCHEMA = f"{FAMILY}{VERSION}"

KEEP = 200
"""How many runs of a cell are kept: the newest."""
MAX_FILE_BYTES = 16 * 2**20
"""More than so many runs take; a larger file is not read."""
MERGE_RULE = "*.history.jsonl merge=union"
"""What git must know of these files: the lines of both sides belong into the result."""

_FIELDS = {"commit", "conditions", "finished_at", "schema", "tested", "values", "verdict", "version"}
_PATTERN = MERGE_RULE.split(maxsplit=1)[0]
_LOCK_ATTEMPTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """One run of a cell: a value per launch of every metric, latencies by their summaries (``ttft_ms.p99``).

    ``finished_at`` is ISO 8601. ``version`` and ``commit`` are the engine's. ``conditions`` is what
    :func:`pytest_thor.baseline.fingerprint.conditions` returns: runs of equal ones may be compared. ``tested`` is what
    :func:`pytest_thor.baseline.fingerprint.tested` returns: what differs between runs of equal ones is the machine's.
    """

    finished_at: str
    verdict: str | None
    version: str | None
    commit: str | None
    conditions: str
    values: tuple[Mapping[str, float], ...]
    tested: str | None = None


def append(root: Path, device: str, cell: Cell, run: StoredRun, *, keep: int = KEEP) -> Path:
    """Add a run to a cell's history, of which the newest ``keep`` stay, and return its path.

    A run that is there already is not added again. Writers take turns; readers see the file before or after. The
    first history of a store tells git in the store's ``.gitattributes`` to unite the lines of two branches.

    Raises:
        BaselineError: the run is invalid or has no launch, the file cannot be written, or one stands there that
            :func:`load` refuses; that one is left as it is.
        ValueError: ``keep`` is less than 1.
    """
    return append_named(root, device, cell.fields, run, keep=keep)


def append_named(root: Path, device: str, words: Mapping[str, str], run: StoredRun, *, keep: int = KEEP) -> Path:
    """Do what :func:`append` does for a cell of which only the words that name it are known."""
    if keep < 1:
        raise ValueError(f"a history keeps at least one run, not {keep}")
    path = history_path(root, device, words)
    check_inside(root, path)
    line = _checked_line(run, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path):
            stored = _stored_lines(root, path)
            if not stored:
                _tell_git(root)
            text = "".join(f"{kept}\n" for kept in _newest([*stored, (line, run)], keep))
            atomic_write_text(path, text)
    except OSError as error:
        raise unwritable(path, error) from error
    return path


def load(root: Path, device: str, cell: Cell) -> tuple[StoredRun, ...]:
    """Return a cell's stored runs, oldest first, each once; none where no history is.

    A last line that was cut short is passed over.

    Raises:
        BaselineError: a line is corrupt, of a newer version, or the mark of a merge conflict; it is named by number.
    """
    return load_named(root, device, cell.fields)


def load_named(root: Path, device: str, words: Mapping[str, str]) -> tuple[StoredRun, ...]:
    """Do what :func:`load` does for a cell of which only the words that name it are known."""
    path = history_path(root, device, words)
    text = read_stored(root, path, at_most_bytes=MAX_FILE_BYTES, advice=_advice(path))
    return () if text is None else read_runs(text, path)


def read_runs(text: str, path: Path | str) -> tuple[StoredRun, ...]:
    """Return the runs that a history's text holds, as :func:`load` does; ``path`` is how an error names the file."""
    return tuple(run for _, run in sorted(_lines(text, path), key=_moment))


def write_run(run: StoredRun) -> str:
    """Return a run as one line of text, without its end.

    Raises:
        ValueError: a value is no finite number.
    """
    data = {
        "commit": run.commit,
        "conditions": run.conditions,
        "finished_at": run.finished_at,
        "schema": SCHEMA,
        "tested": run.tested,
        "values": [dict(launch) for launch in run.values],
        "verdict": run.verdict,
        "version": run.version,
    }
    return json.dumps(data, sort_keys=True, allow_nan=False)


def read_run(line: str) -> StoredRun:
    """Return the run that a line holds.

    Raises:
        ValueError: it is not whole, of a newer version, or not of this form; the message says where.
    """
    data = parse(line)
    version(data, family=FAMILY, newest=VERSION)
    run = fields(data, _FIELDS, "the run")
    launches = items(run["values"], "values")
    if not launches:
        raise ValueError("holds no launch")
    finished_at = text_of(run["finished_at"], "finished_at")
    _time(finished_at)
    return StoredRun(
        finished_at=finished_at,
        verdict=_verdict(run["verdict"]),
        version=optional_text(run["version"], "version"),
        commit=optional_text(run["commit"], "commit"),
        conditions=text_of(run["conditions"], "conditions"),
        values=tuple(_values(launch, f"values[{index}]") for index, launch in enumerate(launches)),
        tested=optional_text(run["tested"], "tested"),
    )


def _checked_line(run: StoredRun, path: Path) -> str:
    if run.verdict == Verdict.INVALID:
        raise BaselineError(f"{path}: not written, for the run is invalid: its figures cannot be what they claim")
    try:
        line = write_run(run)
        read_run(line)
    except ValueError as error:
        raise BaselineError(f"{path}: not written, for the run {error}") from error
    return line


def _newest(lines: Sequence[tuple[str, StoredRun]], keep: int) -> list[str]:
    """Return the lines of the newest runs, in the order in which they stand: the fewer lines move, the better."""
    unique = dict(lines)
    kept = {line for line, _ in sorted(unique.items(), key=_moment)[-keep:]}
    return [line for line in unique if line in kept]


def _stored_lines(root: Path, path: Path) -> list[tuple[str, StoredRun]]:
    text = read_stored(root, path, at_most_bytes=MAX_FILE_BYTES, advice=_advice(path))
    return list(_lines(text or "", path))


def _lines(text: str, path: Path | str) -> Iterator[tuple[str, StoredRun]]:
    """Yield every run once, with its line."""
    seen = set()
    lines = text.split("\n")
    for position, line in enumerate(map(str.rstrip, lines), 1):
        if not line or line in seen:
            continue
        seen.add(line)
        try:
            run = read_run(line)
        except ValueError as error:
            if position == len(lines) and _cut_short(line):
                return
            raise refused(f"{path}:{position}", _problem(line, error), _advice(path)) from None
        yield line, run


def _cut_short(line: str) -> bool:
    """Tell whether a last line without an end is what a crash left of one, not something else."""
    return line.startswith("{") and not line.endswith("}")


def _problem(line: str, error: ValueError) -> str:
    return "a merge conflict was not resolved here" if is_conflict_marker(line) else str(error)


def _advice(path: Path | str) -> str:
    return (
        f"keep the whole lines of both sides and delete the others, or bring it back with `git checkout -- {path}`;"
        f" git unites such files by itself where .gitattributes says `{MERGE_RULE}`"
    )


def _verdict(value: object) -> str | None:
    verdict = optional_text(value, "verdict")
    if verdict is not None and verdict not in {known.value for known in Verdict}:
        raise ValueError(f"verdict holds {verdict[:40]!r}, which is none of {', '.join(Verdict)}")
    return verdict


def _values(data: object, where: str) -> Mapping[str, float]:
    return {name: number(value, f"{where}.{name}") for name, value in table(data, where).items()}


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith("Z") else text)
    except ValueError:
        raise ValueError(f"finished_at holds {text[:40]!r}, which is no time in ISO 8601") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _moment(stored: tuple[str, StoredRun]) -> tuple[datetime, str]:
    """Order runs by time; those of one moment by their line, so that every reader sees the same order."""
    line, run = stored
    return _time(run.finished_at), line


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock of a file that every writer replaces: until it is the lock of the file that stands there."""
    for _ in range(_LOCK_ATTEMPTS):
        # For reading too: a named pipe that is opened for writing alone waits for a reader.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # closing the file releases it
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                try:
                    yield
                finally:
                    if path.is_file() and path.stat().st_size == 0:  # opening made it, and nothing was written
                        path.unlink()
                return
        finally:
            os.close(descriptor)
    raise BaselineError(f"{path}: other programs replace it without end; try again when they are done")


def _tell_git(root: Path) -> None:
    """Write the rule for merging, unless the user says something of these files already."""
    path = root / ".gitattributes"
    check_inside(root, path)
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    if not any(line.split()[:1] == [_PATTERN] for line in text.splitlines()):
        append_line(path, MERGE_RULE)
