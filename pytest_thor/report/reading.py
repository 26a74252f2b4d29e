"""report.json read back: checked, and refused with a reason where it is not what this version writes."""

from __future__ import annotations

import codecs
from pathlib import Path

from pydantic import ValidationError

from pytest_thor import foreign_json
from pytest_thor.errors import ReportError
from pytest_thor.foreign_file import read_plain
from pytest_thor.report.document import SCHEMA, ReportDocument

_LONGEST = 100
_FAMILY = SCHEMA.rpartition("/")[0]
_SHOWN = 5
_LARGEST_BYTES = 1 << 30


def read(path: Path) -> ReportDocument:
    """Return the report that a file holds; a folder stands for the ``report.json`` in it.

    Raises:
        ReportError: it cannot be read, is no JSON, no report, or a report of another version.
    """
    if path.is_dir():
        path /= "report.json"
    try:
        content = read_plain(path, at_most_bytes=_LARGEST_BYTES)
    except OSError as error:
        raise ReportError(
            f"{path}: cannot read the report: {error.strerror}; expected the report.json of a finished run"
        ) from error
    return parse(content, source=str(path))


def parse(content: bytes | str, *, source: str) -> ReportDocument:
    """Return the report that JSON text holds; ``source`` is how an error names it.

    Raises:
        ReportError: it is no JSON, no report, or a report of another version.
    """
    if isinstance(content, bytes):
        content = content.removeprefix(codecs.BOM_UTF8)  # as some editors begin every file
    try:
        return ReportDocument.model_validate_json(content)
    except ValidationError as error:
        raise ReportError(f"{source}: {_why(content, error)}") from error


def _why(content: bytes | str, error: ValidationError) -> str:
    """Say what is wrong; a wrong version explains every other difference, so it is named alone."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    if problems[0]["type"] == "json_invalid":
        return f"not JSON: {problems[0]['msg'].removeprefix('Invalid JSON: ')}; the file may be cut short"
    try:
        document = foreign_json.parse(content)
    except ValueError as problem:  # pydantic lets a little more through
        return f"not JSON: {problem}"
    if not isinstance(document, dict) or "schema" not in document:
        return f'not a report: expected an object with "schema": "{SCHEMA}"'
    schema = document["schema"]
    if schema != SCHEMA:
        if isinstance(schema, str) and schema.startswith(f"{_FAMILY}/"):
            return f"a report of another version: {schema[:80]!r}, and this pytest-thor reads {SCHEMA!r}; update it"
        said = "no text" if isinstance(schema, dict | list) else f"{str(schema)[:80]!r}"
        return f'not a report: "schema" is {said}, expected "{SCHEMA}"'
    told = [f"{_place(problem['loc'])}: {problem['msg'][:_LONGEST]}" for problem in problems[:_SHOWN]]
    more = len(problems) - len(told)
    return "not a whole report: " + "; ".join(told) + (f"; and {more} more" if more else "")


def _place(steps: tuple[int | str, ...]) -> str:
    """Return where a problem is; a name that somebody made up may be as long as the file."""
    return ".".join(str(step) if len(str(step)) <= _LONGEST else f"{str(step)[:_LONGEST]}…" for step in steps)
