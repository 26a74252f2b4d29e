"""Artifact paths are filled in per quant, and every quant has files of its own."""

from collections.abc import Callable

import pytest

from pytest_thor.matrix import Matrix, expand
from pytest_thor.matrix.template import fill, variables

REST = """
backends: {b: {engine: llama-bench}, v: {engine: vllm}}
workloads:
  pp: {kind: prefill, n_prompt: 8}
  load: {kind: serving, input_len: 1, output_len: 1, num_prompts: 1, max_concurrency: 1}
"""
GGUF = "  g: {gguf: x.gguf, quants: [Q8_0]}\n"
HF = "  h: {hf: x, quants: [BF16]}\n"


def matrix(model: str) -> str:
    return f"name: a\nmodels:\n  m: {model}\n{HF if 'gguf' in model else GGUF}{REST}"


@pytest.mark.parametrize(
    ("model", "locations"),
    [
        ('{gguf: "a/{quant}.gguf", quants: [Q8_0, Q4_0]}', ["a/Q8_0.gguf", "a/Q4_0.gguf"]),
        ('{hf: "a{suffix}", quants: {BF16: {suffix: ""}, FP8: {suffix: -FP8}}}', ["a", "a-FP8"]),
        ('{hf: "{org}/a-{bits}", quants: {X: {org: o, bits: 8}}}', ["o/a-8"]),
        ("{gguf: one-00001-of-00003.gguf, quants: [MXFP4]}", ["one-00001-of-00003.gguf"]),
        ('{hf: "a{{b}}-{quant}", quants: {X: , Z: }}', ["a{b}-X", "a{b}-Z"]),
    ],
)
def test_templates_are_filled(load_text: Callable[[str], Matrix], model: str, locations: list[str]) -> None:
    cells = [cell for cell in expand(load_text(matrix(model))) if cell.model.name == "m"]
    assert [cell.artifact.location for cell in cells] == locations


def test_hub_and_revision_are_filled_in_too(load_text: Callable[[str], Matrix]) -> None:
    model = '{hf: "a{s}", hub: "o/a{s}", revision: "{r}", quants: {X: {s: -1, r: aa}, Z: {s: -2, r: bb}}}'
    artifacts = [quant.artifact for quant in load_text(matrix(model)).models[0].quants]
    assert [(artifact.hub, artifact.revision) for artifact in artifacts] == [("o/a-1", "aa"), ("o/a-2", "bb")]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            "{gguf: a.gguf, quants: [Q8_0, Q4_0]}",
            (
                "3:13: gguf: the quants 'Q8_0' and 'Q4_0' are both 'a.gguf': use {quant} or a variable of the quant's "
                "own in the path"
            ),
        ),
        (
            '{hf: "a{s}", quants: {X: {s: "1"}, Z: {s: "1"}}}',
            "3:11: hf: the quants 'X' and 'Z' are both 'a1': use {quant} or a variable of the quant's own in the path",
        ),
        (
            '{gguf: "a{qant}", quants: [Q8_0]}',
            "3:13: gguf: no quant gives {qant} a value; did you mean 'quant'?",
        ),
        (
            '{hf: "a{s}", quants: {X: {s: "1"}, Z: {t: "2"}}}',
            "3:11: hf: the quant 'Z' does not, so nothing gives {s} a value; known: quant, t",
        ),
        (
            '{gguf: "a{quant.gguf", quants: [Q8_0]}',
            (
                "3:13: gguf: the brace '{' at character 2 of 'a{quant.gguf' is not part of a {name}; write {{ for a "
                "brace itself"
            ),
        ),
        (
            '{gguf: "aquant}.gguf", quants: [Q8_0]}',
            (
                "3:13: gguf: the brace '}' at character 7 of 'aquant}.gguf' is not part of a {name}; write }} for a "
                "brace itself"
            ),
        ),
        (
            '{gguf: "a{quant!r}", quants: [Q8_0]}',
            (
                "3:13: gguf: the brace '{' at character 2 of 'a{quant!r}' is not part of a {name}; write {{ for a "
                "brace itself"
            ),
        ),
        (
            '{hf: "a{quant}", quants: {X: {quant: Z}}}',
            "3:36: the variable 'quant' is always the quant's own name: choose another",
        ),
        ('{gguf: "", quants: [Q8_0]}', "3:7: gguf is empty"),
    ],
)
def test_a_template_that_cannot_be_meant(problems: Callable[[str], list[str]], model: str, expected: str) -> None:
    assert problems(matrix(model)) == [expected]


def test_an_attribute_is_not_reached_through_a_template() -> None:
    with pytest.raises(ValueError, match="is not part of a"):
        variables("{quant.__class__}")


def test_a_filled_value_is_not_filled_again() -> None:
    assert fill("{a}", {"a": "{b}", "b": "c"}) == "{b}"
