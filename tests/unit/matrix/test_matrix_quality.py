"""Quality workloads: the text that they name, how much of it is read, and the quant that they are held against."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_thor.cell import ArtifactReference, Cell
from pytest_thor.matrix import Matrix, expand

Load = Callable[[str], Matrix]
Problems = Callable[[str], list[str]]

TEXT = "It was a bright cold day in April. " * 100


def matrix(workload: str, *, rest: str = "", quants: str = "[F16, Q8_0, Q4_K_M]") -> str:
    """Return a matrix with one quality workload, in its line 6."""
    return (
        f'name: a\nmodels: {{m: {{gguf: "m-{{quant}}.gguf", quants: {quants}}}}}\nbackends:\n'
        "  p: {engine: llama-perplexity}\nworkloads:\n"
        f"  wiki: {{kind: quality, {workload}}}\n{rest}"
    )


@pytest.fixture(autouse=True)
def text(tmp_path: Path) -> Path:
    path = tmp_path / "wiki.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_the_text_is_known_by_its_content(load_text: Load, text: Path) -> None:
    cells = expand(load_text(matrix("text: wiki.txt")))
    assert [cell.id for cell in cells] == ["m-F16-p-wiki", "m-Q8_0-p-wiki", "m-Q4_K_M-p-wiki"]
    assert dict(cells[0].workload.parameters) == {
        "chunks": "all",
        "ctx_size": 512,
        "reference": None,
        "text": "wiki.txt",
        "text_sha256": hashlib.sha256(TEXT.encode()).hexdigest(),
    }
    assert {cell.reference for cell in cells} == {None}
    text.write_text(TEXT + "The clocks were striking thirteen.", encoding="utf-8")
    (other, *_) = expand(load_text(matrix("text: wiki.txt")))
    assert other.workload["text_sha256"] != cells[0].workload["text_sha256"]


def test_every_quant_but_the_reference_is_held_against_it(load_text: Load) -> None:
    cells = expand(load_text(matrix("text: wiki.txt, ctx_size: 64, chunks: 8, reference: F16")))
    f16 = ArtifactReference(format="gguf", location="m-F16.gguf")
    assert {cell.quant: cell.reference for cell in cells} == {"F16": None, "Q8_0": f16, "Q4_K_M": f16}


def test_a_reference_need_not_be_measured_itself(load_text: Load) -> None:
    rest = "exclude: [{quant: F16, workload: wiki}]\n"
    cells: tuple[Cell, ...] = expand(load_text(matrix("text: wiki.txt, reference: F16", rest=rest)))
    assert [cell.quant for cell in cells] == ["Q8_0", "Q4_K_M"]
    assert all(cell.reference is not None for cell in cells)


@pytest.mark.parametrize(
    ("workload", "expected"),
    [
        ("ctx_size: 64", "6:3: wiki: the key 'text' is missing"),
        ("text: wikki.txt", "6:31: text: {folder}/wikki.txt: there is no such file; a relative path starts at the"),
        ("text: .", "6:31: text: {folder}: not a file: give a plain text file"),
        ("text: wiki.txt, ctx_size: 8", "6:51: ctx_size: expected at least 16, got 8"),
        ("text: wiki.txt, chunks: some", "6:49: chunks: expected 'all', got 'some'"),
        ("text: wiki.txt, chunks: 0", "6:49: chunks: expected at least 1, got 0"),
        ("text: wiki.txt, chunk: 8", "6:41: a quality workload has no parameter 'chunk'; did you mean 'chunks'?"),
        (
            "text: wiki.txt, ctx_size: 2048",
            "6:31: text: wiki.txt has 3500 bytes and so 3501 tokens at most, and ctx_size 2048 needs 4096 or more:",
        ),
        (
            "text: wiki.txt, chunks: 7",
            "6:49: chunks: wiki.txt has 3500 bytes, of which 6 chunks of 512 tokens can be made at most: lower",
        ),
        (
            "text: wiki.txt, ctx_size: 64, chunks: 3, reference: F16",
            "6:63: chunks: 3 of 64 tokens have 93 that are predicted, and a divergence from the reference needs 100: ",
        ),
        (
            "text: wiki.txt, reference: F61",
            "6:3: wiki: the model 'm' (line 2) has no quant 'F61' to be the reference; did you mean 'F16'?; add it to ",
        ),
    ],
)
def test_a_mistake_is_told_where_it_stands(problems: Problems, tmp_path: Path, workload: str, expected: str) -> None:
    [problem] = problems(matrix(workload))
    assert problem.startswith(expected.format(folder=tmp_path))


def test_what_is_no_text_is_refused(problems: Problems, text: Path) -> None:
    text.write_bytes(b"")
    assert "the text is empty" in problems(matrix("text: wiki.txt"))[0]
    text.write_bytes(b"A" * 2000 + b"\xff\xfe")
    assert "not UTF-8 text (byte 0xff)" in problems(matrix("text: wiki.txt"))[0]
    text.write_bytes(b"A" * 2000 + "é".encode()[:1])  # cut in the middle of a letter
    assert "not UTF-8 text" in problems(matrix("text: wiki.txt"))[0]


def test_a_canary_has_a_speed(problems: Problems) -> None:
    rest = "canary: {quant: F16, workload: wiki}\n"
    [problem] = problems(matrix("text: wiki.txt", rest=rest))
    assert problem == (
        "7:1: the canary tells how fast the machine is, and m-F16-p-wiki has no speed: name a cell of another workload"
    )


def test_a_speed_engine_measures_no_quality(problems: Problems) -> None:
    text = matrix("text: wiki.txt").replace("llama-perplexity", "llama-bench")
    assert any("its kind is quality, and no backend measures that" in problem for problem in problems(text))
