"""One model as it was found on a disk: what it is, in the words of a listing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pytest_thor.artifacts.architectures import ARCHITECTURES, Architecture
from pytest_thor.artifacts.gguf_header import read_header
from pytest_thor.artifacts.gguf_model import GgufModel, read_model
from pytest_thor.artifacts.hf_config import read_config, read_json, whole_number
from pytest_thor.artifacts.hf_shape import shape_of_config
from pytest_thor.artifacts.quants import known_quant
from pytest_thor.artifacts.safetensors import read_safetensors
from pytest_thor.errors import ArtifactError, ArtifactInvalid, ArtifactMissing

ModelKind: TypeAlias = Literal["language", "embedding", "projector", "adapter", "imatrix", "other"]
"""``projector`` is the half of a multimodal model that llama.cpp keeps in a file of its own (mmproj)."""

_EMBEDDERS = frozenset(
    {"bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "modern-bert", "neo-bert"}
)
_EMBEDDERS |= {"gemma-embedding", "t5encoder", "eurobert"}
_KINDS: Mapping[str, ModelKind] = {
    "mmproj": "projector",
    "projector": "projector",
    "adapter": "adapter",
    "imatrix": "imatrix",
    "vocab": "other",
}
_FLOATS = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """A model on a disk: a GGUF file, its shards as one, or an HF directory.

    ``path`` is what an engine is given. ``architecture`` is the family as the files name it, ``shape`` the known
    architecture that it has, if any. ``parameters`` counts weights; None where only weights packed by an unknown scheme
    are there.
    """

    path: Path
    format: Literal["gguf", "hf"]
    kind: ModelKind
    name: str | None
    architecture: str | None
    shape: str | None
    quant: str | None
    size_bytes: int
    parameters: int | None
    context_length: int | None
    files: int


def describe_gguf(path: Path) -> FoundModel:
    """Return what a GGUF file, or the model that it is a shard of, says of itself.

    Raises:
        ArtifactError: it is not sound, or shards are missing, each of which is named.
    """
    if "imatrix" in path.name.lower():
        header = read_header(path)
        if header.metadata.get("general.type") == "imatrix":
            return _data_file(path, header.size_bytes)
    model = read_model(path)
    shape = shape_of_gguf(model)
    return FoundModel(
        path=model.path,
        format="gguf",
        kind=_kind_of_gguf(model),
        name=model.name,
        architecture=model.architecture,
        shape=shape.name if shape else None,
        quant=_named_quant(model),
        size_bytes=model.size_bytes,
        parameters=model.parameters,
        context_length=model.context_length,
        files=len(model.headers),
    )


def describe_directory(folder: Path) -> FoundModel:
    """Return what an HF directory says of itself.

    Raises:
        ArtifactMissing: weights that its index lists are not there; each is named.
        ArtifactInvalid: its configuration is not sound, or weights are cut short.
        ArtifactError: something cannot be read.
    """
    config = read_config(folder)
    weights = weight_files(folder)
    found = shape_of_config(config, name=folder.name)
    quant = quant_of_config(config, folder)
    tensors = [read_safetensors(file) for file in weights if file.suffix == ".safetensors"]
    parameters = found[0].parameters if found else None
    if parameters is None and tensors and quant in _FLOATS.values():
        parameters = sum(each.elements for each in tensors)
    sizes = [file.stat().st_size for file in folder.iterdir() if file.is_file()]
    known = _known(found[0]) if found else None
    return FoundModel(
        path=folder,
        format="hf",
        kind=_kind_of_directory(folder, config),
        name=folder.name,
        architecture=str(config["model_type"]) if config.get("model_type") else None,
        shape=known.name if known else None,
        quant=quant,
        size_bytes=sum(sizes),
        parameters=parameters,
        context_length=whole_number(config, "max_position_embeddings"),
        files=len(weights),
    )


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the files of an HF directory's weights, none where it has none (``load_format: dummy``).

    Raises:
        ArtifactInvalid: the index lists a file outside the folder.
        ArtifactMissing: some that its index lists are not there.
        ArtifactError: the index cannot be read.
    """
    index = read_json(folder / "model.safetensors.index.json")
    listed = index.get("weight_map") if index else None
    if isinstance(listed, dict):
        names = sorted({str(name) for name in listed.values()})
        outside = [name for name in names if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name]
        if outside:
            raise ArtifactInvalid(f"{folder}: its index lists {outside[0][:200]!r}, which is no file in it")
        try:
            missing = [name for name in names if not (folder / name).exists()]
        except OSError as error:  # a name longer than any file's
            raise ArtifactError(f"{folder}: a file of its index cannot be looked at: {error.strerror}") from None
        if missing:
            named = ", ".join(missing[:10]) + (", …" if len(missing) > 10 else "")
            raise ArtifactMissing(f"{folder}: {len(missing)} of its {len(names)} weight files are missing: {named}")
        return tuple(folder / name for name in names)
    found = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    return tuple(found)


