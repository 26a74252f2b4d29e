from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.cell import Setting, Workload
from pytest_thor.judge.physical import Load, check, doubt_of, held_samples, limits, load_of
from pytest_thor.roofline import Attention, Cost, Roof

# Qwen3-8B in BF16 to round figures: 14 GB of layers, 1.2 GB of output table, 147 kB of KV cache for each token.
COST = Cost(
    name="an 8B",
    body_bytes=14e9,
    head_bytes=1.2e9,
    body_parameters=7e9,
    head_parameters=0.6e9,
    attention=(Attention(layers=36, kv_elements=2048, score_width=8192),),
    arithmetics=("bf16", "fp16"),
)
MIXTURE = replace(
    COST, name="a mixture", body_bytes=2e9, expert_bytes=56e9, expert_parameters=28e9, experts=128, experts_used=8
)
ROOF = Roof(name="a Thor", bandwidth=273e9, peaks={"bf16": 258e12}, cache_bytes=0, source="a test")
PREFILL = Load(kind="prefill", input_tokens=512, output_tokens=0)
DECODE = Load(kind="decode", input_tokens=0, output_tokens=128)
LOW = Load(kind="serving", input_tokens=2048, output_tokens=128)
HIGH = replace(LOW, concurrency=8)

costs = st.builds(
    Cost,
    name=st.just("any"),
    body_bytes=st.floats(1e6, 1e12),
    head_bytes=st.floats(0, 1e10),
    body_parameters=st.floats(1e6, 1e12),
    head_parameters=st.floats(0, 1e10),
    expert_bytes=st.floats(0, 1e12),
    expert_parameters=st.floats(0, 1e12),
    experts=st.just(64),
    experts_used=st.integers(1, 64),
    attention=st.just(COST.attention),
    arithmetics=st.sampled_from([("bf16",), ("fp8", "bf16"), ()]),
)
roofs = st.builds(
    Roof,
    name=st.just("any"),
    bandwidth=st.none() | st.floats(1e9, 1e13),
    peaks=st.fixed_dictionaries({"bf16": st.floats(1e9, 1e16)}),
    cache_bytes=st.integers(0, 1 << 30),
    source=st.just("any"),
)
loads = st.builds(
    Load,
    kind=st.sampled_from(["prefill", "decode", "serving"]),
    input_tokens=st.integers(0, 100_000),
    output_tokens=st.integers(0, 10_000),
    depth=st.integers(0, 100_000),
    concurrency=st.integers(1, 10_000),
    cached=st.booleans(),
    speculative=st.booleans(),
    ranged=st.booleans(),
)


def test_decode_is_bound_by_reading_weights_and_cache() -> None:
    found = limits(COST, ROOF, replace(DECODE, depth=4096))["tg_tps"]

    assert found.value == pytest.approx(273e9 / (15.2e9 + 36 * 2048 * 4096 * 2))
    assert found.bound == "bandwidth"
    assert found.better == "higher"


def test_prefill_is_bound_by_calculating_and_a_short_one_by_reading() -> None:
    long = limits(COST, ROOF, replace(PREFILL, input_tokens=2048))["pp_tps"]
    short = limits(COST, ROOF, PREFILL)["pp_tps"]

    assert long.bound == "arithmetic"
    assert long.value == pytest.approx(258e12 / (2 * 7e9), rel=0.05)
    assert short.bound == "bandwidth"
    assert short.value == pytest.approx(512 * 273e9 / 15.2e9)


def test_a_prompt_through_a_mixture_reads_practically_every_expert() -> None:
    found = limits(MIXTURE, ROOF, LOW)["ttft_ms"]

    assert found.bound == "bandwidth"
    assert found.value == pytest.approx(1000 * (2e9 + 1.2e9 + 56e9) / 273e9, rel=0.001)


def test_serving_has_a_limit_for_every_figure_but_the_gaps() -> None:
    found = limits(COST, ROOF, HIGH)
    step = 15.2e9 + 36 * 2048 * 2048 * 2

    assert set(found) == {"ttft_ms", "tpot_ms", "e2el_ms", "request_rps", "output_tps", "total_tps"}
    assert found["tpot_ms"].value == pytest.approx(1000 * step / 273e9), "whatever the others do, it reads its own"
    assert found["e2el_ms"].value == pytest.approx(found["ttft_ms"].value + 127 * found["tpot_ms"].value)
    assert found["total_tps"].value == pytest.approx(found["output_tps"].value * (2048 + 128) / 128)


