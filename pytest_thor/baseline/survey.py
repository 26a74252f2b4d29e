"""Everything that a store holds: in a folder, or at a revision of its git repository."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_thor.baseline import history
from pytest_thor.baseline.entry import BaselineEntry
from pytest_thor.baseline.history import StoredRun
from pytest_thor.baseline.place import ENTRY, HISTORY, cell_id, entry_path, stem
from pytest_thor.baseline.store import MAX_FILE_BYTES, parse_entry
from pytest_thor.baseline.stored_text import read_stored
from pytest_thor.errors import BaselineError

_GIT_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What stands in a store for one cell on one device; ``problem`` says why a file of it cannot be used.

    ``device``, ``matrix`` and ``cell`` are as the anchor says them; where there is none to ask, as the folders and
    files are named.
    """

    path: Path
    device: str
    matrix: str
    cell: str
    entry: BaselineEntry | None
    history: tuple[StoredRun, ...]
    problem: str | None


def survey(root: Path) -> Iterator[Found]:
    """Yield what a store holds, by device, matrix and cell; a file that cannot be used is yielded with its problem.

    Raises:
        BaselineError: there is no such store.
    """
    if not root.is_dir():
        raise BaselineError(f"{root}: there is no baseline store here; name one with --baseline DIR")
    for folder in sorted(path for path in root.glob("*/*") if path.is_dir()):
        for name in sorted({stem(path.name) for path in folder.iterdir() if path.name.endswith((ENTRY, HISTORY))}):
            yield _found(root, folder / f"{name}{ENTRY}", folder / f"{name}{HISTORY}")


def entries_at(root: Path, revision: str) -> Mapping[Path, BaselineEntry]:
    """Return the anchors that a store held at a revision of its git repository, by their path now.

    Raises:
        BaselineError: there is no such store, repository or revision, or an anchor was corrupt or misplaced then.
    """
    if not root.is_dir():
        raise BaselineError(f"{root}: there is no baseline store here; name one with --baseline DIR")
    if revision.startswith("-"):
        raise BaselineError(f"{revision!r} is no revision of git")
    _git(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    listed = _git(root, "ls-tree", "-r", "-z", "--name-only", revision).decode().split("\0")
    names = [name for name in listed if name.endswith(ENTRY) and name.count("/") == 2]
    if broken := [name for name in names if "\n" in name]:  # git is asked for one file a line
        raise BaselineError(f"{revision}: a name in the store has a line break: {broken[0]!r}; remove the file")
    entries = {}
    for name, text in zip(names, _contents(root, revision, names), strict=True):
        entry = parse_entry(text, f"{revision}:{root / name}")
        misplaced = _misplaced(root, root / name, entry)
        if misplaced:
            raise BaselineError(f"{revision}:{misplaced}")
        entries[root / name] = entry
    return entries


def _found(root: Path, anchor: Path, past: Path) -> Found:
    entry: BaselineEntry | None = None
    runs: tuple[StoredRun, ...] = ()
    problem: str | None = None
    try:
        text = read_stored(root, anchor, at_most_bytes=MAX_FILE_BYTES, advice="")
        entry = None if text is None else parse_entry(text, anchor)
        problem = _misplaced(root, anchor, entry) if entry else None
        entry = None if problem else entry
        text = read_stored(root, past, at_most_bytes=history.MAX_FILE_BYTES, advice="")
        runs = () if text is None else history.read_runs(text, past)
    except BaselineError as error:
        problem = str(error)
    return Found(
        path=anchor,
        device=entry.device if entry else anchor.parts[-3],
        matrix=entry.cell["matrix"] if entry else anchor.parts[-2],
        cell=cell_id(entry.cell) if entry else stem(anchor.name),
        entry=entry,
        history=runs,
        problem=problem,
    )


def _misplaced(root: Path, path: Path, entry: BaselineEntry) -> str | None:
    """Return what is wrong with the place in which an anchor stands, or None."""
    try:
        belongs = entry_path(root, entry.device, entry.cell)
        _ = entry.cell["kind"]  # a comparison asks for it
    except KeyError as error:
        return f"{path}: its cell lacks the word {error}"
    return None if belongs == path else f"{path}: is the baseline of another cell or device: it belongs to {belongs}"


def _contents(root: Path, revision: str, names: list[str]) -> Iterator[str]:
    asked = "".join(f"{revision}:./{name}\n" for name in names)
    answer = _git(root, "cat-file", "--batch", given=asked.encode()) if names else b""
    place = 0
    for _ in names:
        end = answer.index(b"\n", place)
        size = int(answer[place:end].split()[-1])
        yield answer[end + 1 : end + 1 + size].decode("utf-8", "replace")
        place = end + size + 2


def _git(root: Path, *arguments: str, given: bytes = b"") -> bytes:
    command = ["git", "-C", str(root), *arguments]
    try:
        result = subprocess.run(command, input=given, capture_output=True, check=False, timeout=_GIT_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BaselineError(f"{root}: git cannot be asked: {error}") from error
    if result.returncode != 0:
        said = result.stderr.decode(errors="replace").strip() or "there is no such revision"
        raise BaselineError(f"{root}: git {' '.join(arguments)} ended with {result.returncode}: {said}")
    return result.stdout
