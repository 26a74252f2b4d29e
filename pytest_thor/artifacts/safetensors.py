"""What a safetensors file says of itself: whether all of it is there, and how many numbers it holds."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, NamedTuple

from pytest_thor import foreign_json
from pytest_thor.errors import ArtifactError, ArtifactInvalid, ArtifactMissing
from pytest_thor.foreign_file import UnfitFileError, open_plain

MAX_HEADER_BYTES = 100_000_000
"""As the format's own reader has it."""
_MOST_DIMENSIONS = 32


class SafetensorsFile(NamedTuple):
    """The size of a whole file, and the elements of all its tensors as they are stored."""

    size_bytes: int
    elements: int


def read_safetensors(path: Path) -> SafetensorsFile:
    """Read the header of a safetensors file, and hold the file's size against it.

    Raises:
        ArtifactMissing: there is no such file.
        ArtifactInvalid: it is cut short, or not safetensors.
        ArtifactError: it cannot be read.
    """
    try:
        with open_plain(path) as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or not 2 <= length <= MAX_HEADER_BYTES or 8 + length > size:
                raise ArtifactInvalid(f"{path}: is not a safetensors file, or cut short in its header; fetch it again")
            content = file.read(length)
    except FileNotFoundError:
        reason = "is a broken link" if path.is_symlink() else "there is no such file"
        raise ArtifactMissing(f"{path}: {reason}") from None
    except UnfitFileError as error:
        raise ArtifactInvalid(f"{path}: {error.strerror}; expected safetensors") from None
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror or error}") from None
    try:
        header = foreign_json.parse(content)
        tensors = [tensor for name, tensor in header.items() if name != "__metadata__"]
        wanted = 8 + length + max((_count(tensor["data_offsets"][1]) for tensor in tensors), default=0)
        elements = sum(_elements(tensor["shape"]) for tensor in tensors)
    except (ValueError, AttributeError, TypeError, KeyError, IndexError):
        raise ArtifactInvalid(f"{path}: its header is not that of a safetensors file; fetch it again") from None
    if wanted != size:
        how = "truncated or still being downloaded" if size < wanted else "followed by something else"
        raise ArtifactInvalid(f"{path}: expected {wanted} bytes, as its header says, found {size}; it is {how}")
    return SafetensorsFile(size, elements)


def _elements(shape: Any) -> int:  # noqa: ANN401 - JSON is anything
    """Return how many numbers a tensor of a shape holds.

    Raises:
        ValueError: it is no shape, or one of more than can be counted; of what is neither, Python's product would be
            a text, a list or a number without end.
    """
    if not isinstance(shape, list) or len(shape) > _MOST_DIMENSIONS:
        raise ValueError("no shape")
    return _count(math.prod(map(_count, shape)))


def _count(value: Any) -> int:  # noqa: ANN401 - JSON is anything
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError("no count")
    return value