def test_requests_share_the_reading_and_not_the_calculating() -> None:
    one, eight = limits(COST, ROOF, LOW), limits(COST, ROOF, HIGH)
    many = limits(COST, ROOF, replace(LOW, concurrency=1000))

    assert one["output_tps"].value == pytest.approx(1000 / one["tpot_ms"].value)
    assert 6 < eight["output_tps"].value / one["output_tps"].value < 8
    assert many["output_tps"].bound == "arithmetic" or many["output_tps"].value > eight["output_tps"].value


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ({"cached": True}, {"ttft_ms", "e2el_ms", "total_tps"}),
        ({"speculative": True}, {"tpot_ms", "e2el_ms"}),
        ({"ranged": True}, {"output_tps", "total_tps"}),
        ({"output_tokens": 1}, {"tpot_ms"}),
        ({"output_tokens": 0}, {"e2el_ms", "output_tps", "total_tps", "request_rps"}),
        ({"input_tokens": 0}, {"ttft_ms", "e2el_ms"}),
    ],
)
def test_what_a_workload_makes_cheaper_has_no_limit(change: dict[str, bool | int], gone: set[str]) -> None:
    load = replace(HIGH, **change)  # type: ignore[arg-type]

    assert set(limits(COST, ROOF, HIGH)) - set(limits(COST, ROOF, load)) == gone


def test_speculation_leaves_decode_without_a_limit() -> None:
    assert limits(COST, ROOF, replace(DECODE, speculative=True)) == {}


def test_a_model_that_the_cache_holds_is_bound_by_calculating_alone() -> None:
    cached = replace(ROOF, cache_bytes=10 << 30)

    assert limits(COST, cached, DECODE)["tg_tps"].bound == "arithmetic"
    assert limits(COST, replace(cached, peaks={}), DECODE) == {}


def test_a_figure_within_the_tolerance_is_believed_and_one_beyond_it_is_not() -> None:
    limit = limits(COST, ROOF, DECODE)["tg_tps"].value

    held = check({"tg_tps": 1.04 * limit}, cost=COST, roof=ROOF, load=DECODE)["tg_tps"]
    assert held.efficiency == pytest.approx(1.04)
    assert held.doubt is None
    doubt = check({"tg_tps": 1.06 * limit}, cost=COST, roof=ROOF, load=DECODE)["tg_tps"].doubt
    assert doubt == (
        "decode speed of 19.04 tok/s is above 17.96 tok/s, the most that an 8B reaches on a Thor (15.2 GB to read at "
        "273 GB/s for a token; tolerance 5.0 %): most likely the model or its quant is another, or tokens were "
        "miscounted"
    )


def test_a_latency_below_its_floor_is_told_with_figure_floor_and_cause() -> None:
    held = check({"ttft_ms.median": 78.2}, cost=COST, roof=ROOF, load=LOW)

    doubt = doubt_of(held)
    assert doubt is not None
    assert doubt.startswith("median time to first token of 78.20 ms is below 115.9 ms, the least that an 8B needs on a")
    assert "prefix cache" in doubt
    assert held["ttft_ms.median"].efficiency == pytest.approx(115.9 / 78.2, rel=0.001)


def test_one_sentence_names_all_that_is_beyond() -> None:
    values = {"ttft_ms.median": 10.0, "tpot_ms.median": 1.0, "output_tps": 1000.0, "total_tps": 1.0}

    doubt = doubt_of(check(values, cost=COST, roof=ROOF, load=LOW))

    assert doubt is not None
    assert doubt.startswith("median time per output token of 1.000 ms")
    assert doubt.endswith("(beyond their limits too: time to first token, output throughput)")


def test_a_launch_is_held_by_the_medians_of_its_samples() -> None:
    found = limits(COST, ROOF, LOW)
    samples = {"ttft_ms": (1.0, 200.0, 210.0), "tpot_ms": (60.0,), "output_tps": (15.0,), "load_s": (3.0,)}

    held = held_samples(samples, found, cost=COST, roof=ROOF)

    assert set(held) == {"ttft_ms.median", "tpot_ms.median", "output_tps"}
    assert doubt_of(held) is None
    assert doubt_of(held_samples({**samples, "tpot_ms": (6.0,)}, found, cost=COST, roof=ROOF)) is not None


def test_measured_limits_say_so() -> None:
    roof = replace(ROOF, measured=True, tolerance=0.15)

    doubt = doubt_of(check({"tg_tps": 1000.0}, cost=COST, roof=roof, load=DECODE))

    assert doubt is not None
    assert "on a Thor, as measured (" in doubt
    assert "tolerance 15.0 %" in doubt


