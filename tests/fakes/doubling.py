"""Runs a real benchmark program and doubles the speeds in the rows that it prints; standard library only.

    doubling.py speeds|clock|work PROGRAM ARGUMENTS…

- ``speeds`` doubles the speeds alone, which the durations beside them belie;
- ``clock`` halves the durations too, as a clock at half speed would, or tokens that are counted twice;
- ``work`` has the program do half of the work, and hands its rows on as those of the whole.

All else (standard input, standard error, questions about the version) goes through untouched and at once.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

_COUNTS = {"-p", "-n"}


def doubled(row: dict[str, Any], how: str) -> dict[str, Any]:
    """Return a row with what the mode makes of it."""
    if how == "work":
        return {**row, "n_prompt": 2 * row["n_prompt"], "n_gen": 2 * row["n_gen"], **_faster(row, "samples_ts")}
    return {**row, **_faster(row, "samples_ts"), **(_shorter(row) if how == "clock" else {})}


def _faster(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {name: [2 * speed for speed in row[name]]}


def _shorter(row: dict[str, Any]) -> dict[str, Any]:
    return {"samples_ns": [duration_ns // 2 for duration_ns in row["samples_ns"]]}


def _less(arguments: list[str]) -> list[str]:
    """Halve the tokens that the options ask for."""
    return [
        ",".join(str(int(count) // 2) for count in word.split(",")) if before in _COUNTS else word
        for before, word in zip(["", *arguments], arguments, strict=False)
    ]


def main(how: str, program: str, *given: str) -> int:
    """Run the program to its end and return its exit status."""
    arguments = _less(list(given)) if how == "work" else list(given)
    with subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            is_row = line.startswith('{"') and '"samples_ns"' in line
            print(json.dumps(doubled(json.loads(line), how)) if is_row else line.rstrip("\n"), flush=True)
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
