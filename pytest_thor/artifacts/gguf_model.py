"""One model from one GGUF file, or from the shards that llama.cpp splits large ones into."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pytest_thor.artifacts.gguf_header import GgufHeader, header_sha256, read_header
from pytest_thor.artifacts.gguf_tensors import GgufTensor
from pytest_thor.errors import ArtifactInvalid, ArtifactMissing

SHARD_NAME = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
"""How llama.cpp names shards; it finds the others by this name alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufModel:
    """A model as its GGUF files describe it; sizes and tensors are those of all shards together.

    ``path`` is the file that an engine is given: the first shard. ``size_bytes`` counts whole files,
    ``tensor_bytes`` weights only.
    """

    path: Path
    headers: tuple[GgufHeader, ...]
    architecture: str
    name: str | None
    quant: str | None
    parameters: int
    context_length: int | None
    block_count: int | None
    expert_count: int | None
    expert_used_count: int | None
    tensors: tuple[GgufTensor, ...]
    tensor_bytes: int
    size_bytes: int


def read_model(path: Path) -> GgufModel:
    """Read the headers of a model's files, given one file or any shard.

    Raises:
        ArtifactMissing: the file or some of its shards are not there; each missing one is named.
        ArtifactInvalid: a header is not sound, the shards do not belong together, or there are no weights.
        ArtifactError: a file cannot be read.
    """
    headers = _read_shards(path)
    first = headers[0]
    if first.architecture is None:
        raise ArtifactInvalid(f"{first.path}: does not say its general.architecture, so no engine can load it")
    tensors = tuple(tensor for header in headers for tensor in header.tensors)
    if not tensors:
        raise ArtifactInvalid(f"{first.path}: holds no tensors; expected a model, this is a vocabulary only")
    return GgufModel(
        path=first.path,
        headers=headers,
        architecture=first.architecture,
        name=first.name,
        quant=first.quant if first.file_type is not None else _quant_of_most_weights(headers),
        parameters=sum(header.parameters for header in headers),
        context_length=first.context_length,
        block_count=first.block_count,
        expert_count=first.expert_count,
        expert_used_count=first.expert_used_count,
        tensors=tensors,
        tensor_bytes=sum(header.tensor_bytes for header in headers),
        size_bytes=sum(header.size_bytes for header in headers),
    )


def headers_sha256(model: GgufModel) -> str:
    """Return the hash of a single file's header, or one over the shards' header hashes in their order.

    Raises:
        ArtifactError: a file changed, or cannot be read.
    """
    hashes = [header_sha256(header) for header in model.headers]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def shard_paths(path: Path) -> tuple[Path, ...]:
    """Return the paths of all shards of the model that ``path`` is a shard of, or ``path`` alone."""
    match = SHARD_NAME.fullmatch(path.name)
    if match is None:
        return (path,)
    stem, count = match["stem"], int(match["count"])
    return tuple(path.with_name(f"{stem}-{number:05d}-of-{count:05d}.gguf") for number in range(1, count + 1))


def _read_shards(path: Path) -> tuple[GgufHeader, ...]:
    given = read_header(path)
    if given.split is None or given.split.count == 1:
        return (given,)
    match = SHARD_NAME.fullmatch(path.name)
    place = (given.split.number + 1, given.split.count)
    if match is None or (int(match["number"]), int(match["count"])) != place:
        wanted = "…-{:05d}-of-{:05d}.gguf".format(*place)
        raise ArtifactInvalid(
            f"{path}: is shard {place[0]} of {place[1]} by its header, so its name has to end like {wanted}; "
            "llama.cpp finds the other shards by name"
        )
    paths = shard_paths(path)
    missing = [shard.name for shard in paths if not shard.exists()]
    if missing:
        named = ", ".join(missing[:10]) + (", …" if len(missing) > 10 else "")
        raise ArtifactMissing(f"{path}: {len(missing)} of its {len(paths)} shards are missing: {named}")
    headers = tuple(given if shard == path else read_header(shard) for shard in paths)
    _check_together(headers)
    return headers


def _check_together(headers: tuple[GgufHeader, ...]) -> None:
    """Make sure that shards of equal name are of one model."""
    first = headers[0]
    for index, header in enumerate(headers):
        found = (header.split.number, header.split.count, header.split.tensors) if header.split else None
        expected = (index, len(headers), first.split.tensors if first.split else None)
        if found != expected:
            raise ArtifactInvalid(
                f"{header.path}: expected (split.no, split.count, split.tensors.count) = {expected}, as its name and "
                f"{first.path.name} say, found {found}; the shards are not of one model"
            )
        if header.architecture not in (None, first.architecture):
            raise ArtifactInvalid(
                f"{header.path}: is {header.architecture}, but {first.path.name} is {first.architecture}"
            )
    names = [tensor.name for header in headers for tensor in header.tensors]
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise ArtifactInvalid(f"{first.path}: the tensor {twice!r} is in more than one shard")
    total = first.split.tensors if first.split else None
    if total is not None and total != len(names):
        raise ArtifactInvalid(f"{first.path}: expected {total} tensors in all shards, found {len(names)}")


def _quant_of_most_weights(headers: tuple[GgufHeader, ...]) -> str | None:
    """Without a file type, the quant of the shard with most weights stands for the model's."""
    return max(headers, key=lambda header: header.parameters).quant