@given(cost=costs, roof=roofs, load=loads)
def test_limits_are_positive_whatever_is_asked(cost: Cost, roof: Roof, load: Load) -> None:
    for limit in limits(cost, roof, load).values():
        assert 0 < limit.value < float("inf")


@given(cost=costs, roof=roofs, load=loads, depth=st.integers(1, 100_000), scale=st.floats(1, 100))
def test_more_work_never_raises_what_can_be_reached(
    cost: Cost, roof: Roof, load: Load, depth: int, scale: float
) -> None:
    before = limits(cost, roof, load)
    deeper = limits(cost, roof, replace(load, depth=load.depth + depth))
    heavier = limits(replace(cost, body_bytes=scale * cost.body_bytes), roof, load)
    for after in (deeper, heavier):
        for metric, limit in before.items():
            worse, better = (after[metric].value, limit.value)[:: 1 if limit.better == "higher" else -1]
            assert worse <= better * (1 + 1e-9), metric


@given(cost=costs, roof=roofs, load=loads, more=st.integers(1, 1000))
def test_more_requests_at_once_never_lower_the_throughput_that_can_be_reached(
    cost: Cost, roof: Roof, load: Load, more: int
) -> None:
    few, many = limits(cost, roof, load), limits(cost, roof, replace(load, concurrency=load.concurrency + more))
    for metric in ("output_tps", "total_tps", "request_rps"):
        if metric in few and metric in many:
            assert few[metric].value <= many[metric].value * (1 + 1e-9)


@given(cost=costs, roof=roofs, load=loads, share=st.floats(0.001, 1.0))
def test_what_lies_within_a_limit_is_never_doubted_and_twice_the_limit_always_is(
    cost: Cost, roof: Roof, load: Load, share: float
) -> None:
    found = limits(cost, roof, load)
    within = {name: each.value * (share if each.better == "higher" else 1 / share) for name, each in found.items()}
    beyond = {name: each.value * (2 if each.better == "higher" else 0.5) for name, each in found.items()}

    assert doubt_of(check(within, cost=cost, roof=roof, load=load)) is None
    assert all(held.doubt is not None for held in check(beyond, cost=cost, roof=roof, load=load).values())


def workload(kind: str, **parameters: Setting) -> Workload:
    return Workload(name="any", kind=kind, parameters=tuple(sorted(parameters.items())))  # type: ignore[arg-type]


def test_the_load_of_a_workload() -> None:
    assert load_of(workload("prefill", n_prompt=512, n_depth=64, repetitions=5)) == replace(PREFILL, depth=64)
    assert load_of(workload("decode", n_gen=128, n_depth=0, repetitions=5)) == DECODE
    serving = workload("serving", input_len=2048, output_len=(64, 256), max_concurrency=8, num_prompts=100)
    assert load_of(serving) == replace(HIGH, output_tokens=64, ranged=True)


def test_an_open_load_may_put_every_request_into_one_step() -> None:
    open_load = workload("serving", input_len=8, output_len=8, max_concurrency=None, num_prompts=100)
    endless = workload("serving", input_len=8, output_len=8, max_concurrency=None, num_prompts=None)
    replayed = workload("serving", input_len=None, output_len=None, max_concurrency=4)

    assert load_of(open_load).concurrency == 100
    assert load_of(endless).concurrency >= 1_000_000
    assert limits(COST, ROOF, load_of(replayed)).keys() == {"tpot_ms"}


@pytest.mark.parametrize(
    ("settings", "speculative"),
    [
        ({}, False),
        ({"extra_args": ("--enable-chunked-prefill",)}, False),
        ({"extra_args": ("--speculative-config", "{}")}, True),
        ({"extra_args": ("-md", "small.gguf")}, True),
        ({"draft_max": 8}, True),
    ],
)
def test_speculation_is_known_by_the_settings(settings: dict[str, Setting], speculative: bool) -> None:
    assert load_of(workload("decode", n_gen=128, n_depth=0), settings).speculative is speculative


@pytest.mark.parametrize("parameters", [{"prefix_cache": True}, {"fresh_prompts": False}])
def test_prompts_that_may_repeat_have_no_floor(parameters: dict[str, Setting]) -> None:
    assert load_of(workload("serving", input_len=8, output_len=8, max_concurrency=1, **parameters)).cached


def test_a_quality_workload_has_no_limits() -> None:
    workload = Workload(name="text", kind="quality", parameters=(("ctx_size", 512), ("text", "wiki.txt")))
    assert limits(COST, ROOF, load_of(workload)) == {}
