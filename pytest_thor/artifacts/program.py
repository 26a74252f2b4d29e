"""Running a program that makes a file: watched, and ended with everything it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pytest_thor.errors import ArtifactError
from pytest_thor.redaction import redacted

_TAIL_LINES = 20
_LINE_CHARACTERS = 500
_PIECE_CHARACTERS = 1 << 16  # a line without end is taken in such


class Ended(NamedTuple):
    """How a program ended: its exit status, negative for a signal, and the last lines of what it printed."""

    status: int
    tail: tuple[str, ...]

    def sentence(self, doing: str) -> str:
        """Say how it failed ``doing`` something, with the end of its log."""
        ended = f"was ended by signal {-self.status}" if self.status < 0 else f"failed with exit status {self.status}"
        return f"{ended} {doing}:\n  " + ("\n  ".join(self.tail) or "(it printed nothing)")


def run_program(
    command: Sequence[str], *, on_line: Callable[[str], None], environment: Mapping[str, str] | None = None
) -> Ended:
    """Run a program to its end, telling each line that it prints, to whichever stream, as it comes.

    ``environment`` is added to this process's own. When this returns or raises, no process of it is left.

    Raises:
        ArtifactError: it cannot be started.
    """
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    with _started(command, environment) as process:
        output = process.stdout
        assert output is not None
        for line in iter(lambda: output.readline(_PIECE_CHARACTERS), ""):
            if text := redacted(line.rstrip()[:_LINE_CHARACTERS]):
                tail.append(text)
                on_line(text)
        return Ended(process.wait(), tuple(tail))


@contextlib.contextmanager
def _started(command: Sequence[str], environment: Mapping[str, str] | None) -> Iterator[subprocess.Popen[str]]:
    """Start a program in a process group of its own, and end the whole group on the way out."""
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            env={**os.environ, **environment} if environment else None,
        )
    except OSError as error:
        raise ArtifactError(f"{command[0]}: cannot be started: {error.strerror or error}") from None
    with process:
        try:
            yield process
        except BaseException:
            if process.returncode is None:
                # At once and without asking: it has nothing to save, and its output is thrown away.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            raise
