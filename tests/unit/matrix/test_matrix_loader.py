"""Every mistake in a matrix is told at once, where it stands, with what was expected."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import BaseModel, model_validator
from typing_extensions import Self

from pytest_thor.cell import ArtifactReference, Backend, Workload
from pytest_thor.errors import MatrixError
from pytest_thor.matrix import Matrix, Vocabulary, expand, load

Load = Callable[[str], Matrix]
Problems = Callable[[str], list[str]]

GOOD = """\
name: good
models:
  m: {architecture: qwen3-8b, gguf: "m-{quant}.gguf", hub: o/m, revision: abc, quants: [Q8_0, Q4_K_M]}
backends:
  b: {engine: llama-bench, settings: {n_gpu_layers: 99, flash_attn: on}, timeout: 90s}
  s: {engine: llama-server}
workloads:
  pp: {kind: prefill, n_prompt: 512}
  tg: {kind: decode, n_gen: 64, n_depth: 4096, repetitions: 2}
  load: {kind: serving, input_len: 16, output_len: 8, num_prompts: 4, max_concurrency: 2}
thresholds: {tg_tps: 3%, pp_tps: 0.05}
exclude:
  - {quant: Q4_K_M, workload: [load, t*]}
overrides:
  - {match: {backend: b}, thresholds: {tg_tps: 4%}}
  - {match: {workload: tg}, thresholds: {tg_tps: 5%}}
