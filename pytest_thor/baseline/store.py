"""The baseline store: one JSON file per cell, so that branches which touch different cells merge without conflict."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pytest_thor.baseline.entry import BaselineEntry, read_entry, write_entry
from pytest_thor.cell import Cell
from pytest_thor.errors import BaselineError
from pytest_thor.files import atomic_write_text
from pytest_thor.verdict import Verdict

MAX_FILE_BYTES = 64 * 2**20
"""More than any cell's samples take; a larger file is not read."""

_LONGEST_NAME = 200  # bytes; file systems take 255, and a temporary file's name is longer


def path_of(root: Path, device: str, cell: Cell) -> Path:
    """Return where a cell's entry stands: ``<root>/<device>/<matrix>/<cell id>.json``."""
    return root / _safe(device) / _safe(cell.matrix) / f"{_safe(cell.id)}.json"


def load(root: Path, device: str, cell: Cell) -> BaselineEntry | None:
    """Return what is stored for a cell on a device, or None where nothing is.

    Raises:
        BaselineError: the file is corrupt, of a newer version, or another cell's; it is left as it is.
    """
    path = path_of(root, device, cell)
    text = _read(path)
    return None if text is None else _parse(path, text, device, cell)


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
    load(root, device, cell)
    try:
        atomic_write_text(path, write_entry(entry))
    except ValueError as error:
        raise BaselineError(f"{path}: not written: {error}") from error
    except OSError as error:
        raise BaselineError(
            f"{path}: cannot be written: {error.strerror or error}; what stood there still stands. Name a folder that"
            " can be written with --thor-baseline DIR"
        ) from error
    return path


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


def _read(path: Path) -> str | None:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise _refused(path, "is not a file")
        if status.st_size > MAX_FILE_BYTES:
            raise _refused(path, f"is {status.st_size} bytes long, which is too much for a baseline")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise _refused(path, "is not text") from None
    except OSError as error:
        raise BaselineError(f"{path}: cannot be read: {error.strerror or error}") from error


def _parse(path: Path, text: str, device: str, cell: Cell) -> BaselineEntry:
    try:
        entry = read_entry(text)
    except ValueError as error:
        if any(line.startswith(("<<<<<<< ", ">>>>>>> ")) for line in text.splitlines()):
            raise _refused(path, "holds a merge conflict that was not resolved") from None
        raise _refused(path, str(error)) from None
    wrong = _foreign(entry, device, cell.fields)
    if wrong:
        raise _refused(path, f"is the baseline of {wrong}")
    return entry


def _foreign(entry: BaselineEntry, device: str, fields: Mapping[str, str]) -> str | None:
    """Return which other device or cell an entry is of, or None.

    The engine is not asked for: that another one measures a backend is the fingerprint's to say.
    """
    if entry.device != device:
        return f"the device {entry.device!r}, not {device!r}"
    for name in ("matrix", "model", "quant", "backend", "workload"):
        if entry.cell.get(name) != fields[name]:
            return f"another cell: its {name} is {entry.cell.get(name)!r}, not {fields[name]!r}"
    return None


def _refused(path: Path, problem: str) -> BaselineError:
    return BaselineError(
        f"{path}: {problem}. It is left as it is: bring it back with `git checkout -- {path}`, or delete it and store"
        " a new one with --thor-update-baseline=missing"
    )


def _safe(name: str) -> str:
    """Return a name as one path component: other names give other components, and none leaves its folder."""
    quoted = quote(name, safe=" @+=,()", errors="surrogatepass")
    if quoted.startswith("."):
        quoted = f"%2E{quoted[1:]}"
    if len(quoted) > _LONGEST_NAME:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return f"{quoted[:_LONGEST_NAME]}~{digest}"
    return quoted or "%"
