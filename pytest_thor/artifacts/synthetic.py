"""Models without a download: random weights in a published shape, quantized by the real quantizer, and kept.

An engine runs them at the real model's speed, because its arithmetic does not depend on the values.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from pytest_thor.artifacts.architectures import ARCHITECTURES, Architecture
from pytest_thor.artifacts.gguf_header import read_header
from pytest_thor.artifacts.gguf_types import FILE_TYPES
from pytest_thor.artifacts.hf_config import read_json, whole_number
from pytest_thor.artifacts.quant_mixture import mixture
from pytest_thor.artifacts.quantizer import quantize
from pytest_thor.errors import ArtifactError, ArtifactInvalid, ArtifactMissing
from pytest_thor.files import atomic_write_text
from pytest_thor.units import format_bytes

GENERATOR_VERSION = 2
"""Counts what changes the bytes of a synthetic model. 1: the first. 2: no token is a part of a character."""

SEED = 20_250_428
LARGE_BASE_BYTES = 8 << 30
_FLOATS = ("F16", "BF16", "F32")
_ROOM_BYTES = 64 << 20  # for the header, the provenance, and a file system's own needs


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recipe:
    """What to make, where, with which program, and whom to tell."""

    architecture: Architecture
    quant: str
    folder: Path
    quantizer: Path | None
    on_progress: Callable[[str], None] | None

    @property
    def target(self) -> Path:
        """The finished file; its name ends in the key."""
        return self.folder / f"{self.architecture.name}-{self.quant}-synthetic-{self.key}.gguf"

    @property
    def key(self) -> str:
        """A hash of all that decides the bytes, but for the quantizer."""
        a = self.architecture
        content = (GENERATOR_VERSION, SEED, a.gguf, a.heads, a.context, a.experts_used, a.tensors)
        return hashlib.sha256(repr(content).encode()).hexdigest()[:8]

    @property
    def is_written(self) -> bool:
        """Whether it is written as it is, and not quantized from F16."""
        return self.quant in _FLOATS or (self.architecture.gguf == "gpt-oss" and self.quant == "MXFP4")

    def tell(self, step: str) -> None:
        if self.on_progress is not None:
            self.on_progress(f"{self.architecture.name} {self.quant} (synthetic): {step}")


def make_synthetic(
    architecture: str,
    quant: str,
    *,
    cache: Path,
    quantizer: Path | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Path:
    """Return a GGUF file with random weights in a known shape, made in the folder ``cache`` unless it is there.

    ``architecture`` is a name in :data:`~pytest_thor.artifacts.architectures.ARCHITECTURES`, ``quant`` a GGUF quant
    such as ``Q4_K_M``. F16, BF16 and F32 are written as they are, and so is gpt-oss in MXFP4, as it is published; the
    others are quantized from F16 by the llama-quantize at ``quantizer`` (None finds one). The F16 file is kept for the
    next quant, unless it is over 8 GiB and nobody asked for it. Beside each file stands a ``.json`` that says how it
    was made. Files of an earlier version of the generator are removed once their successor is there. Any number of
    processes may ask at once.

    Raises:
        ArtifactError: the name is not known, the packages or the quantizer are missing, the quantizer failed, or the
            disk is full. Nothing half-written is left.
    """
    recipe = _Recipe(
        architecture=known_architecture(architecture),
        quant=_known_quant(quant),
        folder=cache / architecture,
        quantizer=quantizer,
        on_progress=on_progress,
    )
    try:
        if _is_sound(recipe):
            _clean_up(recipe)
            return recipe.target
        recipe.folder.mkdir(parents=True, exist_ok=True)
        with _only_maker(recipe):
            if not _is_sound(recipe):  # another process may have made it meanwhile
                _make(recipe)
            _remove_superseded(recipe)
    except OSError as error:
        raise ArtifactError(
            f"{recipe.target}: cannot be made: {error.strerror or error}; free some space or choose another cache"
        ) from error
    return recipe.target


def _make(recipe: _Recipe) -> None:
    if recipe.is_written:
        _check_space(recipe, [recipe])
        _write(recipe)
        return
    base = replace(recipe, quant="F16")
    was_there = _is_sound(base)
    _check_space(recipe, [recipe] if was_there else [recipe, base])
    if not was_there:
        _write(base)
    try:
        with _unfinished(recipe) as target:
            program = recipe.quantizer
            build = quantize(base.target, target, recipe.quant, program=program, on_progress=recipe.tell)
            _finish(recipe, target, {"made_from": base.target.name, "quantizer_build": build})
    finally:
        if not was_there and base.target.stat().st_size > LARGE_BASE_BYTES:
            base.target.unlink()
            _provenance(base).unlink(missing_ok=True)


def _write(recipe: _Recipe) -> None:
    try:
        # An extra that not everybody installs, and half a second of imports that only this needs.
        from pytest_thor.artifacts.synthetic_weights import write_weights
    except ImportError as error:
        raise ArtifactError(
            f"synthetic models need the packages gguf and numpy ({error}): pip install 'pytest-thor[synthetic]'"
        ) from error
    with _unfinished(recipe) as target:
        write_weights(target, recipe.architecture, recipe.quant, seed=SEED, on_progress=recipe.tell)
        _finish(recipe, target, {})


@contextlib.contextmanager
def _unfinished(recipe: _Recipe) -> Iterator[Path]:
    """Give a temporary name beside the target, and leave nothing under it."""
    path = recipe.folder / f".{recipe.target.name}.{os.getpid()}.unfinished"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _finish(recipe: _Recipe, unfinished: Path, origin: dict[str, str | None]) -> None:
    """Put a written file in its place, once it is sound and on the disk; its provenance comes first."""
    made = read_header(unfinished).quant
    if made != recipe.quant:
        raise ArtifactInvalid(f"the quantizer was asked for {recipe.quant} and made {made}; the file was thrown away")
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    provenance = {
        "architecture": recipe.architecture.name,
        "quant": recipe.quant,
        "seed": SEED,
        "generator_version": GENERATOR_VERSION,
        **origin,
    }
    atomic_write_text(_provenance(recipe), json.dumps(provenance, indent=2) + "\n")
    unfinished.replace(recipe.target)


def _provenance(recipe: _Recipe) -> Path:
    return recipe.target.with_suffix(".json")


def _is_sound(recipe: _Recipe) -> bool:
    """Tell whether the finished file is there and whole."""
    try:
        return read_header(recipe.target).quant == recipe.quant
    except (ArtifactMissing, ArtifactInvalid):
        return False


def _superseded(recipe: _Recipe) -> Iterator[Path]:
    """Yield this shape's files of earlier versions of the generator whose successor is there.

    Only what has a name that is made here, and a provenance beside it that says so: nothing of anybody else's, and
    nothing of a later version that shares this cache.
    """
    name = re.compile(re.escape(recipe.architecture.name) + r"-(?P<quant>\w+)-synthetic-(?P<key>[0-9a-f]{8})\.gguf")
    for path in recipe.folder.iterdir():
        match = name.fullmatch(path.name)
        if match is None or match["quant"] not in FILE_TYPES.values() or match["key"] == recipe.key:
            continue
        if not replace(recipe, quant=match["quant"]).target.exists():
            continue
        with contextlib.suppress(ArtifactError):
            told = read_json(path.with_suffix(".json")) or {}
            version = whole_number(told, "generator_version")
            if told.get("architecture") == recipe.architecture.name and version and version < GENERATOR_VERSION:
                yield path


def _remove_superseded(recipe: _Recipe) -> None:
    for path in list(_superseded(recipe)):
        path.unlink(missing_ok=True)  # an engine that runs it still keeps it
        path.with_suffix(".json").unlink(missing_ok=True)


def _clean_up(recipe: _Recipe) -> None:
    """Remove superseded files where that is possible now: not while another process makes some, nor for readers."""
    with contextlib.suppress(OSError):  # a Timeout is one
        if any(_superseded(recipe)):
            with FileLock(recipe.folder / ".lock", timeout=0):
                _remove_superseded(recipe)


@contextlib.contextmanager
def _only_maker(recipe: _Recipe) -> Iterator[None]:
    """Let one process at a time make files of an architecture, and clean up after one that was killed.

    One lock for all its quants: they share the F16 file, and a quantizer uses every core anyway.
    """
    lock = FileLock(recipe.folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        recipe.tell("waiting for another process that makes a model of this shape")
        lock.acquire()
    try:
        for leftover in recipe.folder.glob(".*.unfinished"):
            leftover.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def _check_space(recipe: _Recipe, files: Iterable[_Recipe]) -> None:
    needed = _ROOM_BYTES + sum(_expected_bytes(file) for file in files)
    free = shutil.disk_usage(recipe.folder).free
    if free < needed:
        raise ArtifactError(
            f"{recipe.target}: needs about {format_bytes(needed)}, but {format_bytes(free)} are free there; "
            "free some space or choose another cache"
        )


def _expected_bytes(recipe: _Recipe) -> int:
    """Estimate a file's size, rather too large: mixtures keep some tensors in a wider type than expected here."""
    exact = sum(tensor.size_bytes for tensor in mixture(recipe.architecture, recipe.quant))
    return exact if recipe.is_written else math.ceil(1.05 * exact)


def known_architecture(name: str) -> Architecture:
    """Return the shape of a name.

    Raises:
        ArtifactError: it is not known.
    """
    architecture = ARCHITECTURES.get(name)
    if architecture is None:
        raise ArtifactError(f"no known architecture {name!r}{_nearest(name, ARCHITECTURES)}")
    return architecture


def _known_quant(name: str) -> str:
    if name not in FILE_TYPES.values():
        raise ArtifactError(f"no GGUF quant {name!r}{_nearest(name, FILE_TYPES.values())}")
    return name


def _nearest(name: str, known: Iterable[str]) -> str:
    names = list(known)
    by_folded = {each.casefold(): each for each in names}
    near = difflib.get_close_matches(name.casefold(), by_folded, n=1)
    return f"; did you mean {by_folded[near[0]]!r}?" if near else f"; expected one of {', '.join(names)}"
