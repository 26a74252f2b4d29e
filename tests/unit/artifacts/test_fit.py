"""What a launch needs, and which quant the rule takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.artifacts.cost import cost_of_architecture
from pytest_thor.artifacts.fit import GB, Candidate, Fit, Memory, Need, choose, need_of
from pytest_thor.artifacts.quants import QUANTS, expected_size
from pytest_thor.roofline import Cost

GIB = 1 << 30
MEMORY = Memory(name="memory", total_bytes=16 * GIB)


def cost(shape: str, quant: str = "Q8_0") -> Cost:
    found = cost_of_architecture(ARCHITECTURES[shape], quant)
    assert found is not None
    return found


def candidates(shape: str, *names: str) -> list[Candidate]:
    return [
        Candidate(quant=name, file_bytes=expected_size(ARCHITECTURES[shape], QUANTS[name]).file_bytes) for name in names
    ]


@pytest.mark.parametrize(("shape", "mebibytes"), [("qwen3-0.6b", 896), ("qwen3-8b", 1152), ("qwen3-30b-a3b", 768)])
def test_the_kv_cache_is_the_one_that_llama_cpp_makes(shape: str, mebibytes: int) -> None:
    # llama-fit-params -c 8192 (llama.cpp of llama-cpp-python 0.3.36) prints these of files in these shapes.
    assert need_of(cost(shape), weights_bytes=0, context=8192).kv_bytes == mebibytes << 20


def test_layers_with_a_window_hold_no_more_than_it() -> None:
    full = need_of(cost("gpt-oss-20b"), weights_bytes=0, context=131_072).kv_bytes
    per_token = 2 * 8 * 64 * 2
    assert full == 12 * per_token * 131_072 + 12 * per_token * (128 + 512)


@given(st.integers(1, 1 << 20), st.integers(1, 64))
def test_a_longer_context_never_needs_less(context: int, sequences: int) -> None:
    model = cost("gpt-oss-20b")
    less = need_of(model, weights_bytes=1, context=context, sequences=sequences)
    more = need_of(model, weights_bytes=1, context=context + 1, sequences=sequences)
    assert 0 < less.kv_bytes <= more.kv_bytes


def test_the_sum_is_shown_with_what_to_do() -> None:
    need = Need(weights_bytes=17 * GIB, kv_bytes=3 * GIB, overhead_bytes=GIB, context=32_768)
    fit = Fit(need=need, memory=Memory(name="unified memory", total_bytes=24 * GIB, available_bytes=20 * GIB))
    assert not fit.fits
    assert fit.sentence == (
        "does not fit: needs 21.00 GiB (weights 17.00 GiB, KV cache of 32768 tokens 3.00 GiB, buffers 1.00 GiB), and "
        "20.00 GiB of 24.00 GiB unified memory can be had; take a smaller quant, a shorter context or fewer slots or "
        "free what others hold"
    )
    assert Fit(need=need, memory=Memory(name="memory", total_bytes=21 * GIB)).fits


def test_for_quality_the_largest_that_leaves_two_gb_is_taken() -> None:
    found = choose(
        candidates("qwen3-8b", "BF16", "Q8_0", "Q6_K", "Q4_K_M"),
        Memory(name="memory", total_bytes=9 * GB),
        "quality",
        on_gpu=True,
    )
    assert found.candidate is not None
    assert found.candidate.quant == "Q6_K"
    assert [each.quant for each in found.others] == ["Q4_K_M"]
    assert found.reason == "the largest that leaves 2 GB to spare"


def test_what_leaves_one_gb_is_tight_and_what_leaves_less_is_not_taken() -> None:
    [eight] = candidates("qwen3-8b", "Q8_0")
    size = eight.file_bytes
    tight = choose([eight], Memory(name="memory", total_bytes=size + GB), "quality", on_gpu=True)
    assert tight.candidate is eight
    assert "tight" in tight.reason
    none = choose([eight], Memory(name="memory", total_bytes=size + GB - 1), "quality", on_gpu=True)
    assert none.candidate is None
    assert "nothing fits" in none.reason
    assert "Q8_0, takes 8.11 GiB" in none.reason


@pytest.mark.parametrize(("on_gpu", "quant"), [(True, "IQ3_M"), (False, "Q3_K_M")])
def test_below_q4_a_gpu_takes_i_quants_and_a_processor_k_quants(on_gpu: bool, quant: str) -> None:
    offered = candidates("qwen3-8b", "IQ3_M", "Q3_K_M")
    found = choose(offered, MEMORY, "quality", on_gpu=on_gpu)
    assert found.candidate is not None
    assert found.candidate.quant == quant


def test_older_types_are_taken_only_where_nothing_else_is_there() -> None:
    offered = candidates("qwen3-8b", "Q5_0", "Q4_K_M")
    found = choose(offered, MEMORY, "quality", on_gpu=True)
    assert found.candidate is not None
    assert found.candidate.quant == "Q4_K_M"
    alone = choose(offered[:1], MEMORY, "quality", on_gpu=True)
    assert alone.candidate is offered[0]


def test_for_speed_a_measurement_goes_before_the_rule() -> None:
    plain = candidates("qwen3-8b", "Q8_0", "Q6_K", "Q4_K_M", "IQ2_XXS")
    by_rule = choose(plain, MEMORY, "speed", on_gpu=True)
    assert by_rule.candidate is not None
    assert by_rule.candidate.quant == "Q4_K_M"
    measured = [
        Candidate(
            quant=each.quant, file_bytes=each.file_bytes, measured_tps={"Q6_K": 40.07, "Q8_0": 31.0}.get(each.quant)
        )
        for each in plain
    ]
    found = choose(measured, MEMORY, "speed", on_gpu=True)
    assert found.candidate is not None
    assert found.candidate.quant == "Q6_K"
    assert found.reason == "the fastest of 2 measured here: 40.07 tok/s in decode, with 2 GB to spare"


def test_nothing_is_chosen_of_nothing() -> None:
    assert choose([], MEMORY, "speed", on_gpu=False).candidate is None
