"""Quants that are missing, made from a model's floats by llama-quantize, and kept by what they were made of."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_thor.artifacts.gguf_model import GgufModel, read_model
from pytest_thor.artifacts.kept import (
    Made,
    check_space,
    content_sha256,
    made_before,
    only_maker,
    place,
    put_in_place,
    unfinished,
)
from pytest_thor.artifacts.quantizer import quantize
from pytest_thor.artifacts.quants import Quant, known_quant
from pytest_thor.cell import ArtifactReference
from pytest_thor.errors import ArtifactError, ArtifactInvalid

FLOATS = ("F32", "BF16", "F16")
"""What a quant may be made from."""

_NOT_MADE = frozenset({"F32", "NVFP4"})
_MARGIN = 1.25  # mixtures keep some tensors in a wider type than their name says


def source_of(reference: ArtifactReference, quant: str, roots: Sequence[Path]) -> Path | None:
    """Return the floats that a missing GGUF quant can be made of: a file beside it, named alike but for its quant."""
    wanted = Path(reference.location)
    if reference.format != "gguf" or quant.lower() not in wanted.name.lower():
        return None
    pattern = re.compile(
        re.escape(wanted.stem.lower()).replace(re.escape(quant.lower()), f"(?:{'|'.join(FLOATS).lower()})")
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
    known = makeable(quant, imatrix=imatrix)
    model = read_model(source)
    if model.quant not in FLOATS:
        raise ArtifactInvalid(
            f"{source}: is {model.quant}; a quant is made from F32, BF16 or F16: one made from another loses twice"
        )
    tell = on_progress or (lambda _step: None)
    folder = cache / "quantized"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        origin = {
            "quant": known.name,
            "made_from": str(model.path),
            "made_from_sha256": content_sha256(model.path, folder, tell),
            "imatrix": str(imatrix) if imatrix else None,
            "imatrix_sha256": content_sha256(imatrix, folder, tell) if imatrix else None,
        }
        stem = re.sub(r"-00001-of-\d{5}$", "", model.path.stem)
        target = place(folder, stem, known.name, origin["made_from_sha256"], origin["imatrix_sha256"], known.name)
        with only_maker(folder, tell):
            return made_before(target, str(known.mixes_as)) or _make(
                model, known, target, origin, imatrix=imatrix, quantizer=quantizer, tell=tell
            )
    except OSError as error:
        raise ArtifactError(
            f"{known.name} of {source}: cannot be made: {error.strerror or error}; free some space or choose another "
            "cache"
        ) from error


def makeable(quant: str, *, imatrix: Path | None = None) -> Quant:
    """Return the quant of a name, if llama-quantize makes it with what there is.

    Raises:
        ArtifactError: it does not, or only with an importance matrix.
    """
    known = known_quant(quant)
    if known is None or known.mixes_as is None or known.mixes_as in _NOT_MADE or known.name.startswith("Q4_0_"):
        raise ArtifactError(f"llama-quantize makes no {quant}; expected a GGUF quant such as Q4_K_M")
    if known.wants_imatrix and imatrix is None:
        raise ArtifactError(f"{known.name} is not made without an importance matrix; give one, or take a K-quant")
    return known


def _make(
    model: GgufModel,
    quant: Quant,
    target: Path,
    origin: dict[str, str | None],
    *,
    imatrix: Path | None,
    quantizer: Path | None,
    tell: Callable[[str], None],
) -> Made:
    assert quant.mixes_as is not None
    check_space(target, model.parameters * min(_MARGIN * quant.bits, 16.0) / 8)
    options = ["--imatrix", str(imatrix)] if imatrix else []
    if quant.wide_tables:
        options += ["--token-embedding-type", "q8_0", "--output-tensor-type", "q8_0"]
    with unfinished(target) as written:
        build = quantize(
            model.path, written, quant.mixes_as, program=quantizer, on_progress=tell, options=tuple(options)
        )
        return put_in_place(written, target, quant.mixes_as, {**origin, "quantizer_build": build})
