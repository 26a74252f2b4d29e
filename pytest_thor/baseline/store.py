"""The baseline store: one JSON file per cell, so that branches which touch different cells merge without conflict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pytest_thor.baseline.entry import BaselineEntry, read_entry, write_entry
from pytest_thor.baseline.place import entry_path
from pytest_thor.baseline.stored_text import is_conflict_marker, read_stored, refused
from pytest_thor.cell import Cell
from pytest_thor.errors import BaselineError
from pytest_thor.files import atomic_write_text
from pytest_thor.verdict import Verdict

MAX_FILE_BYTES = 64 * 2**20
"""More than any cell's samples take; a larger file is not read."""

_NAMED_BY = ("matrix", "model", "quant", "backend", "workload")
"""The words of a cell that name it. The engine is not asked for: that another one measures a backend is the
fingerprint's to say."""


def path_of(root: Path, device: str, cell: Cell) -> Path:
    """Return where a cell's entry stands: ``<root>/<device>/<matrix>/<cell id>.json``."""
    return entry_path(root, device, cell.fields)


def load(root: Path, device: str, cell: Cell) -> BaselineEntry | None:
    """Return what is stored for a cell on a device, or None where nothing is.

    Raises:
        BaselineError: the file is corrupt, of a newer version, or another cell's; it is left as it is.
    """
    return load_named(root, device, cell.fields)


def load_named(root: Path, device: str, words: Mapping[str, str]) -> BaselineEntry | None:
    """Return what :func:`load` does, for a cell of which only the words that name it are known."""
    path = entry_path(root, device, words)
    text = read_stored(root, path, at_most_bytes=MAX_FILE_BYTES, advice=_advice(path))
    if text is None:
        return None
    entry = parse_entry(text, path)
    wrong = _foreign(entry, device, words)
    if wrong:
        raise refused(path, f"is the baseline of {wrong}", _advice(path))
    return entry


def save(root: Path, device: str, cell: Cell, entry: BaselineEntry) -> Path:
    """Store a cell's entry in one step, in place of the one before, and return its path.

    Raises:
        BaselineError: it cannot be written, does not belong to this cell, or a file stands there that :func:`load`
            refuses; that one is left as it is.
    """
    path = path_of(root, device, cell)
    wrong = _foreign(entry, device, cell.fields)
    if wrong:
        raise BaselineError(f"{path}: not written, for the entry is of {wrong}")
    return save_entry(root, entry)


def save_entry(root: Path, entry: BaselineEntry) -> Path:
    """Store an entry where it says itself that it belongs, as :func:`save` does."""
    path = entry_path(root, entry.device, entry.cell)
    load_named(root, entry.device, entry.cell)
    try:
        atomic_write_text(path, write_entry(entry))
    except ValueError as error:
        raise BaselineError(f"{path}: not written: {error}") from error
    except OSError as error:
        raise unwritable(path, error) from error
    return path


def parse_entry(text: str, path: Path | str) -> BaselineEntry:
    """Return the entry that a file's text holds; ``path`` is how an error names the file.

    Raises:
        BaselineError: the text is corrupt, of a newer version, or not of a baseline's form.
    """
    try:
        return read_entry(text)
    except ValueError as error:
        if any(is_conflict_marker(line) for line in text.splitlines()):
            raise refused(path, "holds a merge conflict that was not resolved", _advice(path)) from None
        raise refused(path, str(error), _advice(path)) from None


def unwritable(path: Path, error: OSError) -> BaselineError:
    """Return the error that says which file cannot be written, and what to do."""
    return BaselineError(
        f"{path}: cannot be written: {error.strerror or error}; what stood there still stands. Name a folder that"
        " can be written with --thor-baseline DIR"
    )


def may_store(
    *,
    mode: Literal["missing", "accept"] | None,
    existing: BaselineEntry | None,
    verdicts: Iterable[Verdict],
    failed: bool = False,
) -> bool:
    """Tell whether a run may become its cell's baseline, given the verdicts on the cell and on each of its metrics.

    Never what was not judged, what is invalid in any metric, or what failed otherwise. ``missing`` stores only where
    nothing is. ``accept`` also replaces what changed or could not be compared, but keeps the stored anchor where the
    cell is unchanged: else each run could move it a little, and a slow loss would never show.
    """
    found = set(verdicts)
    if mode is None or failed or not found or Verdict.INVALID in found:
        return False
    if existing is None:
        return True
    return mode == "accept" and found != {Verdict.UNCHANGED}


def _foreign(entry: BaselineEntry, device: str, words: Mapping[str, str]) -> str | None:
    """Return which other device or cell an entry is of, or None."""
    if entry.device != device:
        return f"the device {entry.device!r}, not {device!r}"
    for name in _NAMED_BY:
        if entry.cell.get(name) != words[name]:
            return f"another cell: its {name} is {entry.cell.get(name)!r}, not {words[name]!r}"
    return None


def _advice(path: Path | str) -> str:
    return (
        f"bring it back with `git checkout -- {path}`, or delete it and store a new one with"
        " --thor-update-baseline=missing"
    )
