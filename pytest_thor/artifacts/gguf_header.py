"""Reading the header of one GGUF file: what the model is, without touching its weights.

The reader trusts nothing: every count, length and offset is held against the file's size and against limits, and
what does not fit is an :class:`~pytest_thor.errors.ArtifactInvalid` that names file, byte and expectation.
"""

from __future__ import annotations

import contextlib
import hashlib
import stat
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pytest_thor.artifacts.gguf_bytes import MAX_KEY_BYTES, HeaderBytes, shown
from pytest_thor.artifacts.gguf_tensors import GgufTensor, read_tensors
from pytest_thor.artifacts.gguf_types import FILE_TYPES
from pytest_thor.cell import Scalar
from pytest_thor.errors import ArtifactError, ArtifactInvalid, ArtifactMissing

MAX_ENTRIES = 100_000  # of metadata and of tensors; the largest known models have 100 and 2,000
_DEFAULT_ALIGNMENT = 32
_FOREIGN = {
    b"vers": "a Git LFS pointer; fetch the file itself with `git lfs pull`",
    b"PK\x03\x04": "a zip archive, perhaps a PyTorch checkpoint",
    b"<!DO": "a web page, perhaps a failed download",
    b"<htm": "a web page, perhaps a failed download",
    b"lmgg": "a GGML file from before GGUF",
    b"tjgg": "a GGJT file from before GGUF",
    b"\0\0\0\0": "an unfinished download",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufSplit:
    """Which shard of how many a file is; ``number`` counts from 0, ``tensors`` are those of all shards."""

    number: int
    count: int
    tensors: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufHeader:
    """What the header of one GGUF file says.

    ``architecture`` and other figures are None where the file does not say them: shards after the first never do.
    ``metadata`` holds every scalar; arrays and strings longer than 1 KiB are None in it. ``header_bytes`` is where
    the tensor table ends; :func:`header_sha256` is taken over the bytes before.
    """

    path: Path
    version: int
    architecture: str | None
    name: str | None
    file_type: int | None
    quant: str | None
    parameters: int
    context_length: int | None
    block_count: int | None
    expert_count: int | None
    expert_used_count: int | None
    split: GgufSplit | None
    tensors: tuple[GgufTensor, ...]
    tensor_bytes: int
    size_bytes: int
    header_bytes: int
    metadata: Mapping[str, Scalar]


def read_header(path: Path) -> GgufHeader:
    """Read the header of one GGUF file, which may be one shard of a model.

    Raises:
        ArtifactMissing: there is no such file.
        ArtifactInvalid: it is truncated, foreign, hostile or of a version that is not read (1, big-endian).
        ArtifactError: it cannot be read for another reason, such as its permissions.
    """
    with _opened(path) as source:
        return _read(source)


def header_sha256(header: GgufHeader) -> str:
    """Return the hash of a file's header, without any weight: of its bytes up to the end of the tensor table.

    Raises:
        ArtifactMissing: the file is there no longer.
        ArtifactInvalid: it became shorter than its header.
        ArtifactError: it cannot be read.
    """
    with _opened(header.path) as source:
        return hashlib.sha256(source.take(header.header_bytes, "the header")).hexdigest()


def read_integers(path: Path, key: str) -> tuple[int, array[int] | None] | None:
    """Return the length of an array in a GGUF file's metadata, and its elements if they are 32-bit integers.

    None is returned where the metadata has no such key.

    Raises:
        ArtifactMissing: there is no such file.
        ArtifactInvalid: it is not a sound GGUF file, or the key's value is no array.
        ArtifactError: it cannot be read for another reason, such as its permissions.
    """
    with _opened(path) as source:
        _read_version(source)
        _read_count(source, "tensors", smallest_bytes=24)
        count = _read_count(source, "metadata entries", smallest_bytes=13)
        for index in range(count):
            found = source.text(MAX_KEY_BYTES, f"metadata key {index + 1} of {count}")
            if found == key:
                return source.integers(shown(key))
            source.value(shown(found))
    return None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[HeaderBytes]:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a named pipe would wait for ever
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise ArtifactInvalid(f"{path}: is {kind}; expected a GGUF file")
        with path.open("rb", buffering=0) as file:
            yield HeaderBytes(path, file, status.st_size)
    except FileNotFoundError:
        reason = "is a broken link" if path.is_symlink() else "there is no such file"
        raise ArtifactMissing(f"{path}: {reason}") from None
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror or error}") from None


