"""What telemetry says against a figure."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.judge.conditions import Condition, ConditionLimits, conditions, gathered, served

QUIET: dict[str, Any] = {
    "duration_s": 20.0,
    "covered": 1.0,
    "throttle": {"gpu-throttle-alert": {"share": 0.0, "max": 0}, "gpu0 power cap": {"share": 0.9, "max": 1}},
    "throttle_events": {"oc1": 0, "oc3": 0},
    "settings": {"nvpmodel": "pmode:0000", "gpu governor": "nvhost_podgov"},
    "settings_changed": {},
    "cpu": {"others_cores": 0.05, "steal_cores": 0.01, "busiest": [], "sampler_cores": 0.004},
    "gpu_processes": [{"gpu": 0, "pid": 7, "name": "llama-bench", "ours": True, "memory_bytes": 10}],
    "memory_bytes": {"available": {"min": 2e10, "mean": 2e10, "max": 2e10}, "swap_used": None},
    "moved_bytes": {"swapped_in": 0.0, "swapped_out": 0.0, "read_from_disk": 4096.0},
}


def told(**changes: Any) -> list[tuple[str, str]]:
    return [(found.rule, found.sentence) for found in conditions({**QUIET, **changes}, cpus=14)]


def test_a_quiet_machine_is_not_spoken_of() -> None:
    assert told() == []


def test_what_is_not_known_is_not_spoken_of() -> None:
    nothing = dict.fromkeys(QUIET)

    assert conditions(nothing, cpus=2) == ()
    assert conditions({}, cpus=2) == ()


@pytest.mark.parametrize(
    ("changes", "rule", "sentence"),
    [
        (
            {"throttle": {"gpu-throttle-alert": {"share": 0.12, "max": 2}}},
            "invalid",
            "the hardware throttled (gpu-throttle-alert) for 12.0 % of the timed part",
        ),
        (
            {"throttle": {"gpu0 thermal": {"share": 0.005, "max": 1}}},
            "advice",
            "the hardware throttled (gpu0 thermal) for 0.50 % of the timed part",
        ),
        (
            {"throttle_events": {"oc3": 179}},
            "invalid",
            "the hardware lowered clocks at 179 over-current or under-voltage events (oc3) in the timed part",
        ),
        (
            {"throttle_events": {"oc3": 3}},
            "advice",
            "the hardware lowered clocks at 3 over-current or under-voltage events (oc3) in the timed part",
        ),
        (
            {"settings_changed": {"nvpmodel": ["pmode:0000", "pmode:0003"]}},
            "invalid",
            "the setting nvpmodel changed from pmode:0000 to pmode:0003 in the timed part",
        ),
        (
            {"cpu": {"others_cores": 2.5, "busiest": [{"pid": 9, "name": "cc1plus", "cores": 0.9}]}},
            "advice",
            "other processes used 2.5 of 14 CPUs, cc1plus (process 9) most",
        ),
        ({"cpu": {"others_cores": 2.5}}, "advice", "other processes used 2.5 of 14 CPUs, short-lived ones most"),
        (
            {"cpu": {"ours_cores": 6.0, "others_cores": 7.0}},
            "slowing",
            "other processes used 7.0 of 14 CPUs, short-lived ones most",
        ),
        (
            {"cpu": {"ours_cores": 6.0, "others_cores": 4.0}},  # four CPUs were left to the engine
            "advice",
            "other processes used 4.0 of 14 CPUs, short-lived ones most",
        ),
        (
            {"cpu": {"ours_cores": 0.1, "others_cores": 13.0}},  # the engine may be one of the others
            "advice",
            "other processes used 13 of 14 CPUs, short-lived ones most",
        ),
        (
            {"cpu": {"ours_cores": 6.0, "others_cores": 7.0}, "duration_s": 0.9},
            "advice",
            "other processes used 7.0 of 14 CPUs, short-lived ones most",
        ),
        ({"cpu": {"steal_cores": 3.0}}, "advice", "the hypervisor gave 3.0 of 14 CPUs to other machines"),
        ({"cpu": {"sampler_cores": 0.03}}, "advice", "watching the machine used 3.0 % of a CPU"),
        (
            {"gpu_processes": [{"gpu": 0, "pid": 8, "name": "python3", "ours": False, "memory_bytes": 2**31}]},
            "advice",
            "python3 (process 8) also uses gpu0 and holds 2.00 GiB of its memory",
        ),
        ({"memory_bytes": {"available": {"min": 2**28}}}, "advice", "only 256.00 MiB of memory were left"),
        (
            {"moved_bytes": {"swapped_in": 2.0**21, "swapped_out": 0.0}},
            "advice",
            "2.00 MiB came back from swap and 0 B went there",
        ),
        (
            {"moved_bytes": {"swapped_in": 2.0**29, "swapped_out": 2.0**30}},
            "invalid",
            "512.00 MiB came back from swap and 1.00 GiB went there",
        ),
        (
            {"moved_bytes": {"read_from_disk": 2.0**32}},
            "advice",
            "4.00 GiB were read from disk in the timed part: is the model larger than the memory?",
        ),
        ({"covered": 0.2}, "advice", "the machine was watched for 20.0 % of the timed part only"),
    ],
)
def test_each_is_told_in_one_sentence(changes: dict[str, Any], rule: str, sentence: str) -> None:
    assert told(**changes) == [(rule, sentence)]


def test_whose_process_it_is_on_a_gpu_must_be_known() -> None:
    unknown = [{"gpu": 0, "pid": 8, "name": None, "ours": None, "memory_bytes": None}]

    assert told(gpu_processes=unknown) == []


def test_a_setting_that_differs_from_the_first_launch_is_invalid() -> None:
    found = conditions(QUIET, cpus=14, settings={"nvpmodel": "pmode:0001", "gpu governor": "nvhost_podgov"})

    assert [(one.rule, one.sentence) for one in found] == [
        ("invalid", "the setting nvpmodel is pmode:0000, and was pmode:0001 when the run began")
    ]


def test_a_busy_machine_is_invalid_only_where_a_limit_is_given() -> None:
    busy = {**QUIET, "cpu": {"others_cores": 14.0}}

    assert conditions(busy, cpus=14)[0].rule == "advice"
    assert conditions(busy, cpus=14, limits=ConditionLimits(other_cpu_invalid=0.5))[0].rule == "invalid"


@given(st.floats(0, 64), st.floats(0, 64))
def test_more_of_the_same_is_never_told_less(less: float, more: float) -> None:
    less, more = sorted((less, more))
    limits = ConditionLimits(other_cpu_invalid=0.5)
    rules = [
        [found.rule for found in conditions({"cpu": {"others_cores": cores}}, cpus=8, limits=limits)]
        for cores in (less, more)
    ]

    order = {(): 0, ("advice",): 1, ("invalid",): 2}
    assert order[tuple(rules[0])] <= order[tuple(rules[1])]


@pytest.mark.parametrize(
    ("evidence", "sentences"),
    [
        ({}, []),
        ({"n_threads": 2}, []),
        ({"server": {"load_s": 1.0, "restarts": []}, "held_back": {"held": 0, "of": 10}}, []),
        (
            {"server": {"restarts": ["llama-server aborted (SIGABRT)"]}},
            ["the server was started again before this load, because in an earlier one llama-server aborted (SIGABRT)"],
        ),
        ({"held_back": {"held": 2, "of": 10}}, ["2 of 10 answers were held back and then came nearly at once"]),
    ],
)
def test_what_befell_a_server_is_told(evidence: dict[str, Any], sentences: list[str]) -> None:
    assert [(one.rule, one.sentence) for one in served(evidence)] == [("advice", sentence) for sentence in sentences]


def test_of_several_launches_the_worst_is_told_once() -> None:
    mild = Condition(name="swap", rule="advice", sentence="a little", amount=9)
    bad = Condition(name="swap", rule="invalid", sentence="a lot", amount=5)
    other = Condition(name="memory", rule="advice", sentence="short", amount=1)

    found = gathered([[mild, other], [bad], []])

    assert [(one.rule, one.sentence) for one in found] == [
        ("invalid", "a lot (in 2 of 3 launches)"),
        ("advice", "short (in 1 of 3 launches)"),
    ]
    assert gathered([[mild]])[0].sentence == "a little"
