"""Models, quants and devices out of the names that people give them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.published.devices import device_in
from pytest_thor.published.names import contradict, model_in, of_label, of_path, same_family, size_in


@pytest.mark.parametrize(
    ("path", "model", "quant"),
    [
        ("/models/Qwen/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf", "Qwen3-8B", "Q4_K_M"),
        ("gpt-oss-120b-mxfp4-00001-of-00003.gguf", "gpt-oss-120b", "MXFP4"),
        ("Qwen/Qwen3-8B", "Qwen3-8B", None),
        ("Qwen3-8B-GGUF", "Qwen3-8B", None),
        ("Qwen3-8B-FP8", "Qwen3-8B", "FP8"),
        ("Qwen3-8B-GPTQ-Int4", "Qwen3-8B", "GPTQ-Int4"),
        ("Qwen3-8B-Int8-W8A16", "Qwen3-8B", "W8A16"),
        ("Qwen3-Coder-30B-A3B-Instruct-AWQ-8bit/", "Qwen3-Coder-30B-A3B-Instruct", "AWQ-8bit"),
        ("Qwen3-30B-A3B-bf16.gguf", "Qwen3-30B-A3B", "BF16"),
        ("x/Aurora-7B-UD-Q4_K_XL.gguf", "Aurora-7B", "UD-Q4_K_XL"),
        ("ggml-org/Aurora-7B-GGUF:Q8_0", "Aurora-7B", "Q8_0"),
        (r"C:\models\Aurora-7B-IQ2_XXS.gguf", "Aurora-7B", "IQ2_XXS"),
        ("Q8_0.gguf", "Q8_0", None),
    ],
)
def test_a_path_names_model_and_quant(path: str, model: str, quant: str | None) -> None:
    assert of_path(path) == (model, quant)


@pytest.mark.parametrize(
    ("label", "model", "quant"),
    [
        ("qwen3 8B Q4_K - Medium", "qwen3 8B", "Q4_K_M"),
        ("qwen3moe 30B.A3B Q6_K", "qwen3moe 30B.A3B", "Q6_K"),
        ("gpt-oss 120B MXFP4 MoE", "gpt-oss 120B", "MXFP4"),
        ("llama 7B mostly Q4_0", "llama 7B", "Q4_0"),
        ("llama 7B all F32 (guessed)", "llama 7B", "F32"),
        ("qwen3 ?B Q3_K - Small", "qwen3 ?B", "Q3_K_S"),
        ("llama 8B IQ4_XS - 4.25 bpw", "llama 8B", "IQ4_XS"),
        ("llama 8B IQ3_S mix - 3.66 bpw", "llama 8B", "IQ3_M"),
        ("qwen2 3B Q4_0_8_8", "qwen2 3B", "Q4_0_8_8"),
        ("mixtral 8x7B Q8_0", "mixtral 8x7B", "Q8_0"),
        ("something else", "something else", None),
        ("qwen3 8B in some new type", "qwen3 8B", None),
    ],
)
def test_llama_benchs_label_names_model_and_quant(label: str, model: str, quant: str | None) -> None:
    assert of_label(label) == (model, quant)


def test_two_sizes_contradict_and_one_alone_does_not() -> None:
    assert contradict("qwen2 3B", "Qwen3-30B-A3B")
    assert not contradict("qwen3moe 30B.A3B", "Qwen3-Coder-30B-A3B-Instruct")
    assert not contradict("qwen3 ?B", "Qwen3-8B")
    assert same_family("qwen3moe 30B.A3B", "Qwen3-30B-A3B")
    assert not same_family("llama 8B", "Qwen3-8B")
    assert size_in("Llama-3.1-8B-and-70B") is None


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("Qwen3-8B-FP8", "Qwen3-8B-FP8"),
        ("Results of `Qwen3-0.6B` here", "Qwen3-0.6B"),
        ("Qwen3-8B against Qwen3-14B", None),
        ("Llama 3 8B", None),
        ("High load", None),
        ("A 7B model", None),
    ],
)
def test_a_heading_names_one_model_or_none(heading: str, model: str | None) -> None:
    assert model_in(heading) == model


@pytest.mark.parametrize(
    ("texts", "backend", "device"),
    [
        (["GPU(CUDA)", "A800, Intel Xeon Platinum 8358 CPU (128 core)"], "CUDA", "A800"),
        (["CPU", "A800, Intel Xeon Platinum 8358 CPU (128 core)"], "CPU", "Intel Xeon Platinum 8358"),
        (["Apple M4 (10 core)"], "Metal,BLAS", "Apple M4"),
        (["AVX2 (EPYC7702)"], "CPU", "EPYC7702"),
        (["", "", "Benchmarks on Jetson Thor"], None, "Jetson Thor"),
        (["H100 against H200"], "CUDA", None),
        (["NVIDIA GeForce RTX 4090"], "CUDA", "RTX 4090"),
        (["my own machine"], "CUDA", None),
    ],
)
def test_a_device_is_named_by_the_nearest_text_or_not_at_all(
    texts: list[str], backend: str | None, device: str | None
) -> None:
    assert device_in(texts, backend=backend) == device


@given(text=st.text(max_size=300))
def test_any_text_has_a_name_and_none_crashes(text: str) -> None:
    assert isinstance(of_path(text)[0], str)
    assert isinstance(of_label(text)[0], str)
    assert (model_in(text) or "") in text
    assert (device_in([text], backend="CPU") or "") in text
