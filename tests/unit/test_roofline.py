from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.roofline import Attention, Cost, Limit, Roof

DENSE = Cost(
    name="dense",
    body_bytes=1000.0,
    head_bytes=200.0,
    body_parameters=500.0,
    head_parameters=100.0,
    attention=(Attention(layers=2, kv_elements=8, score_width=16),),
    arithmetics=("bf16", "fp16"),
)
MIXTURE = replace(DENSE, expert_bytes=6400.0, expert_parameters=3200.0, experts=16, experts_used=4)
ROOF = Roof(name="device", bandwidth=100.0, peaks={"bf16": 1000.0, "fp8": 2000.0}, cache_bytes=50, source="a test")

counts = st.integers(min_value=1, max_value=100_000)


def test_a_token_reads_every_weight_and_its_own_cache() -> None:
    assert DENSE.weight_bytes() == 1200.0
    assert DENSE.kv_bytes(10) == 2 * 8 * 10 * 2
    assert DENSE.kv_bytes(10, element_bytes=1) == 2 * 8 * 10


def test_a_prompt_is_calculated_token_by_token_and_answered_once() -> None:
    seen = 1 + 2 + 3 + 4  # each token looks at itself and all before it
    assert DENSE.prefill_flops(4) == 2 * 500 * 4 + 2 * 100 + 2 * 2 * 16 * seen
    assert DENSE.prefill_flops(4, depth=10) - DENSE.prefill_flops(4) == 2 * 2 * 16 * 4 * 10
    assert DENSE.decode_flops(10) == 2 * 600 + 2 * 2 * 16 * 10


def test_a_token_uses_some_experts_and_a_batch_the_expected_number_of_distinct_ones() -> None:
    assert MIXTURE.weight_bytes() == pytest.approx(1200 + 6400 * 4 / 16)
    assert MIXTURE.expert_share(2) == pytest.approx(1 - (12 / 16) ** 2)
    assert MIXTURE.weight_bytes(1000) == pytest.approx(1200 + 6400)
    assert MIXTURE.decode_flops() == pytest.approx(2 * (500 + 3200 / 4 + 100))


@pytest.mark.parametrize(
    ("tokens", "depth", "seen"), [(3, 0, 1 + 2 + 3), (6, 0, 1 + 2 + 3 + 4 + 4 + 4), (3, 2, 3 + 4 + 4), (3, 9, 12)]
)
def test_a_window_bounds_what_a_layer_looks_at(tokens: int, depth: int, seen: int) -> None:
    windowed = Attention(layers=1, kv_elements=1, score_width=1, window=4)

    assert windowed.seen_in_all(tokens, depth) == seen
    assert windowed.seen(depth) == min(depth, 4)


def test_the_fastest_arithmetic_that_a_device_has_is_taken() -> None:
    assert ROOF.peak(("bf16", "fp8")) == 2000.0
    assert ROOF.peak(("bf16", "fp16")) == 1000.0
    assert ROOF.peak(("int8",)) is None
    assert ROOF.compute_s(500.0, ("int8",)) is None


def test_what_fits_into_the_cache_twice_over_has_no_floor() -> None:
    assert ROOF.read_s(100.0) is None
    assert ROOF.read_s(250.0) == (250 - 50) / 100
    assert replace(ROOF, bandwidth=None).read_s(1e9) is None


def test_efficiency_is_the_share_of_the_limit_in_either_direction() -> None:
    slowest = Limit(metric="tpot_ms", value=10.0, better="lower", bound="bandwidth", work="")
    fastest = Limit(metric="tg_tps", value=10.0, better="higher", bound="bandwidth", work="")

    assert slowest.efficiency(20.0) == 0.5
    assert fastest.efficiency(20.0) == 2.0
    assert slowest.efficiency(0.0) == math.inf


@given(tokens=counts, more=counts, depth=counts, window=st.none() | counts)
def test_work_only_grows(tokens: int, more: int, depth: int, window: int | None) -> None:
    kind = Attention(layers=2, kv_elements=8, score_width=16, window=window)
    cost = replace(MIXTURE, attention=(kind,))

    assert 0 < cost.weight_bytes(tokens) <= cost.weight_bytes(tokens + more) <= 7600.0
    assert 0 < cost.kv_bytes(depth) <= cost.kv_bytes(depth + more)
    assert 0 < cost.prefill_flops(tokens, depth) < cost.prefill_flops(tokens + more, depth)
    assert cost.prefill_flops(tokens) <= cost.prefill_flops(tokens, depth)
    assert 0 < cost.decode_flops(depth) <= cost.decode_flops(depth + more)
    assert kind.seen_in_all(tokens, depth) <= Attention(layers=2, kv_elements=8, score_width=16).seen_in_all(
        tokens, depth
    )


@given(size=st.floats(min_value=0, max_value=1e15), more=st.floats(min_value=0, max_value=1e15))
def test_more_to_read_never_takes_less_time(size: float, more: float) -> None:
    first, second = ROOF.read_s(size) or 0.0, ROOF.read_s(size + more) or 0.0

    assert 0 <= first <= second
