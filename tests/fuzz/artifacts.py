"""The readers of model files: GGUF headers, checkpoints' JSON, safetensors, tokenizers."""

from __future__ import annotations

import json
import math
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

from pytest_thor.artifacts.cost import cost_of_directory, cost_of_gguf
from pytest_thor.artifacts.found import describe_directory, describe_gguf
from pytest_thor.artifacts.gguf_header import read_header
from pytest_thor.artifacts.gguf_model import read_model
from pytest_thor.artifacts.hf_config import read_config
from pytest_thor.artifacts.safetensors import read_safetensors
from pytest_thor.artifacts.vocabulary import context_length, ordinary_ids
from pytest_thor.errors import ArtifactError
from tests.fuzz.target import Target, written

_U32, _I32, _STRING, _ARRAY = 4, 5, 8, 9


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def _entry(key: str, kind: int, value: bytes) -> bytes:
    return _text(key) + struct.pack("<I", kind) + value


def gguf(*entries: bytes, tensors: int = 2, first: int = 0) -> bytes:
    """Return a sound file of some metadata and tensors of 32 F32 numbers."""
    table = b"".join(
        _text(f"blk.{first + index}.weight") + struct.pack("<IQQIQ", 2, 8, 4, 0, 128 * index)
        for index in range(tensors)
    )
    head = b"GGUF" + struct.pack("<IQQ", 3, tensors, len(entries)) + b"".join(entries) + table
    return head + bytes(-len(head) % 32) + bytes(128 * tensors)


_COMMON = (
    _entry("general.architecture", _STRING, _text("qwen3")),
    _entry("general.name", _STRING, _text("Toy")),
    _entry("general.file_type", _U32, struct.pack("<I", 15)),
    _entry("qwen3.block_count", _U32, struct.pack("<I", 2)),
    _entry("qwen3.context_length", _U32, struct.pack("<I", 4096)),
    _entry("general.alignment", _U32, struct.pack("<I", 32)),
)
_WORDS = _entry(
    "tokenizer.ggml.tokens", _ARRAY, struct.pack("<IQ", _STRING, 4) + b"".join(map(_text, ("<s>", "a", "b", "é")))
)
_TYPES = _entry("tokenizer.ggml.token_type", _ARRAY, struct.pack("<IQ4i", _I32, 4, 3, 1, 1, 6))
GGUF = (gguf(*_COMMON), gguf(*_COMMON, _WORDS), gguf(*_COMMON, _WORDS, _TYPES), gguf(tensors=0))


def _shard(number: int) -> bytes:
    split = [("split.no", number), ("split.count", 2), ("split.tensors.count", 4)]
    entries = [_entry(key, _U32, struct.pack("<I", value)) for key, value in split]
    return gguf(*_COMMON, *entries, first=2 * number)


def read_gguf(content: bytes, folder: Path) -> None:
    path = written(folder, "model-Q4_K_M.gguf", content)
    with suppress(ArtifactError):
        header = read_header(path)
        assert 0 <= header.tensor_bytes <= header.size_bytes == len(content)
        assert all(tensor.offset + tensor.size_bytes <= header.size_bytes for tensor in header.tensors)
    with suppress(ArtifactError):
        _writable(describe_gguf(path))
    with suppress(ArtifactError):
        context_length(path)
    with suppress(ArtifactError):
        cost = cost_of_gguf(read_model(path))
        assert math.isfinite(cost.body_bytes)
        assert 0 <= cost.experts_used <= cost.experts
    with suppress(ArtifactError):
        size, forbidden = ordinary_ids(path)
        assert all(0 <= token < size for token in forbidden)


def read_shards(content: bytes, folder: Path) -> None:
    written(folder, "model-00001-of-00002.gguf", _shard(0))
    damaged = written(folder, "model-00002-of-00002.gguf", content)
    for path in (damaged, folder / "model-00001-of-00002.gguf"):
        with suppress(ArtifactError):
            model = read_model(path)
            assert len(model.headers) in {1, 2}


CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 200,
    "max_position_embeddings": 4096,
    "sliding_window": 128,
    "layer_types": ["sliding_attention", "full_attention"],
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
}
_QUANTIZED: tuple[dict[str, Any], ...] = (
    {"quant_method": "gptq", "bits": 4},
    {"quant_method": "awq", "bits": 4},
    {"quant_algo": "fp8"},
    {
        "quant_method": "compressed-tensors",
        "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int"}, "input_activations": None}},
    },
)
CONFIGS = (
    json.dumps(CONFIG).encode(),
    json.dumps({**CONFIG, "model_type": "qwen3_moe", "num_experts": 8, "num_experts_per_tok": 2}).encode(),
    json.dumps({"model_type": "gemma", "text_config": CONFIG}).encode(),
    *(json.dumps({**CONFIG, "quantization_config": scheme}).encode() for scheme in _QUANTIZED),
)


def read_checkpoint(content: bytes, folder: Path) -> None:
    written(folder, "config.json", content)
    _describe(folder)
    with suppress(ArtifactError):
        ordinary_ids(folder)
    with suppress(ArtifactError):
        context_length(folder)


def _describe(folder: Path) -> None:
    with suppress(ArtifactError):
        cost = cost_of_directory(folder, quant="BF16")
        assert cost is None or (math.isfinite(cost.body_bytes) and cost.body_bytes >= 0)
    with suppress(ArtifactError):
        found = describe_directory(folder)
        _writable(found)
        assert found.parameters is None or 0 <= found.parameters < 1 << 200
        assert found.context_length is None or found.context_length > 0


def _writable(found: object) -> None:
    """What is shown of a model can be written and is not endless."""
    assert len(str(found).encode()) < 100_000


def safetensors(tensors: object) -> bytes:
    """Return a sound file of tensors without numbers."""
    header = json.dumps(tensors).encode()
    return struct.pack("<Q", len(header)) + header


SAFETENSORS = (
    safetensors({"__metadata__": {"format": "pt"}, "w": {"dtype": "BF16", "shape": [2, 4], "data_offsets": [0, 16]}})
    + bytes(16),
    safetensors({"w": {"dtype": "F32", "shape": [0, 7], "data_offsets": [0, 0]}}),
    safetensors({}),
)


def read_weights(content: bytes, folder: Path) -> None:
    path = written(folder, "model.safetensors", content)
    with suppress(ArtifactError):
        found = read_safetensors(path)
        assert type(found.elements) is int
        assert 0 <= found.elements < 1 << 80
        assert found.size_bytes == len(content)
    written(folder, "config.json", CONFIGS[2])
    _describe(folder)


INDEX = json.dumps({"metadata": {"total_size": 16}, "weight_map": {"w": "a.safetensors", "v": "a.safetensors"}})


def read_index(content: bytes, folder: Path) -> None:
    written(folder, "config.json", CONFIGS[0])
    written(folder, "a.safetensors", SAFETENSORS[0])
    written(folder, "model.safetensors.index.json", content)
    _describe(folder)


TOKENIZERS = (
    json.dumps({"model": {"vocab": {"a": 0, "b": 1}}, "added_tokens": [{"id": 1, "special": True}]}).encode(),
    json.dumps({"model": {"vocab": [["a", -1.5], ["b", -2]]}, "added_tokens": []}).encode(),
)


def read_tokenizer(content: bytes, folder: Path) -> None:
    written(folder, "config.json", b'{"model_type": "qwen3"}')
    written(folder, "tokenizer.json", content)
    with suppress(ArtifactError):
        size, forbidden = ordinary_ids(folder)
        assert size <= 10_000_000
        assert all(0 <= token < size for token in forbidden)
    with suppress(ArtifactError):
        read_config(folder)


TARGETS = (
    Target(name="gguf", read=read_gguf, seeds=GGUF),
    Target(name="gguf-shards", read=read_shards, seeds=(_shard(1), _shard(0))),
    Target(name="checkpoint", read=read_checkpoint, seeds=CONFIGS),
    Target(name="safetensors", read=read_weights, seeds=SAFETENSORS),
    Target(name="safetensors-index", read=read_index, seeds=(INDEX.encode(),)),
    Target(name="tokenizer", read=read_tokenizer, seeds=TOKENIZERS),
)
