"""Quants that are missing, made from a model's floats by llama-quantize, and kept by what they were made of."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pytest_thor.artifacts.gguf_header import header_sha256, read_header
from pytest_thor.artifacts.gguf_model import read_model
from pytest_thor.artifacts.hf_config import read_json
from pytest_thor.artifacts.identity import content_identity
from pytest_thor.artifacts.quantizer import quantize
from pytest_thor.artifacts.quants import Quant, known_quant
from pytest_thor.cell import ArtifactReference
from pytest_thor.errors import ArtifactError, ArtifactInvalid, ArtifactMissing
from pytest_thor.files import atomic_write_text
from pytest_thor.units import format_bytes

_FLOATS = ("F32", "BF16", "F16")
_NOT_MADE = frozenset({"F32", "NVFP4"})
_ROOM_BYTES = 64 << 20
_MARGIN = 1.25  # mixtures keep some tensors in a wider type than their name says


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A quant that was made: where it is, and of what, as its provenance beside it says."""

    path: Path
    provenance: dict[str, Any]


def source_of(reference: ArtifactReference, quant: str, roots: Sequence[Path]) -> Path | None:
    """Return the floats that a missing GGUF quant can be made of: a file beside it, named alike but for its quant."""
    wanted = Path(reference.location)
    if reference.format != "gguf" or quant.lower() not in wanted.name.lower():
        return None
    pattern = re.compile(
        re.escape(wanted.stem.lower()).replace(re.escape(quant.lower()), f"(?:{'|'.join(_FLOATS).lower()})")
        + r"(?:-00001-of-\d{5})?\.gguf"
    )
    for root in roots:
        folder = (root / wanted).parent
        with contextlib.suppress(OSError):
            found = sorted(path for path in folder.iterdir() if pattern.fullmatch(path.name.lower()))
            if found:
                return found[0]
    return None


