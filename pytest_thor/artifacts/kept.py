"""Files that took long to make: kept by what they were made of, and put in their place only when they are whole."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pytest_thor.artifacts.gguf_header import header_sha256, read_header
from pytest_thor.artifacts.gguf_model import shard_paths
from pytest_thor.artifacts.hf_config import read_json
from pytest_thor.artifacts.identity import content_identity
from pytest_thor.errors import ArtifactError, ArtifactInvalid, ArtifactMissing
from pytest_thor.files import atomic_write_text
from pytest_thor.foreign_file import file_sha256
from pytest_thor.units import format_bytes

_ROOM_BYTES = 64 << 20  # for headers, provenance, and a file system's own needs
_LONGEST_STEM = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A GGUF file that was made: where it is, and of what, as its provenance beside it says."""

    path: Path
    provenance: dict[str, Any]


def place(folder: Path, stem: str, quant: str, *made_of: str | None) -> Path:
    """Return where a file is kept: its name ends in a hash of all that it is ``made_of``."""
    key = hashlib.sha256("\0".join(map(str, made_of)).encode()).hexdigest()[:12]
    plain = re.sub(r"[{}\s\x00-\x1f\x7f]+", "-", stem)[:_LONGEST_STEM]
    return folder / f"{plain}-{quant}-{key}.gguf"


def made_before(target: Path, quant: str) -> Made | None:
    """Return the finished file at ``target`` if it still is, in that quant, what its provenance says."""
    try:
        header, provenance = read_header(target), read_json(target.with_suffix(".json"))
        told = (provenance or {}).get("size_bytes"), (provenance or {}).get("header_sha256")
        if provenance is None or header.quant != quant or told != (header.size_bytes, header_sha256(header)):
            return None
    except (ArtifactMissing, ArtifactInvalid):
        return None
    return Made(path=target, provenance=dict(provenance))


@contextlib.contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """Give a temporary name beside ``target``, and leave nothing under it."""
    path = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def put_in_place(written: Path, target: Path, quant: str, origin: Mapping[str, Any]) -> Made:
    """Give a written file its name, once it is sound, in the quant asked for, and on the disk.

    Raises:
        ArtifactInvalid: it is cut short, as a full disk leaves it, or in another quant.
        ArtifactMissing: nothing was written.
    """
    header = read_header(written)
    if header.quant != quant or not header.tensors:
        found = header.quant if header.tensors else "a file without tensors"
        raise ArtifactInvalid(f"{quant} was asked for and {found} was made; it was thrown away")
    with written.open("rb") as file:
        os.fsync(file.fileno())
    provenance = {**origin, "size_bytes": header.size_bytes, "header_sha256": header_sha256(header)}
    atomic_write_text(target.with_suffix(".json"), json.dumps(provenance, indent=2) + "\n")
    written.replace(target)
    return Made(path=target, provenance=provenance)


def check_space(target: Path, needed_bytes: float) -> None:
    """Make sure that there is room for a file of so many bytes.

    Raises:
        ArtifactError: there is not.
    """
    needed, free = _ROOM_BYTES + round(needed_bytes), shutil.disk_usage(target.parent).free
    if free < needed:
        raise ArtifactError(
            f"{target}: needs about {format_bytes(needed)}, but {format_bytes(free)} are free there; free some space "
            "or choose another cache"
        )


def content_sha256(path: Path, folder: Path, tell: Callable[[str], None]) -> str:
    """Return the hash of a model's or any other file's content, remembered in ``folder`` until something changes.

    Raises:
        ArtifactError: it is not there, not sound, or cannot be read.
    """
    note = folder / f".{hashlib.sha256(_state(path)).hexdigest()[:16]}.sha256"
    with contextlib.suppress(OSError, ValueError):
        remembered = note.read_text(encoding="ascii").strip()
        if re.fullmatch(r"[0-9a-f]{64}", remembered):
            return remembered
    tell(f"reading {path.name} for its hash")
    is_model = path.suffix == ".gguf" or path.is_dir()
    found = content_identity(path, full=True).sha256 if is_model else file_sha256(path)
    assert found is not None
    atomic_write_text(note, f"{found}\n")
    return found


def _state(path: Path) -> bytes:
    """Return what changes when a file, one of its shards, or anything in a folder does."""
    states = []
    for file in sorted(path.iterdir()) if path.is_dir() else shard_paths(path):
        with contextlib.suppress(FileNotFoundError):  # whoever reads the content says that it is missing
            status = file.stat()
            states.append(f"{file.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ino}")
    return "\n".join(states).encode(errors="surrogateescape")


@contextlib.contextmanager
def only_maker(folder: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Let one process at a time make files in a folder, and clean up after one that was killed."""
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell("waiting for another process that makes a model")
        lock.acquire()
    try:
        for leftover in folder.glob(".*.unfinished"):
            leftover.unlink(missing_ok=True)
        yield
    finally:
        lock.release()
