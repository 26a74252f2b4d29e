"""The table of tensors in a GGUF header: names, shapes, types, and where their bytes lie."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import zip_longest
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
    listed = [_read_row(source, f"{index + 1} of {count}", alignment) for index in range(count)]
    for name, times in Counter(tensor.name for tensor in listed).items():
        if times > 1:
            raise source.invalid(f"the tensor {shown(name)} is listed {times} times")
    data_start = -(-source.position // alignment) * alignment
    return _placed(source, [row._replace(offset=data_start + row.offset) for row in listed])


class _Row(NamedTuple):
    """A tensor as the table has it; its size is 0 where its type is not known."""

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    size_bytes: int


def _read_row(source: HeaderBytes, which: str, alignment: int) -> _Row:
    """Read one entry; its size is that of its type, or 0 where the type is unknown."""
    start = source.position
    name = source.text(MAX_NAME_BYTES, f"the name of tensor {which}")
    label = f"the tensor {shown(name)}"
    dimensions = source.u32(f"the number of dimensions of {label}")
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise source.invalid(f"expected 1 to {MAX_DIMENSIONS} dimensions of {label}, found {dimensions}", at=start)
    *shape_found, number, offset = source.numbers(_PLACES[dimensions], f"the shape, type and offset of {label}")
    shape = tuple(shape_found)
    elements = math.prod(shape)
    if max(shape) >= 2**63 or elements >= 2**63:
        raise source.invalid(f"{label} claims the shape {shape}, more than can be counted", at=start)
    if offset % alignment:
        raise source.invalid(f"expected {label} at a multiple of {alignment} bytes, found {offset}", at=start)
    known = GGML_TYPES.get(number)
    if known and shape[0] % known.block_elements:
        raise source.invalid(
            f"expected rows of a multiple of {known.block_elements} elements in {label}, as {known.name} has, "
            f"found {shape[0]}",
            at=start,
        )
    return _Row(
        name=name,
        shape=shape,
        type=known.name if known else f"{_UNKNOWN}{number}",
        offset=offset,
        size_bytes=elements // known.block_elements * known.block_bytes if known else 0,
    )


def _placed(source: HeaderBytes, tensors: list[_Row]) -> tuple[GgufTensor, ...]:
    """Make sure that the tensors lie within the file and beside one another.

    One of an unknown type is given the room up to the next, so that the quants of a new llama.cpp can be measured
    before they are known here.
    """
    ordered = sorted(tensors, key=lambda tensor: tensor.offset)
    sizes: dict[str, int] = {}
    for tensor, following in zip_longest(ordered, ordered[1:]):
        limit = following.offset if following else source.size_bytes
        size = max(limit - tensor.offset, 0) if tensor.type.startswith(_UNKNOWN) else tensor.size_bytes
        end = tensor.offset + size
        if end > source.size_bytes:
            raise source.invalid(
                f"the file ends here, but the tensor {shown(tensor.name)} reaches to byte {end}; "
                "it is truncated or still being downloaded",
                at=source.size_bytes,
            )
        if end > limit:
            raise source.invalid(f"the tensor {shown(tensor.name)} reaches over the start of the next one", at=limit)
        sizes[tensor.name] = size
    return tuple(
        GgufTensor(name=row.name, shape=row.shape, type=row.type, offset=row.offset, size_bytes=sizes[row.name])
        for row in tensors
    )
