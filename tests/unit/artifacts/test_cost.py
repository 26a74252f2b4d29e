"""What models cost, against values that were worked out by hand from their published shapes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.artifacts.cost import (
    cost_of_architecture,
    cost_of_artifact,
    cost_of_gguf,
    kv_element_bytes,
)
from pytest_thor.artifacts.gguf_model import read_model
from pytest_thor.artifacts.synthetic_weights import write_weights
from pytest_thor.roofline import Cost

# Weights in matrices: of all layers without experts, of the output table, of all experts.
BY_HAND = {
    "qwen3-0.6b": (440_401_920, 155_582_464, 0),
    "qwen3-1.7b": (1_409_286_144, 311_164_928, 0),
    "qwen3-4b": (3_633_315_840, 388_956_160, 0),
    "qwen3-8b": (6_945_767_424, 622_329_856, 0),
    "qwen3-14b": (13_212_057_600, 777_912_320, 0),
    "qwen3-32b": (31_205_621_760, 777_912_320, 0),
    "qwen3-30b-a3b": (918_552_576, 311_164_928, 28_991_029_248),
    "gpt-oss-20b": (639_221_760, 579_133_440, 19_110_297_600),
    "gpt-oss-120b": (968_785_920, 579_133_440, 114_661_785_600),
}
USED = {"qwen3-30b-a3b": 8 / 128, "gpt-oss-20b": 4 / 32, "gpt-oss-120b": 4 / 128}
THOR_BANDWIDTH, THOR_BF16 = 273e9, 258e12


def known(architecture: str, quant: str, tensor_bytes: int | None = None) -> Cost:
    cost = cost_of_architecture(ARCHITECTURES[architecture], quant, tensor_bytes=tensor_bytes)
    assert cost is not None
    return cost


@pytest.mark.parametrize("name", BY_HAND)
def test_a_known_shape_uses_the_weights_that_hand_work_gives(name: str) -> None:
    body, head, experts = BY_HAND[name]
    cost = known(name, "BF16")
    used = body + experts * USED.get(name, 0)

    assert (cost.body_parameters, cost.head_parameters, cost.expert_parameters) == (body, head, experts)
    assert cost.expert_share() == pytest.approx(USED.get(name, 0))
    assert cost.weight_bytes() == pytest.approx(2 * (used + head), rel=1e-3)  # norms and biases are the rest
    assert cost.decode_flops() == pytest.approx(2 * (used + head))
    assert cost.prefill_flops(1) == pytest.approx(2 * (used + head), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "kv_bytes"),
    [
        ("qwen3-0.6b", 28 * 2 * 8 * 128 * 2 * 4096),
        ("qwen3-32b", 64 * 2 * 8 * 128 * 2 * 4096),
        ("qwen3-30b-a3b", 48 * 2 * 4 * 128 * 2 * 4096),
        ("gpt-oss-120b", 18 * 2 * 8 * 64 * 2 * (4096 + 128)),  # every second layer looks back 128 tokens
    ],
)
def test_the_kv_cache_at_depth_4096_in_16_bits(name: str, kv_bytes: int) -> None:
    assert known(name, "BF16").kv_bytes(4096) == kv_bytes


@pytest.mark.parametrize(
    ("name", "quant", "tokens", "floor_ms"),
    [
        ("qwen3-8b", "FP8", 1, 30.0),
        ("qwen3-30b-a3b", "FP8", 1, 12.3),
        ("qwen3-30b-a3b", "BF16", 2048, 221),
        ("qwen3-30b-a3b", "FP8", 2048, 112),
        ("qwen3-30b-a3b", "AWQ-8bit", 2048, 114),
        ("qwen3-30b-a3b", "Int4-W4A16", 2048, 59),
    ],
)
def test_reading_the_weights_on_a_thor(name: str, quant: str, tokens: int, floor_ms: float) -> None:
    floor = known(name, quant).weight_bytes(tokens) / THOR_BANDWIDTH

    assert floor * 1000 == pytest.approx(floor_ms, rel=0.01)


def test_calculating_a_prompt_on_a_thor_costs_its_weights_and_its_attention() -> None:
    cost = known("qwen3-8b", "BF16")
    attention = 36 * 4 * 32 * 128 * 2048 * 2049 / 2

    assert cost.prefill_flops(2048) == pytest.approx(2 * 6_945_767_424 * 2048 + 2 * 622_329_856 + attention)
    assert cost.prefill_flops(2048) / THOR_BF16 == pytest.approx(0.115, rel=0.01)


def test_a_published_size_tells_the_bits_of_a_weight() -> None:
    published = round(4.68 * 2**30)  # Qwen3-8B Q4_K_M as llama-bench prints it
    cost = known("qwen3-8b", "Q4_K_M", tensor_bytes=published)
    table = 622_329_856 * 8.5 / 8

    assert cost.weight_bytes() == pytest.approx(published - table, rel=1e-3)
    assert "int8" in cost.arithmetics


def test_of_an_unknown_quant_nothing_is_known_but_by_its_size() -> None:
    shape = ARCHITECTURES["qwen3-8b"]

    assert cost_of_architecture(shape, "GGUF") is None
    assert cost_of_architecture(shape, "GGUF", tensor_bytes=5 * 10**9) is not None


def test_a_file_of_random_weights_costs_what_its_shape_says(tiny_model: Path) -> None:
    cost = cost_of_gguf(read_model(tiny_model))
    shape = known("qwen3-tiny", "F16")
    norms = 2 * (256 + 64 + 64 + 256) + 256  # in 32 bits in the file, in 16 by the shape

    assert cost.weight_bytes() == shape.weight_bytes() + 2 * norms
    assert cost.decode_flops(100) == shape.decode_flops(100)
    assert cost.prefill_flops(100) == shape.prefill_flops(100)
    assert cost.kv_bytes(100) == shape.kv_bytes(100)
    assert cost.head_bytes == 2 * 256 * 2048, "the tied table counts once, as the output"


def test_a_mixture_of_experts_in_a_file_reads_those_it_uses(tmp_path: Path) -> None:
    path = tmp_path / "moe.gguf"
    write_weights(path, ARCHITECTURES["qwen3moe-tiny"], "BF16", seed=1, on_progress=lambda _step: None)
    model = read_model(path)
    cost = cost_of_gguf(model)
    experts = 2 * 3 * 256 * 256 * 8 * 2
    table = 256 * 2048 * 2

    assert (cost.experts, cost.experts_used, cost.expert_bytes) == (8, 2, experts)
    assert cost.weight_bytes() == pytest.approx(model.tensor_bytes - table - experts * 6 / 8)
    assert cost.weight_bytes(10_000) == pytest.approx(model.tensor_bytes - table)


def write_gguf(path: Path, tensors: Mapping[str, tuple[tuple[int, ...], str]], **metadata: int) -> Path:
    """Write a GGUF file of zeros; shapes have the row length first."""
    writer = gguf.GGUFWriter(path, "other")
    writer.add_block_count(2)
    for key, value in metadata.items():
        writer.add_uint32(f"other.{key.replace('__', '.')}", value)
    for name, (shape, kind) in tensors.items():
        number = gguf.GGMLQuantizationType[kind]
        elements, size = gguf.GGML_QUANT_SIZES[number]
        rows = np.zeros((*reversed(shape[1:]), shape[0] // elements * size), np.uint8)
        writer.add_tensor(name, rows, raw_dtype=number)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_mixed_types_count_their_own_bytes_and_offer_their_arithmetics(tmp_path: Path) -> None:
    path = write_gguf(
        tmp_path / "mixed.gguf",
        {
            "token_embd.weight": ((256, 512), "Q8_0"),
            "output.weight": ((256, 512), "Q6_K"),
            "blk.0.attn_k.weight": ((256, 128), "Q4_K"),
            "blk.1.ffn_up.weight": ((256, 256), "MXFP4"),
            "blk.2.nextn.eh_proj.weight": ((256, 256), "Q4_K"),
            "rope_freqs.weight": ((64,), "F32"),
        },
        nextn_predict_layers=0,
    )

    cost = cost_of_gguf(read_model(path))

    assert cost.body_bytes == 256 * 128 // 256 * 144 + 256 * 256 // 32 * 17
    assert cost.head_bytes == 256 * 512 // 256 * 210
    assert {"fp4", "int8", "bf16"} <= set(cost.arithmetics)
    assert cost.attention == (), "the header says no heads"


def test_attention_is_read_from_the_header_and_a_window_bounds_every_layer(tmp_path: Path) -> None:
    heads = {"embedding_length": 256, "attention__head_count": 4, "attention__head_count_kv": 2}
    tensors = {f"blk.{layer}.attn_k.weight": ((256, 128), "F16") for layer in range(2)}

    plain = cost_of_gguf(read_model(write_gguf(tmp_path / "plain.gguf", tensors, **heads)))
    windowed = cost_of_gguf(
        read_model(write_gguf(tmp_path / "windowed.gguf", tensors, **heads, attention__sliding_window=16))
    )

    assert plain.kv_bytes(100) == 2 * (2 * 2 * 64) * 100 * 2
    assert windowed.kv_bytes(100) == 2 * (2 * 2 * 64) * 16 * 2


def test_settings_say_what_the_kv_cache_is_kept_in(tiny_model: Path) -> None:
    plain = cost_of_artifact(tiny_model, quant="F16")
    quantized = cost_of_artifact(tiny_model, quant="F16", settings={"cache_type_k": "q8_0", "cache_type_v": "q8_0"})

    assert plain is not None
    assert quantized is not None
    assert quantized.kv_bytes(64) == pytest.approx(plain.kv_bytes(64) * 34 / 64)


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({}, None),
        ({"kv_cache_dtype": "auto"}, None),
        ({"kv_cache_dtype": "fp8_e4m3"}, 1.0),
        ({"kv_cache_dtype": "something new"}, 0.0),
        ({"cache_type_k": "q4_0"}, (18 / 32 + 2) / 2),
    ],
)
def test_the_bytes_of_a_number_in_the_kv_cache(settings: dict[str, Any], size: float | None) -> None:
    assert kv_element_bytes(settings) == size


def test_without_files_the_known_shape_stands_for_them() -> None:
    nowhere = Path("/nonexistent/model.gguf")

    assert cost_of_artifact(nowhere, quant="FP8", architecture="qwen3-8b") == known("qwen3-8b", "FP8")
    assert cost_of_artifact(nowhere, quant="FP8", architecture="unheard-of") is None
    assert cost_of_artifact(nowhere, quant="FP8") is None
