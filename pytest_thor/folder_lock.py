"""One session at a time writes into a report folder: a lock on the folder, for as long as the session lasts."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from pytest_thor.errors import ReportError

_LOCKS = Path("/proc/locks")


def hold(folder: Path) -> Callable[[], None]:
    """Keep other sessions from a folder, making it where needed; return what lets go of it.

    The folder itself is locked, so that no file of ours lies in it. The system lets go of it when this process dies,
    and no process that is started inherits it. Where the file system knows no locks, nobody is kept out.

    Raises:
        ReportError: another session writes there.
        OSError: the folder cannot be made or read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _holder(descriptor)
        os.close(descriptor)
        raise ReportError(
            f"{folder}: another session writes its report there" + (f" (process {holder})" if holder else "") + "; "
            "wait for it to finish, or give another folder with --thor-report DIR"
        ) from None
    except OSError:
        pass  # as the docstring says
    return partial(os.close, descriptor)


def _holder(descriptor: int) -> int | None:
    """Return the process that holds a file's lock, None where the kernel does not tell this process."""
    there = os.fstat(descriptor)
    name = f"{os.major(there.st_dev):02x}:{os.minor(there.st_dev):02x}:{there.st_ino}"
    with suppress(OSError, ValueError):
        for line in _LOCKS.read_text(encoding="utf-8").splitlines():
            # "1: FLOCK  ADVISORY  WRITE 4711 08:02:131 0 EOF"; one who waits has "->" in the second place
            match line.split():
                case [_, "FLOCK", _, _, process, file, *_] if file == name and int(process) > 0:
                    return int(process)
    return None
