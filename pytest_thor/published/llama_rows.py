"""What llama-bench writes for machines: one set of named fields a test, out of CSV, JSON, JSON lines or SQL."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pytest_thor.published.llama_table import ENGINE, SPEED, Test, named, setting
from pytest_thor.published.numbers import UnreadableNumberError, number
from pytest_thor.published.page import Place, iso_date
from pytest_thor.published.records import Figure, PublishedResult, Scalar, Unread, unread

_TAKEN = frozenset(
    {
        *("build_commit", "build_number", "model_type", "model_size", "model_n_params", "backends", "test_time"),
        *("n_prompt", "n_gen", "n_depth", "avg_ns", "stddev_ns", "avg_ts", "stddev_ts", "samples_ns", "samples_ts"),
    }
)
_FLAGS = ("cuda", "vulkan", "kompute", "opencl", "metal", "sycl", "rpc", "blas")
"""How builds before ``backends`` named what they ran on: one column each."""
_INSERT = re.compile(r"\s*INSERT\s+INTO\s+[\"'`\[]?(?:llama_bench|test)[\"'`\]]?\s*\(", re.IGNORECASE)
_VALUES = re.compile(r"\)\s*VALUES\s*", re.IGNORECASE)
_CSV_HEAD = re.compile(r"[\w\",;\t ]{20,4000}")
_LONGEST_STATEMENT = 20_000
_LONGEST_LINE = 1 << 20
_ROUNDING = 1e-3


def is_row(fields: Mapping[str, Any]) -> bool:
    """Say whether an object is a row of llama-bench."""
    return "n_prompt" in fields and "n_gen" in fields and ("avg_ts" in fields or "samples_ts" in fields)


def read_fields(fields: Mapping[str, Any], index: int, place: Place) -> PublishedResult:
    """Read one row.

    Raises:
        UnreadableNumberError: it holds no readable test or speed.
    """
    test = Test(**{name: _whole(fields, name) for name in ("n_prompt", "n_gen", "n_depth")})
    if not (test.n_prompt or test.n_gen):
        raise UnreadableNumberError("n_prompt and n_gen are both 0: nothing was timed")
    metrics = {SPEED[test.kind]: _speed(fields)}
    for field, metric, unit in (("model_size", "model_bytes", "B"), ("model_n_params", "parameters", "parameters")):
        if _text(fields, field):
            metrics[metric] = Figure(value=_number(fields, field), unit=unit)
    label, file = _text(fields, "model_type"), _text(fields, "model_filename")
    model, quant, notes = named(label, place.beside_file(index, file))
    build = " ".join(filter(None, (_text(fields, "build_commit"), (n := _text(fields, "build_number")) and f"({n})")))
    return PublishedResult(
        source=place.source.name,
        line=index + 1,
        kind=test.kind,
        engine=ENGINE,
        date=iso_date(_text(fields, "test_time")) or place.source.date,
        build=build or None,
        label=label,
        model=model,
        quant=quant,
        backend=_backend(fields),
        device=_device(fields),
        headings=place.path,
        workload=test.workload,
        settings={name: _setting(fields[name]) for name in fields if name not in _TAKEN and _plain(fields[name])},
        metrics=metrics,
        notes=(*notes, *_contradictions(metrics[SPEED[test.kind]])),
    )


def csv_delimiter(line: str) -> str | None:
    """Return what separates the fields if this is the head of llama-bench's CSV, else None."""
    if not _CSV_HEAD.fullmatch(line):
        return None
    names = line.replace('"', "")
    for sign in (",", ";", "\t"):
        if {"n_prompt", "n_gen", "avg_ts"} <= {name.strip() for name in names.split(sign)}:
            return sign
    return None


def read_csv(
    lines: Sequence[str], index: int, place: Place, delimiter: str
) -> tuple[list[PublishedResult], list[Unread], int]:
    """Read the rows under a head, up to the first line that is none; return results, the unread, the index after."""
    found: list[PublishedResult | Unread] = []
    head = _split(lines[index], delimiter) or []
    at = index + 1
    while at < len(lines):
        line = lines[at]
        if not line.strip() and (at + 1 >= len(lines) or len(_split(lines[at + 1], delimiter) or ()) != len(head)):
            break
        if csv_delimiter(line) or (line.strip() and delimiter not in line) or line.startswith(("```", "|")):
            break
        cells = _split(line, delimiter)
        if cells is None or (line.strip() and len(cells) != len(head)):
            told = "a quote that is never closed" if cells is None else f"{len(cells)} fields"
            found.append(unread(at, line, f"{told} under {len(head)} columns: cut off, or not llama-bench's"))
        elif line.strip():
            found.append(read_row(dict(zip(head, cells, strict=True)), at, line, place))
        at += 1
    return *parted(found), at


def is_insert(line: str) -> bool:
    """Say whether a line begins one of llama-bench's SQL statements."""
    return _INSERT.match(line) is not None


