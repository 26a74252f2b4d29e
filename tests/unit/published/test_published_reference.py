"""Published references: stored, read back, laid beside a cell; and what baselines/published/ holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_thor.errors import PublishedError
from pytest_thor.published import reference
from tests.unit.published.samples import FOLDER, PUBLISHED, sample

FIGURES = {
    "llama-cpp-on-jetson-thor": (18, 54),
    "qwen3-0.6b-llama-cpp-platforms": (8, 24),
    "qwen3-30b-a3b-gguf-quants": (45, 99),
    "qwen3-8b-gguf-quants": (18, 72),
    "qwen3-vllm-on-jetson-thor": (32, 512),
}
"""Results and figures of each document, counted by hand from its tables and blocks."""


@pytest.mark.parametrize("name", [path.name for path in sorted(FOLDER.iterdir())])
def test_a_reading_comes_back_from_its_file_as_it_was(name: str, tmp_path: Path) -> None:
    reading = sample(name)
    path = tmp_path / "deep" / "one.json"

    reference.write(reading, path)

    assert reference.load(path) == reading


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "not a published reference: Expecting value"),
        ("[]", "its schema is None, expected 'pytest-thor/published/1': make it with pytest-thor import"),
        ('{"schema": "pytest-thor/published/9"}', "its schema is 'pytest-thor/published/9'"),
        ('{"schema": "pytest-thor/published/1"}', "source: Field required"),
        (
            '{"schema": "pytest-thor/published/1", "source": {"name": "x"}, "results": [{"line": 1, "kind": "odd"}]}',
            "results.0.kind: Input should be 'prefill', 'decode', 'mixed', 'serving' or 'file'",
        ),
        ('{"schema": "pytest-thor/published/1", "source": {"name": "x"}, "results": [3]}', "not a published reference"),
    ],
)
def test_a_file_that_is_none_says_why(content: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text(content)

    with pytest.raises(PublishedError) as caught:
        reference.load(path)

    assert str(path) in str(caught.value)
    assert reason in str(caught.value)


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert reference.load_all(tmp_path / "none") == ()

    with pytest.raises(PublishedError, match="cannot read it: No such file"):
        reference.load(tmp_path / "none.json")


def test_a_reference_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(PublishedError, match="give another --output"):
        reference.write(sample("quants.md"), tmp_path / "file" / "one.json")


def test_every_document_is_read_whole_with_its_source_line_and_date() -> None:
    found = {path.stem: reference.load(path) for path in sorted(PUBLISHED.glob("*.json"))}

    assert {name: (len(reading.results), reading.figures) for name, reading in found.items()} == FIGURES
    assert [reading.unread for reading in found.values()] == [()] * 5
    dates = {name: reading.source.date for name, reading in found.items() if reading.source.date}
    assert dates == {
        "llama-cpp-on-jetson-thor": "2025-10-15T08:00:00+08:00",
        "qwen3-vllm-on-jetson-thor": "2025-10-12T06:00:00+08:00",
    }
    for reading in found.values():
        numbers = [result.line for result in reading.results]
        assert numbers == sorted(set(numbers))


def test_published_figures_are_those_of_the_documents() -> None:
    """Spot checks against figures that are quoted elsewhere, one of each table and block."""
    load = {path.stem: reference.load(path).results for path in PUBLISHED.glob("*.json")}
    thor = {(each.model, each.quant, each.kind): each for each in load["llama-cpp-on-jetson-thor"]}
    served = {(each.label, each.headings[-1]): each for each in load["qwen3-vllm-on-jetson-thor"]}
    files = {each.quant: each for each in load["qwen3-30b-a3b-gguf-quants"] if each.kind == "file"}

    assert thor["Qwen3-8B", "Q4_K_M", "decode"].metrics["tg_tps"].value == 40.07
    assert thor["gpt-oss-120b", "MXFP4", "prefill"].metrics["pp_tps"].spread == 7.2
    assert {each.device for each in thor.values()} == {"Jetson Thor"}
    assert served["Qwen3-8B-FP8", "低负载"].metrics["tpot_ms.median"].value == 8.88
    assert served["Qwen3-8B-GPTQ-Int4", "高负载"].workload["num_prompts"] == 200
    assert files["Q4_K_M"].metrics["file_bytes"].value == 18_630_000_000
    assert (files["Q3_K_S"].settings["advice"], files["Q8_0"].settings["advice"]) == (
        "not recommended",
        "highest quality",
    )
    assert len(files) == 27


def test_published_results_lie_beside_the_cell_of_the_same_model_quant_and_workload() -> None:
    readings = reference.load_all(PUBLISHED)

    decode = reference.beside(
        readings, models=["qwen3-8b"], quant="Q4_K_M", kind="decode", parameters={"n_gen": 128, "n_depth": 0}
    )
    assert [(each.source, each.line, each.metrics["tg_tps"].value) for each in decode] == [
        ("llama-cpp-on-jetson-thor.md", 423, 40.07)
    ]
    served = reference.beside(
        readings,
        models=["my-name", "qwen3-8b"],
        quant="fp8",
        kind="serving",
        parameters={"input_len": 2048, "output_len": 128, "max_concurrency": 8, "num_prompts": 100},
    )
    assert [each.line for each in served] == [133]


@pytest.mark.parametrize(
    ("quant", "kind", "parameters"),
    [
        ("Q4_K_M", "decode", {"n_gen": 64, "n_depth": 0}),
        ("Q4_K_M", "decode", {"n_gen": 128, "n_depth": 4096}),
        ("Q4_K_S", "decode", {"n_gen": 128, "n_depth": 0}),
        ("GPTQ-Int4", "serving", {"input_len": 2048, "output_len": 128, "max_concurrency": 8, "num_prompts": 100}),
    ],
)
def test_another_workload_is_not_laid_beside(quant: str, kind: str, parameters: dict[str, int]) -> None:
    readings = reference.load_all(PUBLISHED)

    assert reference.beside(readings, models=["qwen3-8b"], quant=quant, kind=kind, parameters=parameters) == ()


def test_the_stored_form_is_stable() -> None:
    for path in PUBLISHED.glob("*.json"):
        assert reference.dump(reference.load(path)) == path.read_text(encoding="utf-8")
        assert json.loads(path.read_text(encoding="utf-8"))["schema"] == reference.SCHEMA
