"""Writing random weights in a known shape as a GGUF file, with bounded memory.

The only module that needs the extra ``pytest-thor[synthetic]``: import it where it is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import gguf
import numpy as np
import numpy.typing as npt

from pytest_thor.artifacts.architectures import (
    GPT_OSS_ROPE_BASE,
    GPT_OSS_TRAINED_CONTEXT,
    GPT_OSS_WINDOW,
    Architecture,
)
from pytest_thor.artifacts.gguf_types import FILE_TYPES, GGML_TYPES
from pytest_thor.artifacts.quant_mixture import mixture
from pytest_thor.artifacts.synthetic_vocabulary import CHAT_TEMPLATE, make_vocabulary

_TYPES = {each.name: each for each in GGML_TYPES.values()}
_FLOAT_ELEMENTS = 4_194_301  # a prime, so that no two rows of a table are the same block
_BLOCKS = 131_071  # a prime too
_STANDARD_DEVIATION = 0.02
_ALIGNMENT = 32


def write_weights(
    path: Path, architecture: Architecture, quant: str, *, seed: int, on_progress: Callable[[str], None]
) -> None:
    """Write a new GGUF file with random weights in ``quant``: F32, F16, BF16 or MXFP4.

    Every run with the same arguments writes the same bytes. Norms are 1 and, like routers and biases, F32, as
    llama.cpp's converter has them. In MXFP4 only the experts are of that type, as llama-quantize makes them.

    Raises:
        OSError: the file cannot be written; what was written so far still stands.
    """
    tensors = tuple(mixture(architecture, quant))
    _write_header(path, architecture, quant)
    blocks = {name: _random_bytes(name, seed) for name in {tensor.type for tensor in tensors}}
    ones = np.ones(2 * architecture.width, np.float32).tobytes()
    tenths = 0
    with path.open("ab", buffering=0) as file:
        _pad(file)
        for index, tensor in enumerate(tensors):
            # Every tensor begins elsewhere in the block, at the edge of an element.
            step = 4 if _TYPES[tensor.type].block_elements == 1 else _TYPES[tensor.type].block_bytes
            block = ones if tensor.name.endswith("norm.weight") else blocks[tensor.type]
            _write_repeated(file, block, tensor.size_bytes, start=index * 7919 * step)
            _pad(file)
            if 10 * (index + 1) // len(tensors) > tenths:
                tenths = 10 * (index + 1) // len(tensors)
                on_progress(f"writing random weights in {quant}: {10 * tenths} %")


def _random_bytes(name: str, seed: int) -> bytes:
    """Return random weights in a type, to be repeated."""
    if name in {"MXFP4", "Q8_0"}:
        return _random_blocks(name, seed)
    random = _random_block(seed)
    if name == "BF16":
        return (random.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    return random.astype({"F32": np.float32, "F16": np.float16}[name]).tobytes()


def _random_blocks(name: str, seed: int) -> bytes:
    """Return blocks with one scale for all and random bits behind it: 4-bit floats, or whole numbers of 8 bits."""
    if name == "MXFP4":  # of the 16 values the mean square is 68.5 / 8; a scale of 2 ** (120 - 127) makes it 0.023
        scale = np.array([120], np.uint8)
    else:  # of all whole numbers of 8 bits the root of the mean square is 73.9
        scale = np.array([_STANDARD_DEVIATION / 73.9], np.float16).view(np.uint8)
    size = _TYPES[name].block_bytes - len(scale)
    raw = np.random.PCG64(seed).random_raw(-(-_BLOCKS * size // 8)).view(np.uint8)[: _BLOCKS * size]
    return np.hstack([np.tile(scale, (_BLOCKS, 1)), raw.reshape(_BLOCKS, size)]).tobytes()


def _random_block(seed: int) -> npt.NDArray[np.float32]:
    """Return numbers that look normally distributed, built so that no release of numpy changes a bit of them.

    The raw stream of a bit generator is stable for ever, unlike the distributions made from it. Four 16-bit
    integers out of 64 bits, added up, are near enough to normal.
    """
    raw: npt.NDArray[np.int16] = np.random.PCG64(seed).random_raw(_FLOAT_ELEMENTS).view(np.int16).reshape(-1, 4)
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


def _write_header(path: Path, architecture: Architecture, quant: str) -> None:
    writer = gguf.GGUFWriter(path, architecture.gguf)
    _describe(writer, architecture, quant)
    _add_vocabulary(writer, architecture.vocabulary)
    for tensor in mixture(architecture, quant):
        writer.add_tensor_info(
            tensor.name,
            tuple(reversed(tensor.shape)),
            np.dtype(np.float32),
            tensor.size_bytes,
            raw_dtype=gguf.GGMLQuantizationType[tensor.type],
        )
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
    finally:
        writer.close()


def _describe(writer: gguf.GGUFWriter, architecture: Architecture, quant: str) -> None:
    writer.add_type("model")
    writer.add_name(f"{architecture.name} synthetic")
    writer.add_file_type({name: number for number, name in FILE_TYPES.items()}[quant])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(architecture.layers)
    writer.add_context_length(architecture.context)
    writer.add_embedding_length(architecture.width)
    writer.add_head_count(architecture.heads)
    writer.add_head_count_kv(architecture.kv_heads)
    writer.add_key_length(architecture.head_size)
    writer.add_value_length(architecture.head_size)
    if architecture.gguf == "gpt-oss":
        _describe_gpt_oss(writer, architecture)
        return
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    if architecture.ffn is not None:
        writer.add_feed_forward_length(architecture.ffn)
    if architecture.experts and architecture.experts_used and architecture.expert_ffn:
        writer.add_feed_forward_length(architecture.expert_ffn * architecture.experts_used)
        writer.add_expert_count(architecture.experts)
        writer.add_expert_used_count(architecture.experts_used)
        writer.add_expert_feed_forward_length(architecture.expert_ffn)


def _describe_gpt_oss(writer: gguf.GGUFWriter, architecture: Architecture) -> None:
    assert architecture.expert_ffn
    assert architecture.experts
    assert architecture.experts_used
    writer.add_rope_freq_base(GPT_OSS_ROPE_BASE)
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(architecture.context / GPT_OSS_TRAINED_CONTEXT)
    writer.add_rope_scaling_orig_ctx_len(GPT_OSS_TRAINED_CONTEXT)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_sliding_window(GPT_OSS_WINDOW)
    writer.add_feed_forward_length(architecture.expert_ffn)
    writer.add_expert_feed_forward_length(architecture.expert_ffn)
    writer.add_expert_count(architecture.experts)
    writer.add_expert_used_count(architecture.experts_used)


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
