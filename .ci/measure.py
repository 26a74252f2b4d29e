"""One measuring job: run pytest with what the workflow's environment says, and tell the workflow how it ended.

    python .ci/measure.py

Everything comes from environment variables, so that no text of a user's ever stands in a script. THOR_MATRIX has a path
a line; THOR_ARGUMENTS a JSON list of further arguments of pytest; THOR_ENGINES and THOR_AGAINST a NAME=PATH a line;
THOR_MODELS folders separated by ``:``, which the plugin reads itself; THOR_FILTER what ``-k`` takes; THOR_LAUNCHES,
THOR_BUDGET, THOR_UPDATE_BASELINE and THOR_REPORT_DIR what the options of these names take. What is empty is left out.
THOR_LENIENT=1 ends with 0 where a report was written, whatever it says: a later job judges all shards together.

Standard library only. Ctrl-C and a workflow's cancellation reach pytest, which stops its engines and writes its report.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

REPORTED = frozenset({0, 1, 8, 9})
"""Exit statuses with which a run came to its end (docs/command-line.md)."""


def main() -> int:
    """Run pytest; return its exit status, or 0 where a later job judges."""
    folder = Path(os.environ.get("THOR_REPORT_DIR") or "thor-report")
    try:
        command = [sys.executable, "-m", "pytest", *arguments(os.environ)]
    except ValueError as error:
        print(error, file=sys.stderr)
        return 4
    status = run(command)
    tell("status", str(status))
    tell("report", str(folder))
    written = (folder / "report.json").is_file()
    if os.environ.get("THOR_LENIENT") == "1" and status in REPORTED and written:
        return 0
    return status


def arguments(environ: Mapping[str, str]) -> list[str]:
    """Return the arguments of pytest.

    Raises:
        ValueError: there is no matrix, or THOR_ARGUMENTS is no list of strings.
    """
    matrices = lines(environ, "THOR_MATRIX")
    if not matrices:
        raise ValueError("THOR_MATRIX is empty: give the path of a matrix")
    # --option=value throughout: a value that begins with a dash is a value.
    given = [f"--thor-matrix={path}" for path in matrices]
    given += [f"--thor-engine={engine}" for engine in lines(environ, "THOR_ENGINES")]
    given += [f"--thor-against={engine}" for engine in lines(environ, "THOR_AGAINST")]
    for option in ("launches", "budget", "update-baseline"):
        value = environ.get(f"THOR_{option.upper().replace('-', '_')}", "").strip()
        if value:
            given.append(f"--thor-{option}={value}")
    given.append(f"--thor-report={environ.get('THOR_REPORT_DIR') or 'thor-report'}")
    if words := environ.get("THOR_FILTER", "").strip():
        given.append(f"-k={words}")
    return [*given, *more(environ.get("THOR_ARGUMENTS", ""))]


def lines(environ: Mapping[str, str], name: str) -> list[str]:
    """Return the lines of a variable that hold anything."""
    return [line.strip() for line in environ.get(name, "").splitlines() if line.strip()]


def more(text: str) -> list[str]:
    """Return the arguments that a JSON list holds."""
    try:
        listed = json.loads(text or "[]")
    except ValueError:
        listed = None
    if not (isinstance(listed, list) and all(isinstance(argument, str) for argument in listed)):
        raise ValueError(f'THOR_ARGUMENTS is {text[:200]!r}: expected a JSON list of strings, such as ["-k", "tg128"]')
    return listed


def run(command: list[str]) -> int:
    """Run a command that hears the signals which this process gets; return its exit status."""
    started: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def pass_on(number: int, _frame: object) -> None:
        if not started:
            early.append(number)
        elif started[0].poll() is None:
            started[0].send_signal(number)

    # Before the start, so that the command ignores none of them, whatever this process has inherited.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, pass_on)
    # A session of its own: Ctrl-C in a terminal would reach it twice otherwise, and the second one cuts the report.
    started.append(subprocess.Popen(command, start_new_session=True))
    for waiting in early:
        started[0].send_signal(waiting)
    return started[0].wait()


def tell(name: str, value: str) -> None:
    """Set an output of the workflow's step; outside a workflow there is nobody to tell."""
    path = os.environ.get("GITHUB_OUTPUT")
    if path:
        with open(path, "a", encoding="utf-8") as file:  # noqa: PTH123 - what the runner names
            file.write(f"{name}={value.splitlines()[0] if value else ''}\n")


if __name__ == "__main__":
    sys.exit(main())