def quant_of_config(config: Mapping[str, Any], folder: Path) -> str | None:
    """Name the scheme of a checkpoint as a matrix would (``FP8``, ``AWQ``, ``GPTQ-Int4``, ``W4A16``, ``BF16``)."""
    scheme = config.get("quantization_config")
    if not isinstance(scheme, dict):
        other = read_json(folder / "hf_quant_config.json") or {}
        scheme = other.get("quantization")
    if not isinstance(scheme, dict):
        written = str(config.get("torch_dtype") or config.get("dtype") or "")
        return _FLOATS.get(written.removeprefix("torch."))
    method = str(scheme.get("quant_method", "")).lower().replace("_", "-")
    bits = whole_number(scheme, "bits") or 4
    plain = {"fp8": "FP8", "fbgemm-fp8": "FP8", "mxfp4": "MXFP4", "compressed-tensors": _compressed(scheme)}
    if method.startswith("awq"):
        return "AWQ" if bits == 4 else f"AWQ-{bits}bit"
    if method.startswith("gptq"):
        return f"GPTQ-Int{bits}"
    if method == "bitsandbytes":
        return "BNB-4bit" if scheme.get("load_in_4bit") else "BNB-8bit"
    if "quant_algo" in scheme:
        return str(scheme["quant_algo"]).upper()
    return plain.get(method) or (method.upper() or None)


def shape_of_gguf(model: GgufModel) -> Architecture | None:
    """Return the known shape that a GGUF model has, None where it has none; its name is not believed."""
    metadata = model.headers[0].metadata
    tables = {tensor.name: tensor.shape for tensor in model.tensors if tensor.name == "token_embd.weight"}
    if "token_embd.weight" not in tables:
        return None
    width, vocabulary = (*tables["token_embd.weight"], 0)[:2]
    for shape in ARCHITECTURES.values():
        told = (model.architecture, model.block_count, width, vocabulary, model.expert_count or None)
        inner = metadata.get(f"{model.architecture}.feed_forward_length")
        if told == (shape.gguf, shape.layers, shape.width, shape.vocabulary, shape.experts) and (
            shape.ffn is None or inner == shape.ffn
        ):
            return shape
    return None


def _known(found: Architecture) -> Architecture | None:
    def essence(shape: Architecture) -> tuple[object, ...]:
        sizes = (shape.layers, shape.width, shape.vocabulary, shape.heads, shape.kv_heads)
        return (shape.gguf, *sizes, shape.ffn, shape.experts, shape.expert_ffn)

    return next((shape for shape in ARCHITECTURES.values() if essence(shape) == essence(found)), None)


def _named_quant(model: GgufModel) -> str | None:
    """Return the quant, with the publisher's ``_L`` where the file's tables are at Q8_0 and its name says so."""
    stem = model.path.name
    for part in _parts(stem.removesuffix(".gguf")):
        named = known_quant(part)
        if named is not None and named.wide_tables and named.mixes_as == model.quant:
            return named.name
    return model.quant


def _parts(stem: str) -> Iterator[str]:
    words = stem.replace(".", "-").split("-")
    yield from reversed(words)


def _kind_of_gguf(model: GgufModel) -> ModelKind:
    metadata = model.headers[0].metadata
    told = metadata.get("general.type")
    if model.architecture in {"clip", "mmproj"} or (isinstance(told, str) and _KINDS.get(told) == "projector"):
        return "projector"
    if isinstance(told, str) and told in _KINDS:
        return _KINDS[told]
    pooling = metadata.get(f"{model.architecture}.pooling_type")
    pools = isinstance(pooling, int) and pooling > 0
    return "embedding" if pools or model.architecture in _EMBEDDERS else "language"


def _kind_of_directory(folder: Path, config: Mapping[str, Any]) -> ModelKind:
    listed = config.get("architectures")
    names = [str(name) for name in listed] if isinstance(listed, list) else []
    if (folder / "modules.json").exists() or (names and all(name.endswith("Model") for name in names)):
        return "embedding"
    generates = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")
    return "language" if not names or any(name.endswith(generates) for name in names) else "other"


def _compressed(scheme: Mapping[str, Any]) -> str | None:
    groups = scheme.get("config_groups")
    group = next(iter(groups.values()), None) if isinstance(groups, dict) else None
    if not isinstance(group, dict):
        return None
    weights, inputs = group.get("weights"), group.get("input_activations")
    bits = whole_number(weights, "num_bits") if isinstance(weights, dict) else None
    if bits is None or not isinstance(weights, dict):
        return None
    if weights.get("type") == "float":
        return {8: "FP8", 4: "FP4"}.get(bits)
    activations = (whole_number(inputs, "num_bits") or 16) if isinstance(inputs, dict) else 16
    return f"W{bits}A{activations}"


def _data_file(path: Path, size_bytes: int) -> FoundModel:
    return FoundModel(
        path=path,
        format="gguf",
        kind="imatrix",
        name=None,
        architecture=None,
        shape=None,
        quant=None,
        size_bytes=size_bytes,
        parameters=None,
        context_length=None,
        files=1,
    )


def is_model_folder(folder: Path) -> bool:
    """Tell whether a folder's config.json is that of a model.

    Raises:
        ArtifactInvalid: the configuration is not JSON.
        ArtifactError: it cannot be read.
    """
    try:
        config = read_config(folder)
    except ArtifactMissing:
        return False
    except ArtifactInvalid:
        if (folder / "config.json").exists():
            raise
        return False
    return bool(config.get("model_type") or config.get("architectures"))
