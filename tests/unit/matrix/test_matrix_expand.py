"""Cells are formed only where they make sense, each with an id of its own, and nothing is declared in vain."""

from collections.abc import Callable

import pytest

from pytest_thor.matrix import Matrix, expand

Load = Callable[[str], Matrix]
Problems = Callable[[str], list[str]]

PP = "pp: {kind: prefill, n_prompt: 8}"
LOAD = "load: {kind: serving, input_len: 1, output_len: 1, num_prompts: 1, max_concurrency: 1}"
BENCH = "b: {engine: llama-bench}"
SERVER = "s: {engine: llama-server}"
VLLM = "v: {engine: vllm}"


def matrix(models: list[str], backends: list[str], workloads: list[str], rest: str = "") -> str:
    lines = ["name: a", "models:", *models, "backends:", *backends, "workloads:", *workloads]
    return "\n".join(line if line.endswith(":") or line == "name: a" else f"  {line}" for line in lines) + "\n" + rest


GGUF = 'm: {gguf: "m-{quant}.gguf", quants: [Q8_0]}'
HF = "h: {hf: h, quants: [BF16]}"
MADE = "r: {synthetic: qwen3-8b, quants: [BF16]}"


def test_cells_are_formed_where_format_and_kind_fit(load_text: Load) -> None:
    cells = expand(load_text(matrix([GGUF, HF, MADE], [BENCH, SERVER, VLLM], [PP, LOAD])))
    assert [cell.id for cell in cells] == [
        "m-Q8_0-b-pp",
        "m-Q8_0-s-load",
        "h-BF16-v-load",
        "r-BF16-b-pp",
        "r-BF16-s-load",
        "r-BF16-v-load",
    ]


def test_the_order_is_that_of_the_file(load_text: Load) -> None:
    two = 'a: {gguf: "a-{quant}.gguf", quants: [Z, B]}'
    cells = expand(
        load_text(matrix(["z: {gguf: z.gguf, quants: [Q]}", two], [BENCH], ["tg: {kind: decode, n_gen: 1}", PP]))
    )
    assert [cell.id for cell in cells] == ["z-Q-b-tg", "z-Q-b-pp", "a-Z-b-tg", "a-Z-b-pp", "a-B-b-tg", "a-B-b-pp"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            matrix([GGUF, HF], [BENCH], [PP]),
            [
                (
                    "4:3: the model 'h' is never measured: its format is hf, and no backend takes that (b: llama-bench "
                    "takes gguf, synthetic)"
                )
            ],
        ),
        (
            matrix([GGUF], [BENCH, VLLM], [PP]),
            ["6:3: the backend 'v' measures nothing: vllm takes hf, synthetic, and the models are gguf"],
        ),
        (
            matrix([GGUF], [BENCH, SERVER], [PP]),
            ["6:3: the backend 's' measures nothing: llama-server measures serving, and the workloads are prefill"],
        ),
        (
            matrix([GGUF], [BENCH], [PP, LOAD]),
            [
                (
                    "8:3: the workload 'load' is never measured: its kind is serving, and no backend measures that (b: "
                    "llama-bench measures decode, prefill)"
                )
            ],
        ),
        (
            matrix([GGUF, HF], [BENCH, VLLM], [PP]),
            [
                (
                    "4:3: the model 'h' is never measured: the backends that take hf measure serving, and no workload "
                    "is of such a kind"
                ),
                "7:3: the backend 'v' measures nothing: vllm measures serving, and the workloads are prefill",
            ],
        ),
        (
            matrix([GGUF], [BENCH, VLLM], [PP, LOAD]),
            [
                "6:3: the backend 'v' measures nothing: vllm takes hf, synthetic, and the models are gguf",
                (
                    "9:3: the workload 'load' is never measured: the backends that measure serving (v) take none of "
                    "the models"
                ),
            ],
        ),
        (
            matrix([GGUF, MADE], [BENCH], [PP], "exclude: [{model: r}]\n"),
            [
                (
                    "4:3: the model 'r' is never measured: every cell of it is excluded (the first by line 9); remove "
                    "it instead"
                )
            ],
        ),
    ],
)
def test_what_is_never_measured_is_told_with_the_reason(problems: Problems, text: str, expected: list[str]) -> None:
    assert problems(text) == expected


