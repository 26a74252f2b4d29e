"""Serving workloads: what they may ask for together, the cells of a sweep, and the contexts that they need."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_thor.cell import Setting
from pytest_thor.matrix import Matrix, expand

Load = Callable[[str], Matrix]
Problems = Callable[[str], list[str]]

LENGTHS = "input_len: 10, output_len: 5"
LEVEL = "num_prompts: 8, max_concurrency: 4"


def matrix(workload: str, *, settings: str = "{}", rest: str = "") -> str:
    """Return a matrix with one serving workload, in its line 6."""
    return (
        'name: a\nmodels: {m: {gguf: "m.gguf", quants: [Q8_0]}}\nbackends:\n'
        f"  s: {{engine: llama-server, settings: {settings}}}\nworkloads:\n"
        f"  load: {{kind: serving, {workload}}}\n{rest}"
    )


@pytest.fixture
def traces(tmp_path: Path) -> None:
    """Two requests with arrival times, and two without, beside the matrix."""
    (tmp_path / "timed.jsonl").write_text(
        '{"arrival_s": 3, "input_len": 60, "output_len": 4}\n{"arrival_s": 4, "input_len": 7, "output_len": 4}\n'
    )
    (tmp_path / "lengths.jsonl").write_text('{"input_len": 6, "output_len": 4}\n{"input_len": 7, "output_len": 4}\n')


def test_every_parameter_is_there_whether_the_file_names_it_or_not(load_text: Load) -> None:
    (cell,) = expand(load_text(matrix(f"{LENGTHS}, {LEVEL}")))
    assert dict(cell.workload.parameters) == {
        "api": "completions",
        "burstiness": 1.0,
        "duration_s": None,
        "fresh_prompts": True,
        "input_len": 10,
        "max_concurrency": 4,
        "max_failed": 0.0,
        "num_prompts": 8,
        "output_len": 5,
        "prefix_cache": False,
        "ramp_up_s": 0.0,
        "request_rate": None,
        "slo_e2el_ms": None,
        "slo_tpot_ms": None,
        "slo_ttft_ms": None,
        "sweep": None,
        "trace": None,
        "trace_sha256": None,
        "warmup": 1,
    }
    assert list(cell.workload.parameters) == sorted(cell.workload.parameters)
    assert len({cell.workload, cell.workload}) == 1


@pytest.mark.parametrize(
    ("written", "name", "value"),
    [
        ("input_len: {min: 2, max: 9}, output_len: 5, " + LEVEL, "input_len", (2, 9)),
        (f"{LENGTHS}, duration: 90s, max_concurrency: 99", "duration_s", 90.0),
        (f"{LENGTHS}, duration: 5m, request_rate: 2", "request_rate", 2.0),
        (f"{LENGTHS}, duration: 5m, request_rate: 2, burstiness: 1", "burstiness", 1.0),
        (f"{LENGTHS}, num_prompts: 2, request_rate: 2, max_concurrency: 99", "max_concurrency", 99),
        (f"{LENGTHS}, {LEVEL}, ramp_up: 10s", "ramp_up_s", 10.0),
        (f"{LENGTHS}, {LEVEL}, ramp_up: 0", "ramp_up_s", 0.0),
        (f"{LENGTHS}, {LEVEL}, warmup: 0", "warmup", 0),
        (f"{LENGTHS}, {LEVEL}, fresh_prompts: no", "fresh_prompts", False),
        (f"{LENGTHS}, {LEVEL}, slo: {{ttft_ms: 500, e2el_ms: 2.5}}", "slo_e2el_ms", 2.5),
        (f"{LENGTHS}, {LEVEL}, max_failed: 1%", "max_failed", 0.01),
        (f"{LENGTHS}, {LEVEL}, max_failed: 0 %", "max_failed", 0.0),
        ("trace: timed.jsonl", "num_prompts", 2),
        ("trace: timed.jsonl, num_prompts: 1", "num_prompts", 1),
        ("trace: timed.jsonl, duration: 9s", "num_prompts", None),
        ("trace: timed.jsonl, request_rate: 2, ramp_up: 1s", "ramp_up_s", 1.0),
        ("trace: lengths.jsonl, max_concurrency: 2", "trace", "lengths.jsonl"),
    ],
)
@pytest.mark.usefixtures("traces")
def test_a_load_is_what_it_says(load_text: Load, written: str, name: str, value: Setting) -> None:
    (cell,) = expand(load_text(matrix(written)))
    assert cell.workload[name] == value
    assert type(cell.workload[name]) is type(value)


def test_another_client_is_a_parameter_and_the_default_is_none(load_text: Load) -> None:
    """Baselines of before know no client."""
    parameters = [
        dict(expand(load_text(matrix(f"{LENGTHS}, {LEVEL}{client}")))[0].workload.parameters)
        for client in ("", ", client: thor", ", client: vllm, slo: {ttft_ms: 5}, request_rate: 2, burstiness: 2")
    ]
    assert parameters[0] == parameters[1]
    assert [one.get("client") for one in parameters] == [None, None, "vllm"]


@pytest.mark.usefixtures("traces")
def test_a_trace_is_known_by_its_content(load_text: Load, tmp_path: Path) -> None:
    text = matrix("trace: lengths.jsonl, max_concurrency: 2")
    before = expand(load_text(text))[0].workload
    (tmp_path / "lengths.jsonl").write_text('{"input_len": 6, "output_len": 5}\n{"input_len": 7, "output_len": 4}\n')
    after = expand(load_text(text))[0].workload
    assert before["trace"] == after["trace"]
    assert before["trace_sha256"] != after["trace_sha256"]


def test_a_sweep_makes_a_cell_per_point(load_text: Load) -> None:
    cells = expand(load_text(matrix(f"{LENGTHS}, num_prompts: 8, sweep: {{max_concurrency: [8, 1]}}")))
    assert [cell.id for cell in cells] == ["m-Q8_0-s-load@c8", "m-Q8_0-s-load@c1"]
    assert [cell.workload["max_concurrency"] for cell in cells] == [8, 1]
    assert {cell.workload["sweep"] for cell in cells} == {"max_concurrency"}


def test_a_sweep_of_rates_may_be_limited(load_text: Load) -> None:
    cells = expand(
        load_text(matrix(f"{LENGTHS}, duration: 60s, max_concurrency: 9, sweep: {{request_rate: [2.5, 4, 0.001]}}"))
    )
    assert [cell.workload.name for cell in cells] == ["load@r2.5", "load@r4", "load@r0.001"]
    assert [cell.workload["request_rate"] for cell in cells] == [2.5, 4.0, 0.001]
    assert {cell.workload["max_concurrency"] for cell in cells} == {9}


@pytest.mark.parametrize(
    ("pattern", "left"), [("load", ["other"]), ('"load@*"', ["other"]), ("load@c2", ["load@c1", "other"])]
)
def test_a_rule_may_name_a_point_or_the_whole_sweep(load_text: Load, pattern: str, left: list[str]) -> None:
    other = f"  other: {{kind: serving, {LENGTHS}, {LEVEL}}}\n"
    sweep = f"{LENGTHS}, num_prompts: 8, sweep: {{max_concurrency: [1, 2]}}"
    rest = f"{other}overrides: [{{match: {{workload: {pattern}}}, thresholds: {{output_tps: 9%}}}}]\n"
    cells = expand(load_text(matrix(sweep, rest=rest)))
    assert [cell.workload.name for cell in cells if not cell.thresholds] == left


def test_a_point_that_is_not_in_the_sweep_is_told_with_the_nearest(problems: Problems) -> None:
    text = matrix(
        f"{LENGTHS}, num_prompts: 8, sweep: {{max_concurrency: [1, 2]}}", rest="exclude: [{workload: load@c4}]\n"
    )
    (told,) = problems(text)
    assert told.startswith("7:22: no workload is named 'load@c4'; did you mean 'load@c")


def test_a_sweep_that_no_backend_measures_is_told_once(problems: Problems) -> None:
    text = matrix(f"{LENGTHS}, num_prompts: 8, sweep: {{max_concurrency: [1, 2]}}").replace("server", "bench")
    told = [problem for problem in problems(text) if "the workload '" in problem]
    assert [problem.partition(": its")[0] for problem in told] == ["6:3: the workload 'load' is never measured"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            "client: vllm, ^trace: timed.jsonl",
            ["vLLM's client replays no such trace: give lengths and num_prompts, or remove client"],
        ),
        (
            f"{LENGTHS}, client: vllm, ^duration: 60s, max_concurrency: 4",
            ["vLLM's client sends a number of requests, not for a time: give num_prompts, or remove client"],
        ),
        (
            f"{LENGTHS}, {LEVEL}, client: vllm, ^ramp_up: 5s",
            ["vLLM's client can only raise the rate over the whole load: remove ramp_up, or remove client"],
        ),
        (f"{LENGTHS}, {LEVEL}, client: ^vlm", ["client: expected 'thor' or 'vllm', got 'vlm'; did you mean 'vllm'?"]),
        (f"{LENGTHS}, {LEVEL}, ^slo: null", ["slo is empty: give it a value, or remove the line"]),
        (f"{LENGTHS}, {LEVEL}, ^slo: {{}}", ["slo is empty: give it ttft_ms, tpot_ms or e2el_ms, or remove it"]),
        (f"{LENGTHS}, {LEVEL}, slo: {{^tftt_ms: 5}}", ["slo has no key 'tftt_ms'; did you mean 'ttft_ms'?"]),
        (f"{LENGTHS}, {LEVEL}, slo: {{ttft_ms: ^0}}", ["ttft_ms: expected more than 0, got 0"]),
        (
            f"{LENGTHS}, {LEVEL}, max_failed: ^101%",
            ["'101%' is not a percentage between 0 % and 100 %: write 3% or 0.03"],
        ),
        (
            f"{LENGTHS}, {LEVEL}, max_failed: ^yes",
            ["a share is a percentage below 100 %: write 1% or 0.01"],
        ),
        (
            f"{LENGTHS}, {LEVEL}, api: ^chats",
            ["api: expected 'completions' or 'chat', got 'chats'; did you mean 'chat'?"],
        ),
        (
            f"{LENGTHS}, {LEVEL}, ^duration: 60s",
            ["num_prompts and duration both say when the load ends: remove one"],
        ),
        (f"{LENGTHS}, duration: ^8d, max_concurrency: 1", ["a load of 8d is too long: at most 7d"]),
        (
            f"{LENGTHS}, duration: ^no, max_concurrency: 1",
            ["a load is a duration: write seconds, or a number with s, m or h (30m)"],
        ),
        (
            f"{LENGTHS}, duration: 5s, request_rate: 1, ramp_up: ^5s",
            ["ramp_up takes all of duration: make it shorter"],
        ),
        (
            f"{LENGTHS}, {LEVEL}, ^burstiness: 2",
            ["burstiness shapes the arrivals of a request_rate: give one, or remove this"],
        ),
        (
            f"input_len: {{min: 9, max: ^3}}, output_len: 5, {LEVEL}",
            ["input_len: its max of 3 is less than its min of 9"],
        ),
        (f"^input_len: {{min: 9}}, output_len: 5, {LEVEL}", ["input_len: the key 'max' is missing"]),
        (
            f"^input_len: {{min: 9, ^maxx: 10}}, output_len: 5, {LEVEL}",
            ["input_len: the key 'max' is missing", "input_len has no key 'maxx'; did you mean 'max'?"],
        ),
        (f"^input_len: [3, 9], output_len: 5, {LEVEL}", ["input_len: expected a whole number, got a list"]),
        (
            f"{LENGTHS}, num_prompts: 4, ^max_concurrency: 2, sweep: {{max_concurrency: [1]}}",
            ["the sweep gives each of its workloads a max_concurrency: remove this one"],
        ),
        (
            f"{LENGTHS}, num_prompts: 4, ^sweep: {{max_concurrency: [1], request_rate: [1]}}",
            ["a sweep has one of max_concurrency and request_rate, and this has both"],
        ),
        (
            f"{LENGTHS}, num_prompts: 4, ^sweep: {{}}",
            ["sweep is empty: give it max_concurrency or request_rate, or remove it"],
        ),
        (
            f"{LENGTHS}, num_prompts: 4, sweep: {{max_concurrency: [1, ^x, ^8, ^1]}}",
            [
                "max_concurrency: expected a whole number, got 'x'",
                "max_concurrency 8 is never reached with 4 prompts: raise num_prompts or lower max_concurrency",
                "the sweep has 1 a second time: remove it",
            ],
        ),
        (
            f"{LENGTHS}, num_prompts: 4, sweep: {{max_concurrency: ^3}}",
            ["max_concurrency: expected a list, got 3; write [3]"],
        ),
        (
            "trace: lengths.jsonl, max_concurrency: ^3",
            ["max_concurrency 3 is never reached with 2 prompts: raise num_prompts or lower max_concurrency"],
        ),
        (
            "trace: timed.jsonl, ^input_len: 5, num_prompts: ^3, ^ramp_up: 2s",
            [
                "the trace says how long each request is: remove input_len",
                "the trace has 2 requests: ask for so many, or fewer",
                "the trace says when requests arrive: remove ramp_up, or give a request_rate",
            ],
        ),
    ],
)
@pytest.mark.usefixtures("traces")
def test_a_load_that_contradicts_itself_is_told_where_it_does(
    problems: Problems, written: str, expected: list[str]
) -> None:
    first, *parts = f"  load: {{kind: serving, {written}}}".split("^")
    columns = [len("".join([first, *parts[:index]])) + 1 for index in range(len(parts))]
    assert problems(matrix(written.replace("^", ""))) == [
        f"6:{column}: {message}" for column, message in zip(columns, expected, strict=True)
    ]


@pytest.mark.usefixtures("traces")
def test_what_a_load_lacks_is_missed_at_its_name(problems: Problems) -> None:
    assert problems(matrix("input_len: 10")) == [
        (
            "6:3: load: the key 'max_concurrency' is missing: say how many requests run at a time, or give "
            "request_rate (requests per second)"
        ),
        (
            "6:3: load: the key 'num_prompts' is missing: say how many requests are sent, or for how long with "
            "duration (60s)"
        ),
        "6:3: load: the key 'output_len' is missing",
    ]
    assert problems(matrix("trace: lengths.jsonl")) == [
        (
            "6:3: load: the key 'max_concurrency' is missing: the trace does not say when requests arrive, so say how "
            "many requests run at a time, or give request_rate (requests per second)"
        )
    ]


def test_a_broken_trace_is_told_with_its_own_lines(problems: Problems, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"input_len": 0, "output_len": 1}\n{"input_len": 1}\n')
    told = problems(matrix("trace: t.jsonl"))
    assert [problem.replace(str(tmp_path), "") for problem in told] == [
        "6:32: trace: /t.jsonl:1:1: input_len: expected a whole number from 1 to 10000000, got 0",
        "6:32: trace: /t.jsonl:2:1: the request has no output_len",
    ]


def test_a_points_name_must_be_free_and_short(problems: Problems) -> None:
    sweep = f"{LENGTHS}, num_prompts: 8, sweep: {{max_concurrency: [1, 2]}}"
    other = f"  load@c2: {{kind: serving, {LENGTHS}, {LEVEL}}}\n"
    assert problems(matrix(sweep, rest=other)) == [
        "7:3: two workloads are named 'load@c2', one by a sweep: lines 6 and 7; rename one"
    ]
    told = problems(matrix(sweep.replace(", 2", "")).replace("  load:", f"  {'x' * 62}:"))[0]
    assert told.endswith(f"is longer than 64 characters: shorten {'x' * 62!r}")


LONG = "input_len: 600, output_len: 5"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            "{ctx_size: 4096, parallel: 8}",
            "room for 512 (ctx_size 4096 over 8 slots): raise ctx_size to 8 × 605, lower",
        ),
        ("{ctx_size: 500}", "room for 512 (ctx_size 500): raise ctx_size to 605, shorten"),
        ("{max_model_len: 604}", "room for 604 (max_model_len 604): raise max_model_len to 605, shorten"),
    ],
)
def test_a_context_too_small_for_the_load_is_told_before_anything_starts(
    problems: Problems, settings: str, expected: str
) -> None:
    (told,) = problems(matrix(f"{LONG}, {LEVEL}", settings=settings))
    assert told.startswith("6:3: the longest request of 'load' has 605 tokens in and out, and the backend 's' (line 4)")
    assert expected in told


@pytest.mark.parametrize(
    "settings",
    [
        "{ctx_size: 4840, parallel: 8}",
        "{ctx_size: 0, parallel: 8}",
        "{parallel: 8}",
        "{max_model_len: 605}",
        "{ctx_size: 513}",  # which llama.cpp makes 768
        '{ctx_size: 768, parallel: 8, extra_args: ["--kv-unified"]}',
    ],
)
def test_a_context_that_suffices_or_is_not_known_is_left_to_the_engine(load_text: Load, settings: str) -> None:
    assert len(expand(load_text(matrix(f"{LONG}, {LEVEL}", settings=settings)))) == 1


@pytest.mark.usefixtures("traces")
def test_the_longest_request_counts(load_text: Load, problems: Problems) -> None:
    ranged = f"input_len: {{min: 2, max: 10}}, output_len: {{min: 1, max: 5}}, {LEVEL}"
    assert "has 15 tokens" in problems(matrix(ranged, settings="{max_model_len: 14}"))[0]
    assert "has 64 tokens" in problems(matrix("trace: timed.jsonl", settings="{max_model_len: 63}"))[0]
    assert expand(load_text(matrix("trace: timed.jsonl", settings="{max_model_len: 64}")))


def test_a_pair_that_is_excluded_needs_no_context(load_text: Load) -> None:
    short = f"  short: {{kind: serving, {LENGTHS}, {LEVEL}}}\n"
    rest = f"{short}exclude: [{{workload: load, backend: s}}]\n"
    text = matrix(f"{LONG}, {LEVEL}", settings="{ctx_size: 256}", rest=rest)
    text = text.replace("workloads:", "  big: {engine: llama-server}\nworkloads:")
    assert [cell.id for cell in expand(load_text(text))] == [
        "m-Q8_0-s-short",
        "m-Q8_0-big-load",
        "m-Q8_0-big-short",
    ]


def test_a_synthetic_checkpoint_is_bf16_only(load_text: Load, problems: Problems) -> None:
    text = (
        "name: a\nmodels:\n  r: {synthetic: qwen3-8b, quants: [BF16, Q4_K_M]}\nbackends:\n  v: {engine: vllm}\n"
        f"  s: {{engine: llama-server}}\nworkloads:\n  load: {{kind: serving, {LENGTHS}, {LEVEL}}}\n"
    )
    assert problems(text) == [
        (
            "3:43: the backend 'v' (vllm) takes a synthetic model as a checkpoint with dummy weights, and those are "
            "BF16: exclude Q4_K_M from it, or give it a model of its own with quants: [BF16]"
        )
    ]
    cells = expand(load_text(f"{text}exclude: [{{backend: v, quant: Q4_K_M}}]\n"))
    assert [cell.id for cell in cells] == ["r-BF16-v-load", "r-BF16-s-load", "r-Q4_K_M-s-load"]
