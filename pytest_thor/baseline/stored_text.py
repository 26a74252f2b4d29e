"""Reading a stored file's text, and how one that cannot be used is named."""

from __future__ import annotations

import stat
from pathlib import Path

from pytest_thor.errors import BaselineError

_CONFLICT = ("<<<<<<< ", "||||||| ", ">>>>>>> ")


def read_stored(root: Path, path: Path, *, at_most_bytes: int, advice: str) -> str | None:
    """Return the text of a store's file, or None where there is none.

    Raises:
        BaselineError: it is no file, not text, longer than ``at_most_bytes``, cannot be read, or lies elsewhere.
    """
    check_inside(root, path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise refused(path, "is not a file", advice)
        if status.st_size > at_most_bytes:
            raise refused(path, f"is {status.st_size} bytes long, which is too much for a baseline", advice)
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise refused(path, "is not text", advice) from None
    except OSError as error:
        raise BaselineError(f"{path}: cannot be read: {error.strerror or error}") from error


def check_inside(root: Path, path: Path) -> None:
    """Refuse a path of which a part below the store's root is a link that leads out of it.

    A store comes out of a repository, and git keeps links: whoever may propose a baseline could have another file read
    or written.

    Raises:
        BaselineError: it leads out of the store.
    """
    try:
        inside = path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a link to itself, which says so when it is read
        return
    if not inside:
        raise BaselineError(f"{path}: leads out of the baseline store by a link; a store holds plain files: remove it")


def refused(path: Path | str, problem: str, advice: str) -> BaselineError:
    """Return the error that names a stored file, what is wrong with it, and what to do."""
    return BaselineError(f"{path}: {problem}. It is left as it is: {advice}")


def is_conflict_marker(line: str) -> bool:
    """Tell whether a line was left by a merge that nobody resolved."""
    return line.startswith(_CONFLICT) or line == "======="
