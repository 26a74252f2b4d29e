"""Everything else about every cell, as it stands in report.json: compressed, and read by the page on a click.

A run of 1,000 cells has megabytes of samples and evidence, of which a reader opens a few. They stand in chunks, so that
one click unpacks a few cells only. No text from outside stands in the page as it is: base64 has none of its signs.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticSerializationError

from pytest_thor.plain_text import cleaned
from pytest_thor.report.document import CellRecord

CHUNK_BYTES = 256 * 1024
"""A chunk ends with the cell that brings it to so many bytes of JSON."""
_LEVEL = 1  # the samples are noise and do not shrink at any level; the rest shrinks at the first


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Cells ``first`` and the following: a JSON array of their records, compressed by gzip, as base64."""

    first: int
    content: str


def chunks(records: Sequence[CellRecord]) -> Iterator[Chunk]:
    """Yield the cells, in order, in chunks."""
    gathered: list[bytes] = []
    size_bytes, first = 0, 0
    for index, record in enumerate(records):
        text = record_json(record)
        gathered.append(text)
        size_bytes += len(text)
        if size_bytes >= CHUNK_BYTES:
            yield _chunk(first, gathered)
            gathered, size_bytes, first = [], 0, index + 1
    if gathered:
        yield _chunk(first, gathered)


def record_json(record: CellRecord) -> bytes:
    """Return a cell as report.json has it, less what hides or reorders letters; half a character is its escape."""
    try:
        written = record.model_dump_json()
    except PydanticSerializationError:  # half of a surrogate pair, out of a log or a file's name
        written = json.dumps(_plain(record.model_dump()), allow_nan=False)
    return cleaned(written).encode()


def _chunk(first: int, gathered: Sequence[bytes]) -> Chunk:
    packed = gzip.compress(b"[" + b",".join(gathered) + b"]", _LEVEL, mtime=0)
    return Chunk(first=first, content=base64.b64encode(packed).decode())


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
