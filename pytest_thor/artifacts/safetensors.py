"""What a safetensors file says of itself: whether all of it is there, and how many numbers it holds."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import NamedTuple

from pytest_thor.errors import ArtifactError, ArtifactInvalid, ArtifactMissing

MAX_HEADER_BYTES = 100_000_000
"""As the format's own reader has it."""


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
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or not 2 <= length <= MAX_HEADER_BYTES or 8 + length > size:
                raise ArtifactInvalid(f"{path}: is not a safetensors file, or cut short in its header; fetch it again")
            content = file.read(length)
    except FileNotFoundError:
        reason = "is a broken link" if path.is_symlink() else "there is no such file"
        raise ArtifactMissing(f"{path}: {reason}") from None
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror or error}") from None
    try:
        tensors = json.loads(content)
        ends = [tensor["data_offsets"][1] for name, tensor in tensors.items() if name != "__metadata__"]
        elements = sum(math.prod(tensor["shape"]) for name, tensor in tensors.items() if name != "__metadata__")
        wanted = 8 + length + max(ends, default=0)
    except (ValueError, RecursionError, AttributeError, TypeError, KeyError, IndexError):
        raise ArtifactInvalid(f"{path}: its header is not that of a safetensors file; fetch it again") from None
    if wanted != size:
        how = "truncated or still being downloaded" if size < wanted else "followed by something else"
        raise ArtifactInvalid(f"{path}: expected {wanted} bytes, as its header says, found {size}; it is {how}")
    return SafetensorsFile(size, elements)
