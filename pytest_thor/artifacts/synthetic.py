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
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from pytest_thor.artifacts.architectures import ARCHITECTURES, Architecture
from pytest_thor.artifacts.gguf_header import read_header
from pytest_thor.artifacts.gguf_types import FILE_TYPES, GGML_TYPES
from pytest_thor.artifacts.quantizer import quantize
from pytest_thor.errors import ArtifactError, ArtifactInvalid, ArtifactMissing
from pytest_thor.files import atomic_write_text
from pytest_thor.units import format_bytes

GENERATOR_VERSION = 2
"""Counts what changes the bytes of a synthetic model. 1: the first. 2: no token is a part of a character."""

SEED = 20_250_428
LARGE_BASE_BYTES = 8 << 30
_FLOATS = ("F16", "BF16", "F32")
_FAMILIES = ("qwen3", "qwen3moe")
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
        """The finished file; its name ends in a hash of all that decides its bytes, but for the quantizer."""
        a = self.architecture
        content = (GENERATOR_VERSION, SEED, a.gguf, a.heads, a.context, a.experts_used, a.tensors)
        key = hashlib.sha256(repr(content).encode()).hexdigest()[:8]
        return self.folder / f"{a.name}-{self.quant}-synthetic-{key}.gguf"

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
    such as ``Q4_K_M``. F16, BF16 and F32 are written as they are; the others are quantized from F16 by the
    llama-quantize at ``quantizer`` (None finds one). The F16 file is kept for the next quant, unless it is over 8 GiB
    and nobody asked for it. Beside each file stands a ``.json`` that says how it was made. Any number of processes
    may ask at once.

    Raises:
        ArtifactError: the name is not known, the shape cannot be made yet, the packages or the quantizer are
            missing, the quantizer failed, or the disk is full. Nothing half-written is left.
    """
    recipe = _Recipe(
        architecture=known_architecture(architecture),
        quant=_known_quant(quant),
        folder=cache / architecture,
        quantizer=quantizer,
        on_progress=on_progress,
    )
    if _is_sound(recipe):
        return recipe.target
    try:
        recipe.folder.mkdir(parents=True, exist_ok=True)
        with _only_maker(recipe):
            if not _is_sound(recipe):  # another process may have made it meanwhile
                _make(recipe)
    except OSError as error:
        raise ArtifactError(
            f"{recipe.target}: cannot be made: {error.strerror or error}; free some space or choose another cache"
        ) from error
    return recipe.target


def _make(recipe: _Recipe) -> None:
    if recipe.quant in _FLOATS:
        _check_space(recipe, [recipe])
        _write_floats(recipe)
        return
    base = replace(recipe, quant="F16")
    was_there = _is_sound(base)
    _check_space(recipe, [recipe] if was_there else [recipe, base])
    if not was_there:
        _write_floats(base)
    try:
        with _unfinished(recipe) as target:
            program = recipe.quantizer
            build = quantize(base.target, target, recipe.quant, program=program, on_progress=recipe.tell)
            _finish(recipe, target, {"made_from": base.target.name, "quantizer_build": build})
    finally:
        if not was_there and base.target.stat().st_size > LARGE_BASE_BYTES:
            base.target.unlink()
            _provenance(base).unlink(missing_ok=True)


def _write_floats(recipe: _Recipe) -> None:
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
    """Estimate a file's size, rather too large: mixtures keep some tensors in a wider type than their name says."""
    bits = {each.name: each.bits_per_weight for each in GGML_TYPES.values()}
    if recipe.quant in _FLOATS:
        return math.ceil(recipe.architecture.parameters * bits[recipe.quant] / 8)
    narrow = recipe.quant.removesuffix("_S").removesuffix("_M").removesuffix("_L")
    return math.ceil(recipe.architecture.parameters * min(1.25 * bits.get(narrow, 16.0), 16.0) / 8)


def known_architecture(name: str) -> Architecture:
    """Return the shape of a name, if synthetic models can be made in it.

    Raises:
        ArtifactError: it is not known, or cannot be made yet.
    """
    architecture = ARCHITECTURES.get(name)
    if architecture is None:
        raise ArtifactError(f"no known architecture {name!r}{_nearest(name, ARCHITECTURES)}")
    if architecture.gguf not in _FAMILIES:
        can = ", ".join(each.name for each in ARCHITECTURES.values() if each.gguf in _FAMILIES)
        raise ArtifactError(f"synthetic weights of {name} ({architecture.gguf}) cannot be made yet; these can: {can}")
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
