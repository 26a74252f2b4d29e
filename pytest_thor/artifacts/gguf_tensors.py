"""The table of tensors in a GGUF header: names, shapes, types, and where their bytes lie."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import zip_longest
from operator import attrgetter
from struct import Struct
from typing import NamedTuple

from pytest_thor.artifacts.gguf_bytes import HeaderBytes, shown
from pytest_thor.artifacts.gguf_types import GGML_TYPES

MAX_DIMENSIONS = 4
MAX_NAME_BYTES = 63  # as ggml has it
_PLACES = {dimensions: Struct(f"<{dimensions}QIQ") for dimensions in range(1, MAX_DIMENSIONS + 1)}
_UNKNOWN = "type-"  # a tensor type that is newer than the table here


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufTensor:
    """One tensor: ``shape`` has the row length first, ``offset`` counts from the start of the file."""

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    size_bytes: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


def read_tensors(source: HeaderBytes, count: int, alignment: int) -> tuple[GgufTensor, ...]:
    """Read the table, which ends the header, and hold every tensor's place against the file.

    Raises:
        ArtifactInvalid: a tensor cannot be, lies outside the file or over another, or two have one name.
    """
    rows = [_read_row(source, alignment) for _ in range(count)]
    if len({row.name for row in rows}) < count:
        name, times = Counter(row.name for row in rows).most_common(1)[0]
        raise source.invalid(f"the tensor {shown(name)} is listed {times} times")
    return _placed(source, rows, data_start=-(-source.position // alignment) * alignment)


class _Row(NamedTuple):
    """A tensor as the table has it, counted from the start of the data; its size is 0 where its type is not known."""

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    size_bytes: int


def _read_row(source: HeaderBytes, alignment: int) -> _Row:
    # A thousand files have 400,000 rows: no text is put together here unless there is something to complain about.
    start = source.position
    name = source.text(MAX_NAME_BYTES, "the name of a tensor")
    dimensions = source.u32("the number of dimensions of a tensor")
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise source.invalid(
            f"expected 1 to {MAX_DIMENSIONS} dimensions of the tensor {shown(name)}, found {dimensions}", at=start
        )
    *shape_found, number, offset = source.numbers(_PLACES[dimensions], "the shape, type and offset of a tensor")
    shape = tuple(shape_found)
    elements = math.prod(shape)
    if max(shape) >= 2**63 or elements >= 2**63:
        raise source.invalid(f"the tensor {shown(name)} claims the shape {shape}, more than can be counted", at=start)
    if offset % alignment:
        raise source.invalid(
            f"expected the tensor {shown(name)} at a multiple of {alignment} bytes, found {offset}", at=start
        )
    known = GGML_TYPES.get(number)
    if known is None:
        return _Row(name, shape, f"{_UNKNOWN}{number}", offset, 0)
    if shape[0] % known.block_elements:
        raise source.invalid(
            f"expected rows of a multiple of {known.block_elements} elements in the tensor {shown(name)}, as "
            f"{known.name} has, found {shape[0]}",
            at=start,
        )
    return _Row(name, shape, known.name, offset, elements // known.block_elements * known.block_bytes)


def _placed(source: HeaderBytes, rows: list[_Row], *, data_start: int) -> tuple[GgufTensor, ...]:
    """Make sure that the tensors lie within the file and beside one another.

    One of an unknown type is given the room up to the next, so that the quants of a new llama.cpp can be measured
    before they are known here.
    """
    ordered = sorted(rows, key=attrgetter("offset"))
    sizes: dict[str, int] = {}
    for row, following in zip_longest(ordered, ordered[1:]):
        offset = data_start + row.offset
        limit = data_start + following.offset if following else source.size_bytes
        size = max(limit - offset, 0) if row.type.startswith(_UNKNOWN) else row.size_bytes
        end = offset + size
        if end > source.size_bytes:
            raise source.invalid(
                f"the file ends here, but the tensor {shown(row.name)} reaches to byte {end}; "
                "it is truncated or still being downloaded",
                at=source.size_bytes,
            )
        if end > limit:
            raise source.invalid(f"the tensor {shown(row.name)} reaches over the start of the next one", at=limit)
        sizes[row.name] = size
    return tuple(
        GgufTensor(
            name=row.name, shape=row.shape, type=row.type, offset=data_start + row.offset, size_bytes=sizes[row.name]
        )
        for row in rows
    )
