"""The console block of ``vllm bench serve``: ``label: value`` between two rules, or bare as at first."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pytest_thor.published.numbers import UnreadableNumberError, number
from pytest_thor.published.page import Place
from pytest_thor.published.records import Figure, PublishedResult, Scalar, Unread, unread
from pytest_thor.published.serving_labels import Named, of_label
from pytest_thor.published.serving_load import Stated, serving_result

_START = re.compile(r"\s*={3,} ?(?:\w{1,20} ){0,2}Benchmark Result ?={3,}\s*", re.IGNORECASE)
_BARE = re.compile(r"\s*(?:Successful requests|Total time):\s+\d\S*(?:\s+s)?\s*")
_END = re.compile(r"\s*={10,}\s*")
_LINE = re.compile(r"\s*([A-Za-z][^:]{0,60}?)\s*[:：]\s*(\S.{0,80}?)\s*")
_VALUE = re.compile(r"(\S+)(?: +(ms|s|requests?/s|reqs?/s|tokens?/s|tok/s|%))?")
_UNITS = {
    "ms": "ms",
    "s": "s",
    "rps": "req/s",
    "%": "%",
    **dict.fromkeys(("requests/s", "request/s", "req/s", "reqs/s"), "req/s"),
    **dict.fromkeys(("tokens/s", "token/s", "tok/s"), "tok/s"),
}
_FACTORS = {("s", "ms"): 1000.0, ("ms", "s"): 0.001}
_TEXTS = {"backend": "backend", "model": "model", "benchmark mode": "mode", "dataset": "dataset"}
_UNSET = {"not set", "none", "inf", "n/a"}


def starts_block(line: str) -> bool:
    """Say whether a block begins here, framed or bare."""
    return _START.fullmatch(line) is not None or _BARE.fullmatch(line) is not None


def read_block(lines: Sequence[str], index: int, place: Place) -> tuple[list[PublishedResult], list[Unread], int]:
    """Read the block that begins at ``index``; return the result, what was unreadable, and the index after it."""
    framed = _START.fullmatch(lines[index]) is not None
    end, closed = _end(lines, index, framed=framed)
    metrics: dict[str, Figure] = {}
    workload: dict[str, Scalar] = {}
    texts: dict[str, Scalar] = {}
    problems: list[Unread] = []
    for at in range(index + framed, end - closed):
        match = _LINE.fullmatch(lines[at])
        if match is None:
            continue
        if not closed and at == len(lines) - 1:
            problems.append(unread(at, lines[at], "the text ends here: this figure may be cut off"))
            continue
        problem = _take(match[1], match[2], metrics, workload, texts)
        if problem:
            problems.append(unread(at, lines[at], problem))
    if not metrics:
        problems.append(unread(index, lines[index], "a block without a readable figure"))
        return [], problems, end
    notes = ("the block has no closing rule: it may be cut off",) if framed and not closed else ()
    backend = texts.pop("backend", None)
    stated = Stated(
        index=index, metrics=metrics, workload=workload, backend=str(backend) if backend else None,
        settings=texts, notes=notes,
    )  # fmt: skip
    result = serving_result(stated, place)
    place.ended = end
    return [result], problems, end


def _end(lines: Sequence[str], index: int, *, framed: bool) -> tuple[int, bool]:
    """Return the index after the block, and whether a rule closes it."""
    at = index + 1
    while at < len(lines):
        line = lines[at]
        if framed and _END.fullmatch(line):
            return at + 1, True
        if line.lstrip().startswith(("```", "~~~", "#", "|")) or (
            starts_block(line) and (framed <= bool(_START.fullmatch(line)))
        ):
            break
        if not framed and not _LINE.fullmatch(line):
            break
        at += 1
    return at, False


def _take(
    label: str,
    written: str,
    metrics: dict[str, Figure],
    workload: dict[str, Scalar],
    texts: dict[str, Scalar],
) -> str | None:
    """Store one line; return why it could not be."""
    name = " ".join(label.casefold().split())
    if name in _TEXTS:
        texts[_TEXTS[name]] = written
        return None
    known = of_label(label)
    if known is None:
        return f"{label!r} is no label of vllm bench serve that is known"
    named, stated = known
    if named.name in metrics or named.name in workload:
        return f"{label!r} stands here for the second time"
    if written.casefold() in _UNSET:
        return None
    try:
        value, unit = _value(written, stated)
        if named.workload:
            workload[named.name] = int(value) if value.is_integer() and named.name == "max_concurrency" else value
        else:
            metrics[named.name] = Figure(value=_converted(named, value, unit), unit=named.unit, written=written)
    except UnreadableNumberError as error:
        return str(error)
    return None


def _value(written: str, stated: str) -> tuple[float, str]:
    match = _VALUE.fullmatch(written)
    if match is None:
        raise UnreadableNumberError(f"{written!r} is not a figure")
    return number(match[1].rstrip("%")), _UNITS.get(match[2] or stated, "")


def _converted(named: Named, value: float, unit: str) -> float:
    """Return a value in the unit of its metric; one without a unit is in vLLM's own, which is the same."""
    if (unit, named.unit) in _FACTORS:
        return value * _FACTORS[unit, named.unit]
    if unit and named.unit and unit != named.unit:
        raise UnreadableNumberError(f"its unit is {unit}, expected {named.unit}")
    if not unit and named.unit == "ms":
        raise UnreadableNumberError("it has no unit: expected ms or s")
    return value
