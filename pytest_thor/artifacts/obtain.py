"""A model's files, wherever they come from: found, else made from what lies beside them, else brought from a hub."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_thor.artifacts.convert import checkpoint_of, convert_checkpoint, float_type_of
from pytest_thor.artifacts.discover import resolve
from pytest_thor.artifacts.download import fetch
from pytest_thor.artifacts.gguf_model import shard_paths
from pytest_thor.artifacts.make import make_quant, makeable, source_of
from pytest_thor.artifacts.means import CONVERTER, Converter, Means
from pytest_thor.artifacts.quants import known_quant
from pytest_thor.cell import ArtifactReference
from pytest_thor.errors import ArtifactMissing

__all__ = ["Means", "Obtained", "obtain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Obtained:
    """Where a model's files are; ``provenance`` says how they came there, None for those that were found."""

    path: Path
    provenance: Mapping[str, Any] | None = None


def obtain(
    reference: ArtifactReference,
    quant: str,
    roots: Sequence[Path],
    *,
    cache: Path,
    means: Means,
    quantizer: Path | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Obtained:
    """Return where the files of ``reference`` are, obtaining them by the means given where they are missing.

    Files are brought below the first root, made ones are kept in ``cache``. This may take hours: call it outside of
    anything timed, and while nobody else measures on this device.

    Raises:
        ArtifactMissing: they are nowhere, and the means do not get them; the sentence says which means would be tried.
        ArtifactError: as of :func:`~.discover.resolve`, :func:`~.make.make_quant` and :func:`~.download.fetch`.
    """
    try:
        path = resolve(reference, roots)
        lost = [shard.name for shard in shard_paths(path) if reference.format == "gguf" and not shard.exists()]
        if not lost:
            return Obtained(path=path)
        missing = ArtifactMissing(f"{path}: {len(lost)} of its shards are missing: {', '.join(lost[:10])}")
    except ArtifactMissing as error:
        missing = error
    floats = source_of(reference, quant, roots)
    if floats is not None and means.quantize:
        made = make_quant(
            floats, quant, cache=cache, imatrix=means.imatrix, quantizer=quantizer, on_progress=on_progress
        )
        return Obtained(path=made.path, provenance=made.provenance)
    checkpoint = checkpoint_of(reference, quant, roots) if floats is None else None
    if checkpoint is not None and means.quantize and means.converter is not None:
        return _converted(
            checkpoint, quant, means.converter, cache, means=means, quantizer=quantizer, on_progress=on_progress
        )
    if reference.hub is not None and means.download and roots:
        fetched = fetch(reference, roots[0], on_progress=on_progress)
        origin = {"hub": fetched.hub, "revision": fetched.revision, "files": dict(fetched.files)}
        return Obtained(path=fetched.path, provenance=origin)
    ways = []
    if floats is not None:
        ways.append(f"--thor-quantize makes it from {floats.name}")
    if checkpoint is not None:
        missing_option = "" if means.converter else f" with --thor-engine {CONVERTER}=PATH"
        ways.append(f"--thor-quantize{missing_option} makes it from {checkpoint}")
    if reference.hub is not None and not means.download:
        ways.append(f"--thor-download brings it from {reference.hub}")
    raise ArtifactMissing("; ".join([str(missing), *ways])) from None


def _converted(
    checkpoint: Path,
    quant: str,
    converter: Converter,
    cache: Path,
    *,
    means: Means,
    quantizer: Path | None,
    on_progress: Callable[[str], None] | None,
) -> Obtained:
    """Convert a checkpoint to its floats, and these to the quant where it is another."""
    known = known_quant(quant)
    quant = known.name if known else quant
    float_type = float_type_of(checkpoint, quant)
    if quant != float_type:
        makeable(quant, imatrix=means.imatrix)  # before an hour is spent on its floats
    floats = convert_checkpoint(checkpoint, float_type, converter=converter, cache=cache, on_progress=on_progress)
    if quant == float_type:
        return Obtained(path=floats.path, provenance=floats.provenance)
    made = make_quant(
        floats.path, quant, cache=cache, imatrix=means.imatrix, quantizer=quantizer, on_progress=on_progress
    )
    return Obtained(path=made.path, provenance={**made.provenance, "floats": floats.provenance})