def test_an_override_without_effect_is_told(problems: Problems) -> None:
    rest = "overrides:\n  - {match: {backend: s, workload: pp}, thresholds: {pp_tps: 1%}}\n"
    (told,) = problems(matrix([GGUF], [BENCH, SERVER], [PP, LOAD], rest))
    assert told.startswith("11:5: this override changes no cell: ")


def test_two_cells_with_one_id_name_both_declarations(problems: Problems) -> None:
    models = ["a-b: {gguf: x.gguf, quants: [c]}", "a: {gguf: y.gguf, quants: [b-c]}"]
    assert problems(matrix(models, [BENCH], [PP, "tg: {kind: decode, n_gen: 1}"])) == [
        (
            "4:30: two cells have the same id, 'a-b-c-b-pp': model 'a-b', quant 'c', backend 'b', workload 'pp' (line "
            "3) and model 'a', quant 'b-c', backend 'b', workload 'pp' (line 4); rename one"
        )
    ]


def test_ids_that_differ_in_case_only_would_share_a_file(problems: Problems) -> None:
    model = 'm: {gguf: "m-{quant}.gguf", quants: [Q8_0, q8_0]}'
    (told,) = problems(matrix([model], [BENCH], [PP]))
    assert told.startswith("3:46: two cells have ids that differ in case only (one file each), 'm-q8_0-b-pp': ")


def test_an_id_must_fit_in_a_file_name(problems: Problems) -> None:
    long = "x" * 64
    text = matrix(
        [f"{long}: {{gguf: x.gguf, quants: [{long}]}}"], [f"{long}: {{engine: llama-bench}}"], [f"{long}: {PP[4:]}"]
    )
    (told,) = problems(text)
    assert told.startswith("3:93: the cell id 'xxx")
    assert told.endswith("longer than 230 characters: shorten a name")


def test_collisions_are_told_beside_other_mistakes(problems: Problems) -> None:
    models = ["a-b: {gguf: x.gguf, quants: [c]}", "a: {gguf: y.gguf, quants: [b-c]}"]
    told = problems(matrix(models, [BENCH], [PP], "thresholds: {x: 3%}\n"))
    assert [problem.split(":")[0] for problem in told] == ["4", "9"]


def test_ten_thousand_cells_share_their_parts(load_text: Load) -> None:
    models = [
        f'm{n}: {{gguf: "m{n}-{{quant}}.gguf", quants: [{", ".join(f"Q{q}" for q in range(10))}]}}' for n in range(50)
    ]
    workloads = [f"w{n}: {{kind: prefill, n_prompt: {n + 1}}}" for n in range(10)]
    cells = expand(load_text(matrix(models, ["b: {engine: llama-bench}", "c: {engine: llama-cpp-python}"], workloads)))
    assert len(cells) == len({cell.id for cell in cells}) == 10_000
    assert len({id(cell.workload) for cell in cells}) == 10
    assert len({id(cell.backend) for cell in cells}) == 2
    assert len({id(cell.artifact) for cell in cells}) == 500
    assert len({id(cell.thresholds) for cell in cells}) == 1


def test_the_canary_is_one_cell(load_text: Load, problems: Problems) -> None:
    text = matrix([GGUF], [BENCH, "p: {engine: llama-bench}"], [PP, "tg: {kind: decode, n_gen: 1}"])

    cells = expand(load_text(text + "canary: {backend: p, workload: tg}\n"))

    assert [cell.id for cell in cells if cell.canary] == ["m-Q8_0-p-tg"]
    assert problems(text + "canary: {backend: p}\n") == [
        "10:1: the canary is one cell, and this names 2: m-Q8_0-p-pp, m-Q8_0-p-tg"
    ]
    assert problems(text + "canary: {backend: q}\n") == ["10:19: no backend is named 'q'; known: b, p"]
    assert problems(text + "canary: {bakend: p}\n")[0] == (
        "10:10: the canary has no key 'bakend'; did you mean 'backend'?"
    )
