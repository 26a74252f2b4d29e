"""The catalogue of quants, and the sizes it expects held against those that others published."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.artifacts.architectures import ARCHITECTURES, Architecture
from pytest_thor.artifacts.gguf_types import FILE_TYPES, GGML_TYPES
from pytest_thor.artifacts.quant_mixture import BASE_TYPES, mixture
from pytest_thor.artifacts.quants import QUANTS, expected_size, known_quant

PUBLISHED = Path(__file__).parents[3] / "baselines" / "published"
QWEN2_3B = Architecture(
    name="qwen2.5-3b",
    gguf="qwen2",
    layers=36,
    width=2048,
    ffn=11_008,
    heads=16,
    kv_heads=2,
    head_size=128,
    vocabulary=151_936,
    context=32_768,
    tied_embeddings=True,
)
SHAPES = {
    "qwen2 3B": QWEN2_3B,
    "Qwen3-8B": ARCHITECTURES["qwen3-8b"],
    "Qwen3-30B-A3B": ARCHITECTURES["qwen3-30b-a3b"],
    "Qwen3-Coder-30B-A3B-Instruct": ARCHITECTURES["qwen3-30b-a3b"],
    "gpt-oss-120b": ARCHITECTURES["gpt-oss-120b"],
    # The file that was measured has an output table of its own: 751.63 M parameters are published for it.
    "Qwen3-0.6B": replace(ARCHITECTURES["qwen3-0.6b"], tied_embeddings=False),
}
TOLERANCE = 0.03
MANY_EXPERTS = "qwen3-30b-a3b-gguf-quants"
"""The document whose publisher mixes models of many experts by rules of his own."""

OTHERWISE = {"Q3_K_XL": 0.088, "Q3_K_L": 0.091, "Q3_K_M": 0.045, "IQ3_M": -0.040}
OTHERWISE |= {"IQ3_XXS": -0.030, "Q2_K_L": 0.031, "Q2_K": 0.032}
"""Rows of it that llama-quantize itself would make larger or smaller by more than 3 %; ``--dry-run`` says so too, see
tests/engines/test_quantizer_real.py."""


def rows() -> Iterator[tuple[str, str, str, float, bool]]:
    """Yield file, model, quant, size in bytes and whether it counts the whole file."""
    seen = set()
    for path in sorted(PUBLISHED.glob("*.json")):
        for result in json.loads(path.read_text(encoding="utf-8"))["results"]:
            metrics, quant = result["metrics"], result.get("quant")
            size = metrics.get("file_bytes") or metrics.get("model_bytes")
            if size and quant and (path.stem, result["model"], quant) not in seen:
                seen.add((path.stem, result["model"], quant))
                yield path.stem, result["model"], quant, size["value"], "file_bytes" in metrics


ROWS = list(rows())


def error_of(model: str, quant: str, size: float, *, whole_file: bool, many_as_eight: bool = False) -> float:
    known = known_quant(quant)
    assert known is not None, quant
    # The two documents quantized with an importance matrix.
    expected = expected_size(SHAPES[model], known, imatrix=True, many_as_eight=many_as_eight)
    return (expected.file_bytes if whole_file else expected.tensor_bytes) / size - 1


def test_both_documents_and_the_thor_guide_are_among_the_rows() -> None:
    assert {row[0] for row in ROWS} >= {"qwen3-8b-gguf-quants", "qwen3-30b-a3b-gguf-quants", "llama-cpp-on-jetson-thor"}
    assert len(ROWS) >= 40


@pytest.mark.parametrize(("file", "model", "quant", "size", "whole"), ROWS, ids=[f"{r[1]}-{r[2]}-{r[0]}" for r in ROWS])
def test_the_expected_size_is_the_published_one(file: str, model: str, quant: str, size: float, whole: bool) -> None:
    error = error_of(model, quant, size, whole_file=whole, many_as_eight=file == MANY_EXPERTS)
    assert abs(error) <= TOLERANCE


@pytest.mark.parametrize(
    ("file", "model", "quant", "size", "whole"), [row for row in ROWS if row[:2] == (MANY_EXPERTS, "Qwen3-30B-A3B")]
)
def test_the_publishers_rules_are_told_from_llama_quantizes(
    file: str, model: str, quant: str, size: float, whole: bool
) -> None:
    error = error_of(model, quant, size, whole_file=whole)
    if quant in OTHERWISE:
        assert error == pytest.approx(OTHERWISE[quant], abs=0.001)
    else:
        assert abs(error) <= TOLERANCE
    # To be within 3 % says little of whose rules they are; to be within a quarter of a percent does.
    if quant not in {"IQ2_XS", "IQ2_XXS"}:
        assert abs(error_of(model, quant, size, whole_file=whole, many_as_eight=True)) <= 0.0026


def test_the_publishers_rules_are_for_more_than_eight_experts_only() -> None:
    shape = ARCHITECTURES["qwen3-30b-a3b"]
    eight = replace(shape, experts=8)
    for quant in BASE_TYPES:
        for other in (ARCHITECTURES["qwen3-8b"], eight):
            assert list(mixture(other, quant)) == list(mixture(other, quant, many_as_eight=True))
    types = {tensor.name: tensor.type for tensor in mixture(shape, "Q3_K_M", many_as_eight=True)}
    assert (types["blk.0.ffn_down_exps.weight"], types["blk.6.ffn_down_exps.weight"]) == ("Q4_K", "Q3_K")
    assert (types["blk.9.attn_v.weight"], types["blk.9.attn_output.weight"]) == ("Q8_0", "Q5_K")


def test_every_file_type_of_llama_cpp_is_in_the_catalogue() -> None:
    assert set(FILE_TYPES.values()) <= set(QUANTS)
    assert set(BASE_TYPES) == set(FILE_TYPES.values())


@pytest.mark.parametrize("name", list(QUANTS))
def test_an_entry_says_what_it_is_and_when_to_take_it(name: str) -> None:
    quant = QUANTS[name]
    assert quant.name == name
    assert 1 < quant.bits <= 32
    assert len(quant.advice) > 20
    assert quant.format == ("hf" if quant.mixes_as is None else "gguf")
    assert known_quant(name.lower().replace("-", "_")) is quant


def test_a_publishers_own_mixture_is_not_known() -> None:
    assert known_quant("UD-Q4_K_XL") is None
    assert known_quant("Q9_K") is None
    assert known_quant("mxfp4_moe") is QUANTS["MXFP4"]


def test_the_wide_types_differ_in_their_tables_only() -> None:
    shape = ARCHITECTURES["qwen3-8b"]
    plain = list(mixture(shape, "Q4_K_M"))
    wide = list(mixture(shape, "Q4_K_M", table_type="Q8_0"))
    changed = [(a.name, a.type, b.type) for a, b in zip(plain, wide, strict=True) if a != b]
    assert changed == [("token_embd.weight", "Q4_K", "Q8_0"), ("output.weight", "Q6_K", "Q8_0")]
    table = shape.width * shape.vocabulary
    grown = expected_size(shape, QUANTS["Q4_K_L"]).tensor_bytes - expected_size(shape, QUANTS["Q4_K_M"]).tensor_bytes
    assert grown == round(table * (8.5 - 4.5 + 8.5 - 6.5625) / 8)


def test_rows_that_no_block_of_256_divides_fall_back_to_smaller_blocks() -> None:
    types = {tensor.name: tensor.type for tensor in mixture(ARCHITECTURES["gpt-oss-20b"], "Q4_K_S")}
    assert types["blk.10.ffn_up_exps.weight"] == "Q5_0"
    assert types["output.weight"] == "Q8_0"


@given(st.sampled_from(sorted(ARCHITECTURES)), st.sampled_from(sorted(BASE_TYPES)), st.booleans(), st.booleans())
def test_every_tensor_gets_a_type_that_divides_its_rows(shape: str, quant: str, imatrix: bool, many: bool) -> None:
    types = {each.name: each for each in GGML_TYPES.values()}
    tensors = list(mixture(ARCHITECTURES[shape], quant, imatrix=imatrix, many_as_eight=many))
    assert [(tensor.name, tensor.shape) for tensor in tensors] == list(ARCHITECTURES[shape].tensors)
    assert all(tensor.shape[0] % types[tensor.type].block_elements == 0 for tensor in tensors)


def test_a_checkpoint_keeps_its_tables_in_sixteen_bits() -> None:
    shape = ARCHITECTURES["qwen3-8b"]
    full = expected_size(shape, QUANTS["BF16"])
    fp8 = expected_size(shape, QUANTS["FP8"])
    tables = 2 * shape.width * shape.vocabulary
    norms = sum(each[0] for _, each in shape.tensors if len(each) == 1)
    assert fp8.tensor_bytes == 2 * tables + (shape.parameters - tables - norms) + 2 * norms
    assert full.bits_per_weight == pytest.approx(16, abs=0.01)