"""


def replaced(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, old
    return GOOD.replace(old, new)


def test_a_matrix_becomes_the_cells_that_it_shows(load_text: Load) -> None:
    cells = expand(load_text(GOOD))
    assert [cell.id for cell in cells] == [
        "m-Q8_0-b-pp",
        "m-Q8_0-b-tg",
        "m-Q8_0-s-load",
        "m-Q4_K_M-b-pp",
    ]
    decode = cells[1]
    assert decode.artifact == ArtifactReference(format="gguf", location="m-Q8_0.gguf", hub="o/m", revision="abc")
    assert decode.backend == Backend(
        name="b", engine="llama-bench", settings=(("flash_attn", "on"), ("n_gpu_layers", 99)), timeout_s=90.0
    )
    assert decode.workload == Workload(
        name="tg", kind="decode", parameters=(("n_depth", 4096), ("n_gen", 64), ("repetitions", 2))
    )
    assert (decode.model.architecture, decode.line, decode.matrix) == ("qwen3-8b", 3, "good")
    assert decode.thresholds == (("pp_tps", 0.05), ("tg_tps", 0.05))
    assert [dict(cell.thresholds)["tg_tps"] for cell in cells] == [0.04, 0.05, 0.03, 0.04]


def test_equal_parts_are_one_object(load_text: Load) -> None:
    first, second, _, fourth = expand(load_text(GOOD))
    assert first.model is fourth.model
    assert first.backend is second.backend
    assert first.workload is fourth.workload
    assert first.thresholds is fourth.thresholds


@pytest.mark.parametrize("written", ["on", '"on"', "On"])
def test_on_is_text_where_a_setting_wants_text(load_text: Load, problems: Problems, written: str) -> None:
    text = replaced("flash_attn: on", f"flash_attn: {written}")
    if written == "On":
        assert problems(text) == ["5:69: flash_attn: expected 'on', 'off' or 'auto', got On; did you mean 'on'?"]
    else:
        assert expand(load_text(text))[0].backend.settings[0] == ("flash_attn", "on")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("no_kv_offload: on", True),
        ("no_kv_offload: no", False),
        ("n_gpu_layers: all", "all"),
        ("tensor_split: [1, 0.5]", (1, 0.5)),
        ("alias: 8", "8"),
        ("alias: on", "on"),
        ("threads: null", None),
    ],
)
def test_settings_mean_what_their_engine_wants(load_text: Load, setting: str, value: object) -> None:
    cell = expand(load_text(replaced("n_gpu_layers: 99, flash_attn: on", setting)))[0]
    assert cell.backend.settings == ((setting.partition(":")[0], value),)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("n_gpu_layer: 1", "5:39: the engine llama-bench has no setting 'n_gpu_layer'; did you mean 'n_gpu_layers'?"),
        ("threads: yes", "5:48: threads: expected a whole number, got yes"),
        ('threads: "4"', '5:48: threads: expected a whole number, got "4"; remove the quotes'),
        ("threads: 2.5", "5:48: threads: expected a whole number, got 2.5"),
        ("threads: 0", "5:48: threads: expected at least 1, got 0"),
        ("n_gpu_layers: al", "5:53: n_gpu_layers: expected a whole number or 'all', got 'al'; did you mean 'all'?"),
        ("flash_attn: offf", "5:51: flash_attn: expected 'on', 'off' or 'auto', got 'offf'; did you mean 'off'?"),
        ("no_kv_offload: 1", "5:54: no_kv_offload: expected true or false, got 1"),
        ("tensor_split: [1, x]", "5:57: tensor_split: expected a number, got 'x'"),
        ("tensor_split: 3", "5:53: tensor_split: expected a list, got 3; write [3]"),
        ("alias: [a]", "5:39: alias: expected text, got a list"),
    ],
)
def test_settings_are_checked_by_their_engine(problems: Problems, setting: str, expected: str) -> None:
    assert problems(replaced("n_gpu_layers: 99, flash_attn: on", setting)) == [expected]


def test_settings_that_an_engine_requires_are_missed_at_the_backend(tmp_path: Path, vocabulary: Vocabulary) -> None:
    class Address(BaseModel):
        url: str

    traits = replace(vocabulary.engines["llama-bench"], settings=Address)
    path = tmp_path / "m.yaml"
    path.write_text(replaced("  s: {engine: llama-server}\n", "  s: {engine: x}\n"))
    with pytest.raises(MatrixError, match=r"m\.yaml:6:3: settings: the key 'url' is missing"):
        load(path, replace(vocabulary, engines={**vocabulary.engines, "x": traits}))


def test_what_an_engine_refuses_as_a_whole_is_told_at_its_settings(tmp_path: Path, vocabulary: Vocabulary) -> None:
    class Picky(BaseModel):
        n_gpu_layers: int
        flash_attn: str

        @model_validator(mode="after")
        def _refuse(self) -> Self:
            raise ValueError("flash_attn needs n_gpu_layers 0")

    traits = replace(vocabulary.engines["llama-bench"], settings=Picky)
    path = tmp_path / "m.yaml"
    path.write_text(GOOD)
    with pytest.raises(MatrixError, match=r"m\.yaml:5:28: flash_attn needs n_gpu_layers 0"):
        load(path, replace(vocabulary, engines={**vocabulary.engines, "llama-bench": traits}))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "name: good\n",
            "nam: good\n",
            [
                "1:1: the matrix has no key 'nam'; did you mean 'name'?",
                "1:1: the matrix has no key 'name', which it needs",
            ],
        ),
        ("name: good\n", "name:\n", ["1:1: name: expected text, got nothing"]),
        (
            "name: good\n",
            "name: ../x\n",
            [
                (
                    "1:7: the name '../x' may not contain '/': it becomes part of test ids and file names, so use "
                    "letters, digits and ._@+-, a letter or digit first"
                )
            ],
        ),
        (
            "  m: {arch",
            "  -m: {arch",
            [
                (
                    "3:3: the name '-m' may not begin with '-': it becomes part of test ids and file names, so use "
                    "letters, digits and ._@+-, a letter or digit first"
                )
            ],
        ),
        ("name: good\n", f"name: {'x' * 65}\n", ["1:7: a name of 65 characters is too long: at most 64"]),
        (
            "gguf: ",
            "gguff: ",
            [
                "3:3: the model has no files: give it one of gguf (a file), hf (a folder) or synthetic (a shape)",
                "3:31: a model has no key 'gguff'; did you mean 'gguf'?",
            ],
        ),
        (
            "hub: o/m",
            "hf: o/m",
            [
                "3:55: a model has one of gguf, hf and synthetic, and this has gguf and hf",
                "3:64: a revision needs a hub: name the repository",
            ],
        ),
        (
            "architecture: qwen3-8b",
            "architecture: qwen3-8",
            ["3:21: the architecture 'qwen3-8' is not known; did you mean 'qwen3-8b'?"],
        ),
        ("quants: [Q8_0, Q4_K_M]", "quants: []", ["3:80: quants: at least 1 must be named, and there are 0"]),
        (
            "quants: [Q8_0, Q4_K_M]",
            "quant: [Q8_0, Q4_K_M]",
            ["3:3: m: the key 'quants' is missing", "3:80: a model has no key 'quant'; did you mean 'quants'?"],
        ),
        ("quants: [Q8_0, Q4_K_M]", "quants: Q4_K_M", ["3:88: quants: expected a list, got 'Q4_K_M'; write [Q4_K_M]"]),
        (
            "[Q8_0, Q4_K_M]",
            "[Q8_0, Q4_K_M, Q8_0]",
            ["3:103: the quant 'Q8_0' stands here a second time; first in line 3, column 89"],
        ),
        (
            "[Q8_0, Q4_K_M]",
            "[Q8_0, Q4_K_M, a b]",
            [
                (
                    "3:103: the name 'a b' may not contain ' ': it becomes part of test ids and file names, so use "
                    "letters, digits and ._@+-, a letter or digit first"
                )
            ],
        ),
        (
            "engine: llama-bench",
            "engine: llama-bnech",
            ["5:15: the engine 'llama-bnech' is not known; did you mean 'llama-bench'?"],
        ),
        (
            "engine: llama-server",
            "setings: 3",
            ["6:3: s: the key 'engine' is missing", "6:7: a backend has no key 'setings'; did you mean 'settings'?"],
        ),
        (
            "timeout: 90s",
            "timeout: 90 parsecs",
            ["5:83: '90 parsecs' is not a duration: write seconds, or a number with ms, s, m, h or d (30m)"],
        ),
        ("timeout: 90s", "timeout: 8d", ["5:83: a timeout of 8d is too long: at most 7d"]),
        (
            "timeout: 90s",
            "timeout: no",
            ["5:83: a timeout is a duration: write seconds, or a number with s, m or h (30m)"],
        ),
        (
            "kind: prefill",
            "kind: prefil",
            [
                (
                    "8:14: kind: expected one of 'prefill', 'decode', 'serving', 'quality', got 'prefil'; "
                    "did you mean 'prefill'?"
                )
            ],
        ),
        ("kind: prefill, ", "", ["8:3: pp: the key 'kind' is missing: prefill, decode, serving or quality"]),
        (
            "n_prompt: 512",
            "n_gen: 512",
            [
                "8:3: pp: the key 'n_prompt' is missing",
                "8:23: a prefill workload has no parameter 'n_gen'; known: kind, n_depth, n_prompt, repetitions",
            ],
        ),
        ("n_prompt: 512", "n_prompt: 0", ["8:33: n_prompt: expected at least 1, got 0"]),
        ("n_prompt: 512", "n_prompt: 99999999", ["8:33: n_prompt: expected at most 10000000, got 99999999"]),
        ("n_depth: 4096", "n_depth: -1", ["9:42: n_depth: expected at least 0, got -1"]),
        (
            "max_concurrency: 2",
            "max_concurrency: 5",
            ["10:88: max_concurrency 5 is never reached with 4 prompts: raise num_prompts or lower max_concurrency"],
        ),
        ("{tg_tps: 3%, pp", "{tg_tsp: 3%, pp", ["11:14: the metric 'tg_tsp' is not known; did you mean 'tg_tps'?"]),
        ("{tg_tps: 3%, pp", "{ttft_ms.p98: 3%, pp", ["11:14: ttft_ms has no summary 'p98'; did you mean 'p99'?"]),
        (
            "{tg_tps: 3%, pp",
            "{tg_tps.p99: 3%, pp",
            [
                (
                    "11:14: tg_tps has one value and no summaries: write 'tg_tps' (those with summaries: e2el_ms, "
                    "itl_ms, tpot_ms, ttft_ms)"
                )
            ],
        ),
        ("tg_tps: 3%", "tg_tps: 3", ["11:22: 3 is not a percentage between 0 % and 100 %: write 3% or 0.03"]),
        ("tg_tps: 3%", "tg_tps: 100%", ["11:22: '100%' is not a percentage between 0 % and 100 %: write 3% or 0.03"]),
        ("tg_tps: 3%", "tg_tps: yes", ["11:22: a threshold is a percentage between 0 % and 100 %: write 3% or 0.03"]),
        ("{quant: Q4_K_M, ", "{quant: Q4_K_L, ", ["13:13: no quant is named 'Q4_K_L'; did you mean 'Q4_K_M'?"]),
        ("[load, t*]", "[load, x*]", ["13:38: no workload is named 'x*'; known: load, pp, tg"]),
        (
            "{quant: Q4_K_M, workload: [load, t*]}",
            "{}",
            ["13:5: this matches every cell: name a model, quant, backend or workload"],
        ),
        (
            "{quant: Q4_K_M, workload: [load, t*]}",
            "{modle: m}",
            ["13:6: a rule of exclude has no key 'modle'; did you mean 'model'?"],
        ),
        ("{backend: b}", "{backend: c}", ["15:23: no backend is named 'c'; known: b, s"]),
        (
            "thresholds: {tg_tps: 4%}",
            "threshold: {tg_tps: 4%}",
            [
                "15:5: the key 'thresholds' is missing",
                "15:27: an override has no key 'threshold'; did you mean 'thresholds'?",
            ],
        ),
        (
            "thresholds: {tg_tps: 4%}",
            "thresholds: {}",
            ["15:27: thresholds: at least 1 must be named, and there are 0"],
        ),
        (
            "thresholds: {tg_tps: 4%}",
            "thresholds: {tg_ps: 4%}",
            ["15:40: the metric 'tg_ps' is not known; did you mean 'tg_tps'?"],
        ),
    ],
)
def test_a_mistake_is_told_where_it_stands(problems: Problems, old: str, new: str, expected: list[str]) -> None:
    assert problems(replaced(old, new)) == expected


def test_all_mistakes_are_told_at_once_in_the_files_order(problems: Problems) -> None:
    text = GOOD
    for old, new in [
        ("architecture: qwen3-8b", "architecture: x"),
        ("engine: llama-server", "engine: y"),
        ("n_prompt: 512", "n_prompt: none"),
        ("pp_tps: 0.05", "pp_tps: 5"),
        ("{quant: Q4_K_M, ", "{quant: Z, "),
    ]:
        text = text.replace(old, new)
    assert [problem.split(":")[0] for problem in problems(text)] == ["3", "6", "8", "11", "13"]


def test_a_file_that_is_all_mistakes_does_not_flood_the_screen(problems: Problems) -> None:
    told = problems("\n".join(f"k{n}: 1" for n in range(600)))
    assert len(told) == 501
    assert told[-1] == "497:1: and 104 more problems from here on"  # 600 keys, and four that are missing


def test_one_mistake_does_not_draw_others_after_it(problems: Problems) -> None:
    """A broken backend is not also an unknown name in exclude, nor a model without a cell."""
    text = replaced("engine: llama-bench", "engine: oops").replace("{quant: Q4_K_M, ", "{backend: b, ")
    assert [problem.split(":")[0] for problem in problems(text)] == ["5"]


def test_a_quant_must_belong_to_the_model_that_is_named_with_it(problems: Problems) -> None:
    text = replaced("backends:", "  k: {synthetic: qwen3-0.6b, quants: [Q6_K]}\nbackends:").replace(
        "{quant: Q4_K_M, ", "{model: k, quant: Q4_K_M, "
    )
    assert problems(text) == ["14:16: the model k has no quant Q4_K_M; did you mean 'Q6_K'?"]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            "{synthetic: qwen3-0.6, quants: [F16]}",
            [("3:18: the architecture 'qwen3-0.6' is not known; did you mean 'qwen3-0.6b'?")],
        ),
        (
            "{synthetic: qwen3-8b, architecture: qwen3-32b, quants: [F16]}",
            [
                (
                    "3:42: the architecture of a synthetic model is the shape that it is made in, 'qwen3-8b': remove "
                    "this line"
                )
            ],
        ),
        (
            "{synthetic: qwen3-8b, hub: a/b, quants: [F16]}",
            ["3:28: hub says where files come from, and a synthetic model has none: remove it"],
        ),
    ],
)
def test_synthetic_models_are_shapes(problems: Problems, model: str, expected: list[str]) -> None:
    text = GOOD.splitlines(keepends=True)
    text[2] = f"  m: {model}\n"
    told = problems("".join(text[:11]))
    assert told == expected


def test_empty_optional_parts_are_as_if_left_out(load_text: Load) -> None:
    text = GOOD.partition("exclude:")[0] + "exclude:\noverrides:\n"
    assert len(expand(load_text(text))) == 6


def test_the_matrix_knows_the_digest_of_its_file(load_text: Load) -> None:
    assert load_text(GOOD).sha256 == load_text(GOOD).sha256 != load_text(GOOD + "\n").sha256
