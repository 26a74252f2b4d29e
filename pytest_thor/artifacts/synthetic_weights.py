"""Writing random weights in a known shape as a GGUF file, with bounded memory.

The only module that needs the extra ``pytest-thor[synthetic]``: import it where it is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import gguf
import numpy as np
import numpy.typing as npt

from pytest_thor.artifacts.architectures import Architecture
from pytest_thor.artifacts.synthetic_vocabulary import CHAT_TEMPLATE, make_vocabulary

FLOAT_BYTES: Mapping[str, int] = MappingProxyType({"F32": 4, "F16": 2, "BF16": 2})
"""The quants that are written as they are, with the bytes of one weight."""

_BLOCK_ELEMENTS = 4_194_301  # a prime, so that no two rows of a table are the same block
_STANDARD_DEVIATION = 0.02
_ALIGNMENT = 32


def write_weights(
    path: Path, architecture: Architecture, float_type: str, *, seed: int, on_progress: Callable[[str], None]
) -> None:
    """Write a new GGUF file with random weights in ``float_type`` (a key of :data:`FLOAT_BYTES`).

    Every run with the same arguments writes the same bytes. Norms are 1 and, like the routers of a mixture, F32, as
    llama.cpp's converter has them.

    Raises:
        OSError: the file cannot be written; what was written so far still stands.
    """
    _write_header(path, architecture, float_type)
    random = _random_block(seed)
    blocks = {
        "F32": random.tobytes(),
        "F16": random.astype(np.float16).tobytes(),
        "BF16": (random.view(np.uint32) >> 16).astype(np.uint16).tobytes(),
        "ones": np.ones(2 * architecture.width, np.float32).tobytes(),
    }
    tensors = architecture.tensors
    tenths = 0
    with path.open("ab", buffering=0) as file:
        _pad(file)
        for index, (name, shape) in enumerate(tensors):
            stored = _stored_type(name, float_type)
            block = blocks["ones" if name.endswith("norm.weight") else stored]
            _write_repeated(file, block, math.prod(shape) * FLOAT_BYTES[stored], start=index * 7919 * 4)
            _pad(file)
            if 10 * (index + 1) // len(tensors) > tenths:
                tenths = 10 * (index + 1) // len(tensors)
                on_progress(f"writing random weights in {float_type}: {10 * tenths} %")


def _stored_type(name: str, float_type: str) -> str:
    return "F32" if name.endswith(("norm.weight", "ffn_gate_inp.weight")) else float_type


def _random_block(seed: int) -> npt.NDArray[np.float32]:
    """Return numbers that look normally distributed, built so that no release of numpy changes a bit of them.

    The raw stream of a bit generator is stable for ever, unlike the distributions made from it. Four 16-bit
    integers out of 64 bits, added up, are near enough to normal.
    """
    raw: npt.NDArray[np.int16] = np.random.PCG64(seed).random_raw(_BLOCK_ELEMENTS).view(np.int16).reshape(-1, 4)
    sums: npt.NDArray[np.float32] = raw.sum(axis=1, dtype=np.int32).astype(np.float32)
    sums *= np.float32(_STANDARD_DEVIATION / (2 * 65536 / math.sqrt(12)))  # the deviation of four 16-bit integers
    return sums


def _write_repeated(file: BinaryIO, block: bytes, count: int, start: int) -> None:
    """Write ``count`` bytes of the endlessly repeated block, from ``start`` on."""
    view = memoryview(block)
    position = start % len(block)
    while count:
        # A raw write may take less than it is given; it says how much.
        written = file.write(view[position : position + count])
        count -= written
        position = (position + written) % len(block)


def _pad(file: BinaryIO) -> None:
    file.write(bytes(-file.tell() % _ALIGNMENT))


def _write_header(path: Path, architecture: Architecture, float_type: str) -> None:
    writer = gguf.GGUFWriter(path, architecture.gguf)
    _describe(writer, architecture, float_type)
    _add_vocabulary(writer, architecture.vocabulary)
    for name, shape in architecture.tensors:
        stored = _stored_type(name, float_type)
        writer.add_tensor_info(
            name,
            tuple(reversed(shape)),
            np.dtype(np.float32),
            math.prod(shape) * FLOAT_BYTES[stored],
            raw_dtype=gguf.GGMLQuantizationType[stored],
        )
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
    finally:
        writer.close()


def _describe(writer: gguf.GGUFWriter, architecture: Architecture, float_type: str) -> None:
    file_types = {"F32": gguf.LlamaFileType.ALL_F32, "F16": gguf.LlamaFileType.MOSTLY_F16}
    writer.add_type("model")
    writer.add_name(f"{architecture.name} synthetic")
    writer.add_file_type(file_types.get(float_type, gguf.LlamaFileType.MOSTLY_BF16))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(architecture.layers)
    writer.add_context_length(architecture.context)
    writer.add_embedding_length(architecture.width)
    writer.add_head_count(architecture.heads)
    writer.add_head_count_kv(architecture.kv_heads)
    writer.add_key_length(architecture.head_size)
    writer.add_value_length(architecture.head_size)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    if architecture.ffn is not None:
        writer.add_feed_forward_length(architecture.ffn)
    if architecture.experts and architecture.experts_used and architecture.expert_ffn:
        writer.add_feed_forward_length(architecture.expert_ffn * architecture.experts_used)
        writer.add_expert_count(architecture.experts)
        writer.add_expert_used_count(architecture.experts_used)
        writer.add_expert_feed_forward_length(architecture.expert_ffn)


def _add_vocabulary(writer: gguf.GGUFWriter, size: int) -> None:
    vocabulary = make_vocabulary(size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    writer.add_bos_token_id(vocabulary.end_of_text)
    writer.add_eos_token_id(vocabulary.end_of_turn)
    writer.add_pad_token_id(vocabulary.end_of_text)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)