def read_insert(lines: Sequence[str], index: int, place: Place) -> tuple[list[PublishedResult], list[Unread], int]:
    """Read one ``INSERT``, whose values may go on over several lines."""
    found: list[PublishedResult | Unread] = []
    text, at = "", index
    while at < len(lines) and len(text) < _LONGEST_STATEMENT and not (at > index and is_insert(lines[at])):
        text += lines[at][:_LONGEST_LINE] + "\n"  # of a longer one, the value that is cut is not whole
        at += 1
        if lines[at - 1].rstrip().endswith(";"):
            break
    match = _INSERT.match(text)
    assert match is not None
    values = _VALUES.search(text, match.end())
    rows = list(_tuples(text, values.end())) if values else []
    if not values or not rows or rows[-1] is None:
        found.append(unread(index, lines[index], "the statement is cut off, or not as llama-bench writes it"))
    head = [name.strip(" \"'`[]\n") for name in text[match.end() : values.start()].split(",")] if values else []
    for row in rows:
        if row is not None and len(row) == len(head):
            found.append(read_row(dict(zip(head, row, strict=True)), index, lines[index], place))
        elif row is not None:
            found.append(unread(index, lines[index], f"{len(row)} values for {len(head)} columns"))
    return *parted(found), at


def read_row(fields: Mapping[str, Any], index: int, line: str, place: Place) -> PublishedResult | Unread:
    """Read one row, or say why it cannot be."""
    try:
        return read_fields(fields, index, place)
    except UnreadableNumberError as error:
        return unread(index, line, str(error))


def parted(found: Iterable[PublishedResult | Unread]) -> tuple[list[PublishedResult], list[Unread]]:
    """Return results and the unread apart, each in order."""
    found = list(found)
    results = [each for each in found if isinstance(each, PublishedResult)]
    return results, [each for each in found if isinstance(each, Unread)]


def _split(line: str, delimiter: str) -> list[str] | None:
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return None


def _tuples(text: str, start: int) -> Iterator[list[str] | None]:
    """Yield the values of each parenthesis; None at the end says that the last one is not whole."""
    value = re.compile(r"\s*(?:'((?:[^']|'')*)'|([^\s,'()]{1,200}))\s*([,)])")
    at = start
    while at < len(text) and text[at] == "(":
        row, at, end = [], at + 1, ","
        while end == ",":
            match = value.match(text, at)
            if match is None:
                yield None
                return
            row.append("" if match[2] == "NULL" else match[2] or (match[1] or "").replace("''", "'"))
            at, end = match.end(), match[3]
        yield row
        rest = re.compile(r"\s*([,;])\s*").match(text, at)
        if rest is None:
            yield None
            return
        at = rest.end()


def _speed(fields: Mapping[str, Any]) -> Figure:
    samples = fields.get("samples_ts")
    kept = tuple(_finite(sample) for sample in samples) if isinstance(samples, list) else ()
    if not _text(fields, "avg_ts"):
        if not kept:
            raise UnreadableNumberError("neither avg_ts nor samples_ts holds a speed")
        return Figure(value=math.fsum(kept) / len(kept), unit="tok/s", samples=kept)
    spread = _number(fields, "stddev_ts") if _text(fields, "stddev_ts") else None
    return Figure(value=_number(fields, "avg_ts"), unit="tok/s", spread=spread, samples=kept)


def _contradictions(speed: Figure) -> Iterator[str]:
    if speed.samples and not math.isclose(
        math.fsum(speed.samples) / len(speed.samples), speed.value, rel_tol=_ROUNDING
    ):
        yield f"avg_ts is {speed.value:g}, the mean of samples_ts {math.fsum(speed.samples) / len(speed.samples):g}"


def _whole(fields: Mapping[str, Any], name: str) -> int:
    text = _text(fields, name) or "0"
    if not re.fullmatch(r"\d{1,9}", text):
        raise UnreadableNumberError(f"{name} is {text[:40]!r}, not a whole number")
    return int(text)


def _number(fields: Mapping[str, Any], name: str) -> float:
    value = fields[name]
    try:
        return number(value) if isinstance(value, str) else _finite(value)
    except UnreadableNumberError as error:
        raise UnreadableNumberError(f"{name}: {error}") from None


def _finite(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnreadableNumberError(f"{str(value)[:40]!r} is not a number")
    if not -1e300 < value < 1e300:  # also false for NaN
        raise UnreadableNumberError(f"{str(value)[:40]} is not finite")
    if value < 0:
        raise UnreadableNumberError(f"{value:g} is negative")
    return float(value)


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return str(value)[:300] if isinstance(value, str | int | float) and value != "" else None


def _plain(value: object) -> bool:
    return isinstance(value, str | int | float) and value != "" and (isinstance(value, str) or abs(value) < 1e300)


def _setting(value: Scalar) -> Scalar:
    return setting(value[:300]) if isinstance(value, str) else value


def _backend(fields: Mapping[str, Any]) -> str | None:
    if "backends" in fields:
        return _text(fields, "backends")
    named = [flag.upper() for flag in _FLAGS if str(fields.get(flag, "0")).casefold() in {"1", "true"}]
    return ",".join(named) or ("CPU" if any(flag in fields for flag in _FLAGS) else None)


def _device(fields: Mapping[str, Any]) -> str | None:
    """Return the graphics card that it names, the processor where only that was used."""
    on_cpu = (_backend(fields) or "").upper() in {"CPU", "BLAS", "BLAS,CPU"}
    return (None if on_cpu else _text(fields, "gpu_info")) or _text(fields, "cpu_info")