def make_quant(
    source: Path,
    quant: str,
    *,
    cache: Path,
    imatrix: Path | None = None,
    quantizer: Path | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Made:
    """Return a model in a quant, made from the floats at ``source`` unless the same was made before.

    ``source`` is a GGUF file in F32, BF16 or F16, or the first of its shards. The file is kept in the folder ``cache``
    under a name that ends in a hash of the source's content, the importance matrix's and the quant; beside it stands a
    ``.json`` that says how it was made. A file is put in its place only when it is whole and on the disk.

    Raises:
        ArtifactError: the quant or the quantizer is not known, the source has no floats, the importance matrix is
            wanted and missing, the quantizer failed, or the disk is full. Nothing half-written is left.
    """
    known = _makeable(quant)
    if known.wants_imatrix and imatrix is None:
        raise ArtifactError(f"{known.name} is not made without an importance matrix; give one, or take a K-quant")
    model = read_model(source)
    if model.quant not in _FLOATS:
        raise ArtifactInvalid(
            f"{source}: is {model.quant}; a quant is made from F32, BF16 or F16: one made from another loses twice"
        )
    tell = on_progress or (lambda _step: None)
    folder = cache / "quantized"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        content = _content_sha256(model.path, folder, tell)
        guided = _content_sha256(imatrix, folder, tell) if imatrix else None
        key = hashlib.sha256(f"{content}\0{guided}\0{known.name}".encode()).hexdigest()[:12]
        stem = re.sub(r"-00001-of-\d{5}$", "", model.path.stem)
        target = folder / f"{stem[:120]}-{known.name}-{key}.gguf"
        with _only_maker(folder, tell):
            made = _made_before(target, known)
            if made is not None:
                return made
            _check_space(target, model.parameters, known)
            recipe = _Recipe(
                source=model.path, content=content, imatrix=imatrix, guided=guided, target=target, quant=known
            )
            return _make(recipe, quantizer, tell)
    except OSError as error:
        raise ArtifactError(
            f"{known.name} of {source}: cannot be made: {error.strerror or error}; free some space or choose another "
            "cache"
        ) from error


def _makeable(quant: str) -> Quant:
    known = known_quant(quant)
    if known is None or known.mixes_as is None or known.mixes_as in _NOT_MADE or known.name.startswith("Q4_0_"):
        raise ArtifactError(f"llama-quantize makes no {quant}; expected a GGUF quant such as Q4_K_M")
    return known


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recipe:
    """What to make of what; ``content`` and ``guided`` are the hashes of the source and the importance matrix."""

    source: Path
    content: str
    imatrix: Path | None
    guided: str | None
    target: Path
    quant: Quant


def _make(recipe: _Recipe, quantizer: Path | None, tell: Callable[[str], None]) -> Made:
    target, quant, imatrix = recipe.target, recipe.quant, recipe.imatrix
    assert quant.mixes_as is not None
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    options = ["--imatrix", str(imatrix)] if imatrix else []
    if quant.wide_tables:
        options += ["--token-embedding-type", "q8_0", "--output-tensor-type", "q8_0"]
    try:
        build = quantize(
            recipe.source, unfinished, quant.mixes_as, program=quantizer, on_progress=tell, options=tuple(options)
        )
        header = read_header(unfinished)  # a file that a full disk cut short ends before its tensors do
        if header.quant != quant.mixes_as:
            raise ArtifactInvalid(f"the quantizer was asked for {quant.mixes_as} and made {header.quant}")
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        provenance = {
            "quant": quant.name,
            "made_from": str(recipe.source),
            "made_from_sha256": recipe.content,
            "imatrix": str(imatrix) if imatrix else None,
            "imatrix_sha256": recipe.guided,
            "quantizer_build": build,
            "size_bytes": header.size_bytes,
            "header_sha256": header_sha256(header),
        }
        atomic_write_text(_provenance(target), json.dumps(provenance, indent=2) + "\n")
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return Made(path=target, provenance=provenance)


def _made_before(target: Path, quant: Quant) -> Made | None:
    """Return a finished file that still is what its provenance says."""
    try:
        header, provenance = read_header(target), read_json(_provenance(target))
    except (ArtifactMissing, ArtifactInvalid):
        return None
    told = (provenance or {}).get("size_bytes"), (provenance or {}).get("header_sha256")
    if provenance is None or header.quant != quant.mixes_as or told != (header.size_bytes, header_sha256(header)):
        return None
    return Made(path=target, provenance=dict(provenance))


def _provenance(target: Path) -> Path:
    return target.with_suffix(".json")


def _check_space(target: Path, parameters: int, quant: Quant) -> None:
    needed = _ROOM_BYTES + round(parameters * min(_MARGIN * quant.bits, 16.0) / 8)
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise ArtifactError(
            f"{target}: needs about {format_bytes(needed)}, but {format_bytes(free)} are free there; free some space "
            "or choose another cache"
        )


def _content_sha256(path: Path, folder: Path, tell: Callable[[str], None]) -> str:
    """Return the hash of a model's or an importance matrix's content, remembered until the file changes."""
    status = path.stat()
    state = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ino}"
    note = folder / f".{hashlib.sha256(state.encode(errors='surrogateescape')).hexdigest()[:16]}.sha256"
    with contextlib.suppress(OSError, ValueError):
        remembered = note.read_text(encoding="ascii").strip()
        if re.fullmatch(r"[0-9a-f]{64}", remembered):
            return remembered
    tell(f"reading {path.name} for its hash")
    found = content_identity(path, full=True).sha256 if path.suffix == ".gguf" else _file_sha256(path)
    assert found is not None
    atomic_write_text(note, f"{found}\n")
    return found


def _file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(4 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def _only_maker(folder: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Let one process at a time quantize, and clean up after one that was killed."""
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell("waiting for another process that quantizes")
        lock.acquire()
    try:
        for leftover in folder.glob(".*.unfinished"):
            leftover.unlink(missing_ok=True)
        yield
    finally:
        lock.release()
