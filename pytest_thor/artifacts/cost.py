"""What a model costs: the bytes that its tokens read and the operations that they take.

From the tensors of a GGUF file, from an HF directory's configuration, or from a known shape and the name of a quant.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from pytest_thor.artifacts.architectures import ARCHITECTURES, GPT_OSS_WINDOW, Architecture
from pytest_thor.artifacts.gguf_model import GgufModel, read_model
from pytest_thor.artifacts.gguf_types import GGML_TYPES
from pytest_thor.artifacts.hf_config import read_config, read_json
from pytest_thor.artifacts.hf_shape import shape_of_config
from pytest_thor.artifacts.weight_formats import (
    EVERY,
    WeightFormat,
    arithmetics_of_type,
    format_named,
    format_of_config,
)
from pytest_thor.cell import Scalar, Setting
from pytest_thor.roofline import Attention, Cost

_INPUT_TABLE = "token_embd.weight"
_OUTPUT_TABLE = "output.weight"
_GATHERED = re.compile(r"^(per_layer_token_embd|position_embd|token_types|rope_freqs|v\.|mm\.|a\.)")
"""Read by the row, or not for text at all."""

_BLOCK = re.compile(r"^blk\.(\d+)\.")
_TABLE_BITS = 8.5
"""Of an input table whose type is not known: what the larger mixtures keep it in (Q8_0)."""

_KV_BYTES = {
    "auto": None,
    "fp8": 1.0,
    "fp8_e4m3": 1.0,
    "fp8_e5m2": 1.0,
    "fp8_inc": 1.0,
    "bfloat16": 2.0,
    "float16": 2.0,
}


class _Weight(NamedTuple):
    name: str
    shape: tuple[int, ...]
    size_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mixture:
    experts: int
    used: int


def cost_of_artifact(
    path: Path, *, quant: str, architecture: str | None = None, settings: Mapping[str, Setting] | None = None
) -> Cost | None:
    """Return the cost of a model's files as an engine with ``settings`` runs them, None where it cannot be known.

    ``path`` is a GGUF file (any shard) or an HF directory; where it is neither, or says too little, the name of a known
    ``architecture`` and of the ``quant`` stand for it.

    Raises:
        ArtifactError: the files are there, and are not sound.
    """
    settings = settings or {}
    found = None
    if path.is_file():
        found = cost_of_gguf(read_model(path))
    elif path.is_dir():
        found = cost_of_directory(path, quant=quant, quantization=settings.get("quantization"))
    elif architecture is not None and architecture in ARCHITECTURES:
        found = cost_of_architecture(ARCHITECTURES[architecture], quant)
    size = kv_element_bytes(settings)
    return found if found is None or size is None else replace(found, kv_element_bytes=size)


def cost_of_gguf(model: GgufModel) -> Cost:
    """Return the cost of a GGUF model from its tensors; attention that its header does not describe counts nothing."""
    metadata = model.headers[0].metadata
    weights = [_Weight(tensor.name, tensor.shape, tensor.size_bytes) for tensor in model.tensors]
    mixture = None
    if model.expert_count:
        mixture = _Mixture(experts=model.expert_count, used=model.expert_used_count or 1)
    matrices = [tensor for tensor in model.tensors if len(tensor.shape) > 1 and tensor.name != _INPUT_TABLE]
    types = dict.fromkeys(tensor.type for tensor in matrices)
    arithmetics = tuple(dict.fromkeys(each for name in types for each in arithmetics_of_type(name)))
    skipped = _number(metadata, f"{model.architecture}.nextn_predict_layers")
    cost = _tally(
        f"{model.name or model.path.stem} {model.quant or ''}".strip(),
        weights,
        mixture,
        blocks=None if model.block_count is None else model.block_count - skipped,
    )
    return replace(cost, attention=_attention_of_gguf(model), arithmetics=arithmetics)


def cost_of_directory(folder: Path, *, quant: str, quantization: Setting = None) -> Cost | None:
    """Return the cost of an HF directory from its config.json, None where the family or the scheme is not known.

    ``quantization`` is what the engine was told to quantize to, where the checkpoint is not quantized.

    Raises:
        ArtifactError: the configuration is not there, or not sound.
    """
    config = read_config(folder)
    scheme = config.get("quantization_config")
    if not isinstance(scheme, dict):
        other = read_json(folder / "hf_quant_config.json") or {}
        scheme = other.get("quantization")
    if isinstance(scheme, dict):
        weights = format_of_config(scheme)
    else:
        weights = format_named(str(quantization) if quantization else "BF16")
        scheme = {}
    found = shape_of_config(config, name=folder.name)
    if found is None or weights is None:
        return None
    shape, windows = found
    cost = replace(cost_of_shape(shape, weights, name=f"{folder.name} {quant}"), attention=_attention(shape, windows))
    eight_bit_cache = scheme.get("kv_cache_scheme") or scheme.get("kv_cache_quant_algo")
    return replace(cost, kv_element_bytes=1.0) if eight_bit_cache else cost


def cost_of_architecture(shape: Architecture, quant: str, *, tensor_bytes: int | None = None) -> Cost | None:
    """Return the cost of a known shape in a quant, None where nothing is known of the quant.

    ``tensor_bytes`` is what all its tensors take together, where that was published: it tells the bits of a weight
    better than the quant's name.
    """
    weights = format_named(quant)
    if weights is None and tensor_bytes is None:
        return None
    if tensor_bytes is not None:
        bits = 8 * tensor_bytes / shape.parameters
        arithmetics = weights.arithmetics if weights else EVERY
        cost = cost_of_shape(
            shape, WeightFormat(bits=bits, head_bits=bits, arithmetics=arithmetics), name=f"{shape.name} {quant}"
        )
        table = shape.width * shape.vocabulary
        spare = 0.0 if shape.tied_embeddings else table * max(_TABLE_BITS - bits, 0.0) / 8
        return replace(cost, body_bytes=max(cost.body_bytes - spare, 0.0))
    assert weights is not None
    return cost_of_shape(shape, weights, name=f"{shape.name} {quant}")


def cost_of_shape(shape: Architecture, weights: WeightFormat, *, name: str) -> Cost:
    """Return the cost of a shape whose matrices are in one format; norms, biases and routers count 16 bits."""
    table = _OUTPUT_TABLE if not shape.tied_embeddings else _INPUT_TABLE

    def bits(tensor: str, dimensions: int) -> float:
        if tensor in {table, _INPUT_TABLE}:
            return weights.head_bits
        if dimensions == 1 or "ffn_gate_inp" in tensor:
            return min(16.0, weights.head_bits)
        return 16.0 if weights.experts_only and "_exps." not in tensor else weights.bits

    tensors = [_Weight(each, dims, math.prod(dims) * bits(each, len(dims)) / 8) for each, dims in shape.tensors]
    mixture = None
    if shape.experts and shape.experts_used:
        mixture = _Mixture(experts=shape.experts, used=shape.experts_used)
    cost = _tally(name, tensors, mixture, blocks=None)
    windows = {GPT_OSS_WINDOW: shape.layers // 2} if shape.gguf == "gpt-oss" else {}
    return replace(cost, attention=_attention(shape, windows), arithmetics=weights.arithmetics)


def kv_element_bytes(settings: Mapping[str, Setting]) -> float | None:
    """Return the bytes of a number in the KV cache as an engine's settings have it, None where they do not say.

    A type that is not known here counts nothing. Keys and values of different types count their mean.
    """
    vllm = settings.get("kv_cache_dtype")
    if isinstance(vllm, str):
        return _KV_BYTES.get(vllm, 0.0)
    types = {known.name.lower(): known.bits_per_weight / 8 for known in GGML_TYPES.values()}
    given = [settings.get("cache_type_k"), settings.get("cache_type_v")]
    if given == [None, None]:
        return None
    return sum(types.get(str(word), 0.0) if word is not None else 2.0 for word in given) / 2


def _tally(name: str, weights: Iterable[_Weight], mixture: _Mixture | None, *, blocks: int | None) -> Cost:
    weights = [weight for weight in weights if _is_used(weight.name, blocks)]
    head = next((weight for weight in weights if weight.name == _OUTPUT_TABLE), None)
    if head is None:
        head = next((weight for weight in weights if weight.name == _INPUT_TABLE), None)
    rest = [weight for weight in weights if weight.name not in {_INPUT_TABLE, _OUTPUT_TABLE}]
    experts = [weight for weight in rest if mixture and "_exps." in weight.name]
    body = [weight for weight in rest if not (mixture and "_exps." in weight.name)]
    return Cost(
        name=name,
        body_bytes=sum(weight.size_bytes for weight in body),
        head_bytes=head.size_bytes if head else 0.0,
        body_parameters=sum(math.prod(weight.shape) for weight in body if len(weight.shape) > 1),
        head_parameters=math.prod(head.shape) if head else 0.0,
        expert_bytes=sum(weight.size_bytes for weight in experts),
        expert_parameters=sum(math.prod(weight.shape) for weight in experts if len(weight.shape) > 2),
        experts=mixture.experts if mixture else 0,
        experts_used=min(mixture.used, mixture.experts) if mixture else 0,
    )


def _is_used(name: str, blocks: int | None) -> bool:
    """Tell whether a token reads a tensor: not those read by the row, nor layers that only guess ahead."""
    block = _BLOCK.match(name)
    return not _GATHERED.match(name) and not (block and blocks is not None and int(block[1]) >= blocks)


def _attention(shape: Architecture, windows: Mapping[int, int]) -> tuple[Attention, ...]:
    """Return the attention of a shape, of whose layers so many look back as far as each window."""
    rest: tuple[int | None, int] = (None, shape.layers - sum(windows.values()))
    return tuple(
        Attention(
            layers=count,
            kv_elements=2 * shape.kv_heads * shape.head_size,
            score_width=2 * shape.heads * shape.head_size,
            window=window,
        )
        for window, count in (*windows.items(), rest)
        if count > 0
    )


def _attention_of_gguf(model: GgufModel) -> tuple[Attention, ...]:
    """Return the attention of the layers that have a key table, where the header says their heads.

    A family with windows that is not gpt-oss counts as if every layer had one.
    """
    metadata, name = model.headers[0].metadata, model.architecture
    layers = sum(tensor.name.endswith(("attn_k.weight", "attn_qkv.weight")) for tensor in model.tensors)
    heads = _number(metadata, f"{name}.attention.head_count")
    kv_heads = _number(metadata, f"{name}.attention.head_count_kv") or heads
    head_size = _number(metadata, f"{name}.embedding_length") // heads if heads else 0
    keys = _number(metadata, f"{name}.attention.key_length") or head_size
    values = _number(metadata, f"{name}.attention.value_length") or head_size
    window = _number(metadata, f"{name}.attention.sliding_window")
    if name == "gpt-oss":
        window = window or GPT_OSS_WINDOW
    windowed = 0 if not window else layers // 2 if name == "gpt-oss" else layers
    parts = ((windowed, window), (layers - windowed, None))
    return tuple(
        Attention(
            layers=count, kv_elements=kv_heads * (keys + values), score_width=heads * (keys + values), window=back
        )
        for count, back in parts
        if count and heads
    )


def _number(metadata: Mapping[str, Scalar], key: str) -> int:
    value = metadata.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
