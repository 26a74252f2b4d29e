"""Reading a request trace: a JSON Lines file that says how long real requests were, and when they came.

One request a line; other keys are ignored, so that published traces can be used as they are::

    {"arrival_s": 0.25, "input_len": 512, "output_len": 64}
    {"timestamp": 250, "input_length": 512, "output_length": 64}

``arrival_s`` counts seconds, ``timestamp`` milliseconds (as Mooncake's traces have it); from when does not matter.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from pytest_thor.errors import MatrixError, Problem

MAX_TOKENS = 10_000_000
"""Tokens in a prompt or an output; no model takes more."""
_MAX_BYTES = 256 << 20
_LONGEST_LINE_BYTES = 1 << 20
_MAX_TOLD = 10
_INPUT = ("input_len", "input_length")
_OUTPUT = ("output_len", "output_length")
_LATEST = 10**15
_ARRIVAL_UNITS_PER_S = {"arrival_s": 1, "timestamp": 1000}


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedRequest:
    """One request of a trace; ``arrival_s`` counts from the first one's arrival, and is None where none is told."""

    input_len: int
    output_len: int
    arrival_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTrace:
    """A trace in the order of arrival, at least one request; all have arrival times, or none has."""

    requests: tuple[TracedRequest, ...]
    sha256: str

    @property
    def is_timed(self) -> bool:
        """Tell whether the trace says when requests arrived."""
        return self.requests[0].arrival_s is not None


def read_trace(path: Path) -> RequestTrace:
    """Read a trace.

    Raises:
        MatrixError: it is not there, or not a trace; carries the first mistakes with their lines.
    """
    content = _content(path)
    problems: list[Problem] = []
    requests = []
    for number, line in enumerate(BytesIO(content), 1):  # not splitlines(), which makes all of them at once
        if not line.strip():
            continue
        try:
            requests.append(_request(line))
        except ValueError as error:
            problems.append(Problem(path=str(path), line=number, column=1, message=str(error)))
            if len(problems) == _MAX_TOLD:
                break
    if not problems and not requests:
        raise _refused(path, "the trace is empty: write one request a line")
    if not problems and len({request.arrival_s is None for request in requests}) > 1:
        raise _refused(path, "some requests say when they arrive, and some do not: give all of them arrival_s, or none")
    if problems:
        raise MatrixError(tuple(problems))
    return RequestTrace(requests=_from_the_first(requests), sha256=hashlib.sha256(content).hexdigest())


def _content(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a named pipe would wait for ever
            raise _refused(path, "not a file: a trace is a JSON Lines file")
        if status.st_size > _MAX_BYTES:
            raise _refused(path, f"larger than {_MAX_BYTES >> 20} MiB: cut the trace to what a run can send")
        return path.read_bytes()
    except FileNotFoundError:
        raise _refused(path, "there is no such file; a relative path starts at the matrix's folder") from None
    except (OSError, ValueError) as error:  # ValueError: a path with NUL in it
        raise _refused(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _refused(path: Path, message: str) -> MatrixError:
    return MatrixError((Problem(path=str(path), line=1, column=1, message=message),))


def _request(line: bytes) -> TracedRequest:
    """Return the request on a line.

    Raises:
        ValueError: the line is no request; the message says why.
    """
    if len(line) > _LONGEST_LINE_BYTES:
        raise ValueError(f"longer than {_LONGEST_LINE_BYTES >> 20} MiB: write one request a line")
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error}): write one object a line") from None
    if not isinstance(record, dict):
        raise ValueError(  # noqa: TRY004 - the text is at fault, not the caller's argument
            f'expected an object like {{"input_len": 512, "output_len": 64}}, got {_shown(record)}'
        )
    return TracedRequest(
        input_len=_length(record, _INPUT), output_len=_length(record, _OUTPUT), arrival_s=_arrival_s(record)
    )


def _length(record: Mapping[str, Any], names: tuple[str, ...]) -> int:
    name = next((name for name in names if name in record), None)
    if name is None:
        raise ValueError(f"the request has no {names[0]}")
    value = record[name]
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_TOKENS:
        raise ValueError(f"{name}: expected a whole number from 1 to {MAX_TOKENS}, got {_shown(value)}")
    return value


def _arrival_s(record: Mapping[str, Any]) -> float | None:
    for name, units_per_s in _ARRIVAL_UNITS_PER_S.items():
        if name in record:
            value = record[name]
            number = None if isinstance(value, bool) or not isinstance(value, int | float) else value
            if number is None or not abs(number) <= _LATEST:  # which NaN is not, either
                raise ValueError(f"{name}: expected a number up to {_LATEST}, got {_shown(value)}")
            return number / units_per_s
    return None


def _from_the_first(requests: list[TracedRequest]) -> tuple[TracedRequest, ...]:
    """Return requests in the order of arrival, counted from the first one's; those without times as they are."""
    arrivals = [request.arrival_s for request in requests if request.arrival_s is not None]
    if not arrivals:
        return tuple(requests)
    start = min(arrivals)
    moved = [
        TracedRequest(input_len=request.input_len, output_len=request.output_len, arrival_s=arrival - start)
        for request, arrival in zip(requests, arrivals, strict=True)
    ]
    return tuple(sorted(moved, key=lambda request: request.arrival_s or 0.0))


def _shown(value: object) -> str:
    try:
        text = json.dumps(value)
    except RecursionError:  # it was read a few calls less deep
        return "something deep"
    return text if len(text) <= 40 else f"{text[:37]}…"