def _read(source: HeaderBytes) -> GgufHeader:
    version = _read_version(source)
    tensor_count = _read_count(source, "tensors", smallest_bytes=24)
    metadata = _read_metadata(source, _read_count(source, "metadata entries", smallest_bytes=13))
    tensors = read_tensors(source, tensor_count, _alignment(source, metadata))
    architecture = _text(source, metadata, "general.architecture")
    file_type = _number(source, metadata, "general.file_type")
    return GgufHeader(
        path=source.path,
        version=version,
        architecture=architecture,
        name=_text(source, metadata, "general.name"),
        file_type=file_type,
        quant=_quant(file_type, tensors),
        parameters=sum(tensor.elements for tensor in tensors),
        context_length=_number(source, metadata, f"{architecture}.context_length"),
        block_count=_number(source, metadata, f"{architecture}.block_count"),
        expert_count=_number(source, metadata, f"{architecture}.expert_count"),
        expert_used_count=_number(source, metadata, f"{architecture}.expert_used_count"),
        split=_split(source, metadata),
        tensors=tensors,
        tensor_bytes=sum(tensor.size_bytes for tensor in tensors),
        size_bytes=source.size_bytes,
        header_bytes=source.position,
        metadata=MappingProxyType(metadata),
    )


def _read_version(source: HeaderBytes) -> int:
    if source.size_bytes == 0:
        raise source.invalid("the file is empty; expected a GGUF file")
    magic = source.take(4, "the magic")
    if magic != b"GGUF":
        looks = f", which looks like {_FOREIGN[magic]}" if magic in _FOREIGN else ""
        raise source.invalid(f"expected the magic GGUF, found {magic!r}{looks}", at=0)
    version = source.u32("the version")
    if version & 0xFFFF == 0 and version:
        raise source.invalid("a big-endian GGUF file; expected a little-endian one", at=4)
    if version not in (2, 3):
        hint = "; convert it again with a current llama.cpp" if version == 1 else ""
        raise source.invalid(f"expected GGUF version 2 or 3, found {version}{hint}", at=4)
    return version


def _read_count(source: HeaderBytes, what: str, smallest_bytes: int) -> int:
    start = source.position
    count = source.u64(f"the number of {what}")
    if count > MAX_ENTRIES or count * smallest_bytes > source.size_bytes:
        raise source.invalid(f"claims {count} {what}, more than the file or any model holds", at=start)
    return count


def _read_metadata(source: HeaderBytes, count: int) -> dict[str, Scalar]:
    metadata: dict[str, Scalar] = {}
    for index in range(count):
        start = source.position
        key = source.text(MAX_KEY_BYTES, f"metadata key {index + 1} of {count}")
        if key in metadata:
            raise source.invalid(f"the metadata key {shown(key)} stands there twice", at=start)
        metadata[key] = source.value(shown(key))
    return metadata


def _number(source: HeaderBytes, metadata: Mapping[str, Scalar], key: str) -> int | None:
    value = metadata.get(key)
    if value is None:  # not there, or a list with one value for each layer
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise source.invalid(f"expected {key} to be a whole number, found {value!r}")
    return value


def _text(source: HeaderBytes, metadata: Mapping[str, Scalar], key: str) -> str | None:
    value = metadata.get(key)
    if value is not None and not isinstance(value, str):
        raise source.invalid(f"expected {key} to be a string, found {value!r}")
    return value


def _alignment(source: HeaderBytes, metadata: Mapping[str, Scalar]) -> int:
    alignment = _number(source, metadata, "general.alignment")
    if alignment is None:
        return _DEFAULT_ALIGNMENT
    if alignment == 0 or alignment & (alignment - 1):
        raise source.invalid(f"expected general.alignment to be a power of 2, found {alignment}")
    return alignment


def _split(source: HeaderBytes, metadata: Mapping[str, Scalar]) -> GgufSplit | None:
    count = _number(source, metadata, "split.count")
    if not count:
        return None
    number = _number(source, metadata, "split.no")
    if number is None or number >= count:
        raise source.invalid(f"expected split.no below split.count ({count}), found {number}")
    return GgufSplit(number=number, count=count, tensors=_number(source, metadata, "split.tensors.count"))


def _quant(file_type: int | None, tensors: tuple[GgufTensor, ...]) -> str | None:
    """Name the quant by ``general.file_type``; where that is missing or unknown, by the type of most weights."""
    if file_type is not None and file_type in FILE_TYPES:
        return FILE_TYPES[file_type]
    elements: Counter[str] = Counter()
    for tensor in tensors:
        elements[tensor.type] += tensor.elements
    return elements.most_common(1)[0][0] if elements else None
