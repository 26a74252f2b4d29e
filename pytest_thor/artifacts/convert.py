"""GGUF files that are missing, converted from an HF checkpoint, and kept by what they were made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pytest_thor.artifacts.converter import build_of, run_converter
from pytest_thor.artifacts.found import quant_of_config, weight_files
from pytest_thor.artifacts.hf_config import read_config, read_json
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
from pytest_thor.artifacts.make import FLOATS
from pytest_thor.artifacts.means import Converter
from pytest_thor.artifacts.safetensors import read_safetensors
from pytest_thor.cell import ArtifactReference
from pytest_thor.errors import ArtifactError, ArtifactInvalid, ArtifactMissing

_BITS = {"F32": 32, "BF16": 16, "F16": 16, "MXFP4": 16}
_WEIGHTS = (".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json")
_AS_IT_IS = "MXFP4"
"""Weights of four bits that the converter repacks, and does not round again."""


def checkpoint_of(reference: ArtifactReference, quant: str, roots: Sequence[Path]) -> Path | None:
    """Return the HF directory that a missing GGUF file can be converted from, None where there is none.

    It is named as the file is without its quant, and lies beside the file or beside the file's folder; or it is that
    folder itself, if it is so named. ``Qwen/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf`` is made from ``Qwen/Qwen3-8B``.
    """
    if reference.format != "gguf":
        return None
    wanted = Path(reference.location)
    stem = re.sub(rf"[-._]?{re.escape(quant)}$", "", wanted.stem, flags=re.IGNORECASE)
    for root in roots:
        folder = (root / wanted).parent
        own = [folder] if re.sub("[-_.]gguf$", "", folder.name.lower()) == stem.lower() else []
        for candidate in (folder / stem, folder.parent / stem, *own):
            if stem and _is_checkpoint(candidate):
                return candidate
    return None


def _is_checkpoint(folder: Path) -> bool:
    """Tell whether a folder has a configuration and weights, perhaps not all of them."""
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError:
        return False
    return "config.json" in names and any(name.endswith(_WEIGHTS) for name in names)


def float_type_of(checkpoint: Path, quant: str) -> str:
    """Return the type to convert a checkpoint to, so that ``quant`` is that or can be quantized from it.

    Raises:
        ArtifactInvalid: its weights are quantized already, in a scheme that would have to be rounded twice.
        ArtifactError: its configuration cannot be read.
    """
    stored = quant_of_config(read_config(checkpoint), checkpoint) or "BF16"
    if stored == _AS_IT_IS:
        if quant == _AS_IT_IS:
            return _AS_IT_IS
        raise ArtifactInvalid(
            f"{checkpoint}: holds {stored} weights, which are converted as they are; expected the quant {stored}, "
            f"found {quant}"
        )
    if stored not in FLOATS:
        raise ArtifactInvalid(
            f"{checkpoint}: holds {stored} weights; a GGUF file is converted from BF16, F16 or F32: one made from "
            "another loses twice"
        )
    return quant if quant in FLOATS else stored


def check_runs_nothing(checkpoint: Path) -> None:
    """Refuse a checkpoint that brings code for its tokenizer: llama.cpp's converter lets transformers run that.

    transformers takes the code that ``auto_map`` names in the tokenizer's configuration or, for the tokenizer, in the
    model's; and where the tokenizer's names no class, it asks the model's configuration, which may be code as well.

    Raises:
        ArtifactInvalid: it does, or a configuration is damaged.
        ArtifactError: a configuration cannot be read.
    """
    tokenizer = read_json(checkpoint / "tokenizer_config.json") or {}
    of_model = read_config(checkpoint).get("auto_map")
    is_left_alone = isinstance(of_model, dict) and "AutoTokenizer" not in of_model and tokenizer.get("tokenizer_class")
    if tokenizer.get("auto_map") or (of_model and not is_left_alone):
        raise ArtifactInvalid(
            f"{checkpoint}: brings code of its own for its tokenizer (auto_map), which the converter would run; read "
            "that code, convert the checkpoint by hand, and put the GGUF file in its place"
        )


def convert_checkpoint(
    checkpoint: Path,
    float_type: str,
    *,
    converter: Converter,
    cache: Path,
    on_progress: Callable[[str], None] | None = None,
) -> Made:
    """Return a checkpoint as a GGUF file in ``float_type``, converted unless the same was converted before.

    ``float_type`` is one of :func:`float_type_of`. The file is kept in the folder ``cache`` under a name that ends in a
    hash of all of the checkpoint's files and the type; beside it stands a ``.json`` that says how it was made. It is
    put in its place only when it is whole and on the disk.

    Raises:
        ArtifactInvalid: as :func:`check_runs_nothing`.
        ArtifactMissing: the checkpoint has no weights, or not all of them.
        ArtifactError: the converter is not there, lacks a package, or failed, or the disk is full. Nothing half-written
            is left.
    """
    tell = on_progress or (lambda _step: None)
    weights_bytes = sum(_weights(checkpoint))
    check_runs_nothing(checkpoint)
    converter.command()
    folder = cache / "converted"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        content = content_sha256(checkpoint, folder, tell)
        target = place(folder, checkpoint.name, float_type, content, float_type)
        with only_maker(folder, tell):
            made = made_before(target, float_type)
            if made is not None:
                return made
            stored = quant_of_config(read_config(checkpoint), checkpoint) or "BF16"
            check_space(target, weights_bytes * _BITS[float_type] / _BITS[stored])
            with unfinished(target) as written:
                asked = "BF16" if float_type == _AS_IT_IS else float_type
                run_converter(converter, checkpoint, written, asked, on_progress=tell)
                origin = {
                    "quant": float_type,
                    "converted_from": str(checkpoint),
                    "converted_from_sha256": content,
                    **build_of(converter),
                }
                return put_in_place(written, target, float_type, origin)
    except OSError as error:
        raise ArtifactError(
            f"{float_type} of {checkpoint}: cannot be made: {error.strerror or error}; free some space or choose "
            "another cache"
        ) from error


def _weights(checkpoint: Path) -> Iterator[int]:
    """Yield the size of every file of weights, each of which is whole."""
    files = weight_files(checkpoint)
    if not files:
        raise ArtifactMissing(f"{checkpoint}: holds no weights to convert; fetch them")
    for file in files:
        yield read_safetensors(file).size_bytes if file.suffix == ".safetensors" else file.stat().st_size
