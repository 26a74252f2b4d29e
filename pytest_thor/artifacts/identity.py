"""What a model's files are, for the fingerprint: equal identities mean that two measurements ran the same model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pytest_thor.artifacts.gguf_model import headers_sha256, read_model
from pytest_thor.errors import ArtifactError, ArtifactInvalid, ArtifactMissing
from pytest_thor.foreign_file import file_sha256

_MODEL_SUFFIXES = frozenset({".safetensors", ".bin", ".pt", ".json", ".model", ".tiktoken", ".txt", ".jinja", ".py"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentIdentity:
    """Size and hashes of all of a model's files.

    ``header_sha256`` covers what the files say of themselves: the GGUF headers, or an HF directory's file names and
    sizes with its configuration and index. It is the same for two files of one shape and quant that differ in their
    weights only; ``sha256`` is not, but reads everything, so it is None unless it was asked for.
    """

    size_bytes: int
    header_sha256: str
    sha256: str | None


def content_identity(path: Path, *, full: bool = False) -> ContentIdentity:
    """Identify a GGUF model (one file, or any of its shards) or an HF directory.

    Raises:
        ArtifactMissing: it is not there, or not whole.
        ArtifactInvalid: it is neither a sound GGUF file nor a folder with a config.json.
        ArtifactError: it cannot be read.
    """
    if path.is_dir():
        return _directory_identity(path, full=full)
    model = read_model(path)
    shards = [header.path for header in model.headers]
    return ContentIdentity(
        size_bytes=model.size_bytes,
        header_sha256=headers_sha256(model),
        sha256=_sha256_of(shards) if full else None,
    )


def _directory_identity(folder: Path, *, full: bool) -> ContentIdentity:
    """Identify an HF directory by the files at its top: hidden ones, folders and notes are not the model."""
    try:
        files = sorted(file for file in folder.iterdir() if _is_of_the_model(file))
        if folder / "config.json" not in files:
            raise ArtifactInvalid(f"{folder}: has no config.json; expected an HF model's folder or a GGUF file")
        sizes = {file: file.stat().st_size for file in files}
        description = hashlib.sha256()
        for file, size in sizes.items():
            description.update(f"{file.name}\0{size}\n".encode())
            if file.suffix == ".json" and ("config" in file.name or "index" in file.name):
                description.update(_file_sha256(file).encode())
    except FileNotFoundError as error:
        raise ArtifactMissing(f"{error.filename}: is a broken link in {folder}; fetch the model again") from None
    except OSError as error:
        raise ArtifactError(f"{error.filename or folder}: cannot be read: {error.strerror or error}") from None
    return ContentIdentity(
        size_bytes=sum(sizes.values()),
        header_sha256=description.hexdigest(),
        sha256=_sha256_of(files) if full else None,
    )


def _is_of_the_model(file: Path) -> bool:
    return file.suffix in _MODEL_SUFFIXES and not file.name.startswith(".") and not file.is_dir()


def _sha256_of(files: list[Path]) -> str:
    """Return the hash of one file, or of the files' names and hashes in their order."""
    if len(files) == 1:
        return _file_sha256(files[0])
    lines = "".join(f"{_file_sha256(file)}  {file.name}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _file_sha256(file: Path) -> str:
    try:
        return file_sha256(file)
    except OSError as error:
        raise ArtifactError(f"{file}: cannot be read: {error.strerror or error}") from None
