"""What an HF directory costs, by its config.json and quantization_config."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.artifacts.cost import cost_of_architecture, cost_of_artifact
from pytest_thor.artifacts.hf_shape import shape_of_config
from pytest_thor.artifacts.synthetic_hf import make_synthetic_hf
from pytest_thor.artifacts.weight_formats import format_named, format_of_config
from pytest_thor.errors import ArtifactInvalid
from pytest_thor.roofline import Cost

QWEN3_8B = {
    "model_type": "qwen3",
    "num_hidden_layers": 36,
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151936,
    "tie_word_embeddings": False,
    "sliding_window": None,
}
GPT_OSS_20B = {
    "model_type": "gpt_oss",
    "num_hidden_layers": 24,
    "hidden_size": 2880,
    "intermediate_size": 2880,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "vocab_size": 201088,
    "num_local_experts": 32,
    "num_experts_per_tok": 4,
    "sliding_window": 128,
    "layer_types": ["sliding_attention", "full_attention"] * 12,
    "quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]},
}
BODY, HEAD = 6_945_767_424, 622_329_856
W4A16 = {
    "quant_method": "compressed-tensors",
    "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int", "group_size": 128}, "targets": ["Linear"]}},
    "ignore": ["lm_head"],
}


def folder(path: Path, config: dict[str, Any], **files: dict[str, Any]) -> Path:
    path.mkdir(exist_ok=True)
    for name, content in {"config": config, **files}.items():
        (path / f"{name}.json").write_text(json.dumps(content))
    return path


def cost_of(path: Path, **settings: str) -> Cost:
    cost = cost_of_artifact(path, quant="FP8", settings=settings)
    assert cost is not None
    return cost


@pytest.mark.parametrize(
    ("scheme", "bits", "head_bits"),
    [
        (None, 16, 16),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, 8, 16),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, 4.125, 16),
        ({"quant_method": "gptq", "bits": 8, "group_size": 128, "lm_head": False}, 8.125, 16),
        ({"quant_method": "gptq", "bits": 4, "group_size": -1, "lm_head": True}, 4, 4),
        (W4A16, 4.125, 16),
        ({**W4A16, "ignore": []}, 4.125, 4.125),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, 4.5, 16),
    ],
)
def test_weights_in_a_scheme_and_the_output_table_as_it_is_kept(
    tmp_path: Path, scheme: dict[str, Any] | None, bits: float, head_bits: float
) -> None:
    config = {**QWEN3_8B, **({"quantization_config": scheme} if scheme else {})}

    cost = cost_of(folder(tmp_path / "model", config))

    assert cost.weight_bytes() == pytest.approx((BODY * bits + HEAD * head_bits) / 8, rel=1e-3)


def test_what_the_engine_quantizes_by_itself_counts(tmp_path: Path) -> None:
    path = folder(tmp_path / "model", QWEN3_8B)

    assert cost_of(path, quantization="fp8").weight_bytes() == pytest.approx(BODY + 2 * HEAD, rel=1e-3)
    assert cost_of_artifact(path, quant="BF16", settings={"quantization": "brand-new"}) is None


def test_a_scheme_beside_the_configuration_and_an_eight_bit_cache(tmp_path: Path) -> None:
    scheme = {"quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8"}}

    cost = cost_of(folder(tmp_path / "model", QWEN3_8B, hf_quant_config=scheme))

    assert cost.weight_bytes() == pytest.approx(BODY * 4.5 / 8 + 2 * HEAD, rel=1e-3)
    assert cost.kv_bytes(1) == 36 * 2 * 8 * 128
    assert "fp4" in cost.arithmetics


def test_gpt_oss_keeps_all_but_its_experts_in_16_bits(tmp_path: Path) -> None:
    cost = cost_of(folder(tmp_path / "model", GPT_OSS_20B))
    attention, experts, head = 639_221_760, 19_110_297_600, 579_133_440

    assert cost.weight_bytes() == pytest.approx(2 * (attention + head) + experts * 4 / 32 * 4.25 / 8, rel=1e-3)
    assert cost.kv_bytes(4096) == 12 * 2 * 8 * 64 * 2 * (4096 + 128)


def test_a_checkpoint_that_this_project_makes_costs_what_its_shape_does(tmp_path: Path) -> None:
    path = make_synthetic_hf("qwen3-tiny", cache=tmp_path)
    shape = cost_of_architecture(ARCHITECTURES["qwen3-tiny"], "BF16")
    cost = cost_of_artifact(path, quant="BF16")

    assert shape is not None
    assert cost is not None
    assert cost.weight_bytes() == shape.weight_bytes()
    assert cost.prefill_flops(64) == shape.prefill_flops(64)


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "deepseek_v3"},
        {"model_type": "qwen3_moe", "num_experts": 8, "num_experts_per_tok": 2, "mlp_only_layers": [0]},
        {"model_type": "qwen3_moe", "num_experts": 8},
        {"num_hidden_layers": None},
        {"hidden_size": "4096"},
        {"quantization_config": {"quant_method": "brand-new"}},
        {"quantization_config": {"quant_method": "compressed-tensors", "config_groups": {"a": {"weights": None}}}},
        {"quantization_config": {**W4A16, "sparsity_config": {"format": "sparse-24-bitmask"}}},
    ],
)
def test_what_is_not_known_has_no_cost(tmp_path: Path, change: dict[str, Any]) -> None:
    assert cost_of_artifact(folder(tmp_path / "model", {**QWEN3_8B, **change}), quant="BF16") is None


def test_a_folder_without_a_configuration_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ArtifactInvalid, match=r"has no config\.json"):
        cost_of_artifact(tmp_path, quant="BF16")


@pytest.mark.parametrize(
    ("change", "windows"),
    [
        ({"sliding_window": 4096}, {4096: 36}),
        ({"sliding_window": 4096, "use_sliding_window": False}, {}),
        ({"sliding_window": 64, "layer_types": ["sliding_attention"] * 3 + ["full_attention"] * 33}, {64: 3}),
    ],
)
def test_layers_with_a_window(change: dict[str, Any], windows: dict[int, int]) -> None:
    found = shape_of_config({**QWEN3_8B, **change}, name="qwen3-8b")

    assert found is not None
    assert found[1] == windows


@pytest.mark.parametrize(
    ("quant", "bits", "arithmetic"),
    [
        ("BF16", 16, "bf16"),
        ("F32", 32, "fp32"),
        ("FP8", 8, "fp8"),
        ("NVFP4", 4.5, "fp4"),
        ("FP4", 4.5, "fp4"),
        ("AWQ", 4.125, "fp16"),
        ("AWQ-8bit", 8.125, "fp16"),
        ("GPTQ-Int8", 8.125, "fp16"),
        ("Int4-W4A16", 4.125, "fp16"),
        ("W8A8", 8.125, "int8"),
        ("Q8_0", 8.5, "int8"),
        ("Q4_K_M", 4.5, "int8"),
        ("Q5_K_M", 5.5, "int8"),
        ("Q6_K", 6.5625, "int8"),
        ("MXFP4", 4.25, "fp4"),
    ],
)
def test_formats_by_name(quant: str, bits: float, arithmetic: str) -> None:
    found = format_named(quant)

    assert found is not None
    assert found.bits == bits
    assert arithmetic in found.arithmetics


@pytest.mark.parametrize("quant", ["AWQ", "GPTQ-Int8", "W4A16", "BF16"])
def test_weights_alone_are_computed_in_16_bits(quant: str) -> None:
    found = format_named(quant)

    assert found is not None
    assert not {"fp8", "int8", "fp4"} & set(found.arithmetics)


@pytest.mark.parametrize("quant", ["", "GGUF", "HQQ", "W3A16", "quantized"])
def test_a_name_that_says_no_format_is_not_guessed(quant: str) -> None:
    assert format_named(quant) is None


def test_activations_in_eight_bits_allow_its_arithmetic() -> None:
    weights = {"num_bits": 8, "type": "int", "strategy": "channel"}
    group = {"weights": weights, "input_activations": {"num_bits": 8, "type": "int"}}

    found = format_of_config({"quant_method": "compressed-tensors", "config_groups": {"group_0": group}})

    assert found is not None
    assert found.bits == 8
    assert {"int8", "fp8"} <= set(found.arithmetics)


@pytest.mark.timeout(30)
def test_more_layers_than_any_model_has_cost_nothing_that_is_known(tmp_path: Path) -> None:
    path = folder(tmp_path / "model", {**QWEN3_8B, "num_hidden_layers": 10**15})

    assert cost_of_artifact(path, quant="BF16") is None
