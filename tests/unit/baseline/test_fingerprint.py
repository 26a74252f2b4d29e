"""What makes two measurements comparable, and what is only named."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.baseline.fingerprint import Difference, Facts, Fingerprint, conditions, differences, from_json, take
from pytest_thor.cell import Cell, Setting, Workload
from pytest_thor.measurement import EngineBuild
from tests.cells import build_cell

MACHINE: Facts = {
    "device": "jetson-agx-thor",
    "cpu": "Neoverse-V3AE",
    "logical_cpus": 14,
    "memory_bytes": 131_881_615_360,
    "gpu": "NVIDIA Thor",
    "power_mode": "MAXN",
    "l4t": "38.4",
    "driver": "580.00",
    "cuda": "13.0",
    "kernel": "6.8.12-tegra",
}
MODEL: Facts = {"size_bytes": 5_027_783_488, "header_sha256": "ab12"}
BUILD = EngineBuild(name="llama-bench", path="/opt/llama-bench", version="b7000", commit="c0ffee")


def cell(*, n_gen: int = 128, repetitions: int = 5, threads: Setting = 8) -> Cell:
    return build_cell(
        "decode",
        {"n_depth": 0, "n_gen": n_gen, "repetitions": repetitions},
        workload="tg128",
        model="qwen3-8b",
        architecture="qwen3-8b",
        quant="Q4_K_M",
        backend="llama.cpp",
        settings={"n_threads": threads, "tensor_split": (1, 2)},
        matrix="qwen3",
    )


def taken(
    *, build: EngineBuild = BUILD, of: Cell | None = None, model: Facts = MODEL, **machine: object
) -> Fingerprint:
    facts: dict[str, object] = {**MACHINE, **machine}
    return take(machine=facts, model=model, engine=build, cell=of or cell())  # type: ignore[arg-type]  # facts by keyword


def changed(current: Fingerprint) -> dict[str, bool]:
    return {difference.field: difference.blocks for difference in differences(taken(), current)}


def test_the_same_machine_model_engine_and_workload_differ_in_nothing() -> None:
    assert differences(taken(), taken()) == ()


@pytest.mark.parametrize(
    ("current", "field"),
    [
        (taken(device="jetson-agx-orin"), "device"),
        (taken(cpu="other"), "cpu"),
        (taken(logical_cpus=12), "logical_cpus"),
        (taken(memory_bytes=64 * 2**30), "memory_gib"),
        (taken(gpu="none"), "gpu"),
        (taken(power_mode="120W"), "power_mode"),
        (taken(model={**MODEL, "size_bytes": 1}), "model.size_bytes"),
        (taken(model={**MODEL, "header_sha256": "cd"}), "model.header_sha256"),
        (taken(build=replace(BUILD, name="llama-cpp-python")), "engine.name"),
        (taken(of=cell(n_gen=64)), "workload.n_gen"),
    ],
)
def test_another_machine_model_engine_or_workload_blocks(current: Fingerprint, field: str) -> None:
    assert changed(current) == {field: True}


@pytest.mark.parametrize(
    ("current", "field"),
    [
        (taken(build=replace(BUILD, version="b7100")), "engine.version"),
        (taken(build=replace(BUILD, commit="beef")), "engine.commit"),
        (taken(of=cell(threads=4)), "settings.n_threads"),
        (taken(l4t="39.0"), "l4t"),
        (taken(driver="590"), "driver"),
        (taken(cuda="13.1"), "cuda"),
        (taken(kernel="6.9"), "kernel"),
        (taken(python="3.13"), "python"),
        (taken(of=cell(repetitions=9)), "workload.repetitions"),
    ],
)
def test_what_is_under_test_is_named_and_does_not_block(current: Fingerprint, field: str) -> None:
    assert changed(current) == {field: False}


def test_of_a_load_what_changes_no_sample_is_only_named() -> None:
    def load(**changed: Setting) -> Cell:
        asked = {"input_len": 64, "max_failed": 0.0, "slo_ttft_ms": None, "warmup": 1} | changed
        parameters = tuple(sorted(asked.items()))
        return replace(cell(), workload=Workload(name="load", kind="serving", parameters=parameters))

    def changes(**changed: Setting) -> dict[str, bool]:
        found = differences(taken(of=load()), taken(of=load(**changed)))
        return {difference.field: difference.blocks for difference in found}

    assert changes(warmup=4) == {"workload.warmup": False}
    assert changes(max_failed=0.1) == {"workload.max_failed": False}
    assert changes(input_len=128) == {"workload.input_len": True}


def test_a_client_that_is_not_there_is_our_own() -> None:
    def load(**client: Setting) -> Fingerprint:
        asked = tuple(sorted({"input_len": 64, **client}.items()))
        return taken(of=replace(cell(), workload=Workload(name="load", kind="serving", parameters=asked)))

    for stored, current, blocks in (
        (load(), load(client="thor"), None),
        (load(), load(client="vllm"), True),
        (load(client="vllm"), load(), True),
        (load(client="vllm"), load(client="vllm"), None),
    ):
        found = {one.field: one.blocks for one in differences(stored, current)}
        assert found == ({} if blocks is None else {"workload.client": blocks})


def test_another_build_from_another_place_is_the_same() -> None:
    assert changed(taken(build=replace(BUILD, path="/elsewhere/llama-bench"))) == {}


def test_a_kernel_that_keeps_a_little_more_memory_is_no_other_machine() -> None:
    assert changed(taken(memory_bytes=131_881_615_360 - 40 * 2**20)) == {}
    assert changed(taken(memory_bytes=131_881_615_360 - 400 * 2**20)) == {}  # rounds to another GiB


@pytest.mark.parametrize(
    ("current", "field"), [(taken(power_mode=None), "power_mode"), (taken(memory_bytes=None), "memory_gib")]
)
def test_what_one_side_does_not_know_is_named_and_does_not_block(current: Fingerprint, field: str) -> None:
    assert changed(current) == {field: False}


def test_a_field_that_only_one_side_has_is_named_and_does_not_block() -> None:
    hashed = taken(model={**MODEL, "sha256": "ef"})
    assert differences(taken(), hashed) == (Difference(field="model.sha256", stored=None, current="ef", blocks=False),)
    assert differences(hashed, taken()) == (Difference(field="model.sha256", stored="ef", current=None, blocks=False),)


def test_what_blocks_comes_first_and_the_order_is_stable() -> None:
    current = taken(kernel="6.9", power_mode="70W", cuda="13.1", cpu="other")
    assert list(changed(current)) == ["cpu", "power_mode", "cuda", "kernel"]


def test_a_difference_reads_as_a_phrase() -> None:
    assert str(Difference(field="power_mode", stored="MAXN", current=None, blocks=False)) == (
        "power mode: MAXN → not known"
    )


def test_true_is_not_one() -> None:
    stored = from_json({"must_match": {}, "under_test": {"flash_attn": True}})
    current = from_json({"must_match": {}, "under_test": {"flash_attn": 1}})
    assert [difference.field for difference in differences(stored, current)] == ["flash_attn"]


def test_runs_under_equal_conditions_have_one_digest() -> None:
    later = taken(kernel="6.9", l4t="39.0", build=replace(BUILD, version="b7100"), of=cell(threads=4, repetitions=9))
    assert conditions(taken()) == conditions(later)
    assert len(conditions(taken())) == 16


@pytest.mark.parametrize(
    "other",
    [
        taken(power_mode="120W"),
        taken(gpu="none"),
        taken(memory_bytes=64 * 2**30),
        taken(of=cell(n_gen=64)),
        taken(model={**MODEL, "header_sha256": "cd"}),
        taken(build=replace(BUILD, name="llama-cpp-python")),
        taken(power_mode=None),
    ],
)
def test_runs_under_other_conditions_have_another_digest(other: Fingerprint) -> None:
    assert conditions(taken()) != conditions(other)


def test_a_little_memory_a_hash_on_request_and_what_is_not_known_change_no_digest() -> None:
    same = (
        taken(memory_bytes=131_881_615_360 - 600 * 2**20),
        taken(model={**MODEL, "sha256": "ef"}),
        taken(model={**MODEL, "revision": None}),
    )
    assert {conditions(other) for other in same} == {conditions(taken())}
    whole = taken(model={"size_bytes": 1, "sha256": "ef"})
    assert conditions(whole) != conditions(taken(model={"size_bytes": 1, "sha256": "00"}))


@pytest.mark.parametrize("nominal", [16, 24, 32, 48, 64, 96, 128, 256])
def test_a_kernel_that_keeps_three_percent_more_memory_changes_no_digest(nominal: int) -> None:
    whole, less = taken(memory_bytes=nominal * 2**30), taken(memory_bytes=round(nominal * 0.97 * 2**30))
    assert conditions(whole) == conditions(less)
    assert conditions(whole) != conditions(taken(memory_bytes=nominal * 2**29))


def test_true_and_one_are_other_conditions() -> None:
    first, second = (from_json({"must_match": {"a": value}, "under_test": {}}) for value in (True, 1))
    assert conditions(first) != conditions(second)


plain = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text())
groups = st.dictionaries(st.text(), plain)


@given(must_match=groups, under_test=groups)
def test_it_survives_json(must_match: dict[str, object], under_test: dict[str, object]) -> None:
    fingerprint = from_json({"must_match": must_match, "under_test": under_test})
    again = from_json(json.loads(json.dumps(fingerprint.to_json())))
    assert again == fingerprint
    assert conditions(again) == conditions(fingerprint)
    assert differences(fingerprint, fingerprint) == ()


@given(stored=groups, current=groups)
def test_differences_are_the_same_from_both_sides(stored: dict[str, object], current: dict[str, object]) -> None:
    there = differences(*(from_json({"must_match": side, "under_test": {}}) for side in (stored, current)))
    back = differences(*(from_json({"must_match": side, "under_test": {}}) for side in (current, stored)))
    assert [(d.field, d.blocks) for d in there] == [(d.field, d.blocks) for d in back]


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {"must_match": {}},
        {"must_match": {}, "under_test": {}, "more": {}},
        {"must_match": [], "under_test": {}},
        {"must_match": {"gpu": ["a"]}, "under_test": {}},
        {"must_match": {"clock": math.nan}, "under_test": {}},
    ],
)
def test_another_shape_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="fingerprint"):
        from_json(data)
