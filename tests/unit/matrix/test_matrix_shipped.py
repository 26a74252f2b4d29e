"""The matrices that ship: what they expand to."""

from collections import Counter
from pathlib import Path

import pytest

from pytest_thor.cell import Cell
from pytest_thor.matrix import Vocabulary, expand, load

MATRICES = Path(__file__).parents[3] / "matrices"


@pytest.fixture
def cells(request: pytest.FixtureRequest, vocabulary: Vocabulary) -> tuple[Cell, ...]:
    return expand(load(MATRICES / request.param, vocabulary))


@pytest.mark.parametrize("cells", ["smoke.yaml"], indirect=True)
def test_smoke_needs_no_download_and_measures_every_llama_cpp_engine(cells: tuple[Cell, ...]) -> None:
    assert [cell.id.removeprefix("qwen3-0.6b-synthetic-") for cell in cells] == [
        "Q8_0-llama.cpp-pp64",
        "Q8_0-llama.cpp-tg16",
        "Q8_0-llama-cpp-python-pp64",
        "Q8_0-llama-cpp-python-tg16",
        "Q4_K_M-llama.cpp-pp64",
        "Q4_K_M-llama.cpp-tg16",
        "Q4_K_M-llama-cpp-python-pp64",
        "Q4_K_M-llama-cpp-python-tg16",
        "Q4_K_M-llama-server-load",
    ]
    assert {cell.artifact.format for cell in cells} == {"synthetic"}
    assert min(threshold for cell in cells for _, threshold in cell.thresholds) == 0.15


@pytest.mark.parametrize("cells", ["vllm-cpu.yaml"], indirect=True)
def test_vllm_on_a_cpu_runs_the_low_load_on_a_server_that_the_high_load_has_warmed(cells: tuple[Cell, ...]) -> None:
    assert [cell.id for cell in cells] == [
        "qwen3-tiny-synthetic-BF16-vllm-high-load",
        "qwen3-tiny-synthetic-BF16-vllm-low-load",
    ]
    assert len({cell.group for cell in cells}) == 1
    assert {(cell.artifact.format, cell.workload["prefix_cache"]) for cell in cells} == {("synthetic", False)}


@pytest.mark.parametrize("cells", ["qwen3.yaml"], indirect=True)
def test_qwen3_has_every_published_checkpoint(cells: tuple[Cell, ...]) -> None:
    assert Counter(cell.backend.name for cell in cells) == {"llama.cpp": 16, "llama-server": 16, "vllm": 30}
    assert list(dict.fromkeys(cell.artifact.location for cell in cells)) == [
        "Qwen/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf",
        "Qwen/Qwen3-8B-GGUF/Qwen3-8B-Q5_0.gguf",
        "Qwen/Qwen3-8B-GGUF/Qwen3-8B-Q5_K_M.gguf",
        "Qwen/Qwen3-8B-GGUF/Qwen3-8B-Q6_K.gguf",
        "Qwen/Qwen3-8B-GGUF/Qwen3-8B-Q8_0.gguf",
        "unsloth/Qwen3-Coder-30B-A3B-Instruct-GGUF/Qwen3-Coder-30B-A3B-Instruct-Q4_K_M.gguf",
        "unsloth/Qwen3-Coder-30B-A3B-Instruct-GGUF/Qwen3-Coder-30B-A3B-Instruct-Q5_K_M.gguf",
        "unsloth/Qwen3-Coder-30B-A3B-Instruct-GGUF/Qwen3-Coder-30B-A3B-Instruct-Q6_K.gguf",
        "Qwen/Qwen3-8B",
        "Qwen/Qwen3-8B-FP8",
        "nv-community/Qwen3-8B-FP4",
        "JunHowie/Qwen3-8B-GPTQ-Int4",
        "JunHowie/Qwen3-8B-GPTQ-Int8",
        "Qwen/Qwen3-8B-AWQ",
        "okwinds/Qwen3-8B-Int4-W4A16",
        "okwinds/Qwen3-8B-Int8-W8A16",
        "Qwen/Qwen3-32B-AWQ",
        "Qwen/Qwen3-30B-A3B",
        "Qwen/Qwen3-30B-A3B-FP8",
        "Qwen/Qwen3-Coder-30B-A3B-Instruct-FP8",
        "cpatonn-mirror/Qwen3-Coder-30B-A3B-Instruct-AWQ-8bit",
        "cpatonn-mirror/Qwen3-Coder-30B-A3B-Instruct-AWQ-4bit",
        "okwinds/Qwen3-Coder-30B-A3B-Instruct-Int4-W4A16",
    ]


@pytest.mark.parametrize("cells", ["gpt-oss.yaml"], indirect=True)
def test_gpt_oss_is_the_first_of_its_shards(cells: tuple[Cell, ...]) -> None:
    assert {cell.artifact.location for cell in cells} == {
        "ggml-org/gpt-oss-120b-GGUF/gpt-oss-120b-mxfp4-00001-of-00003.gguf"
    }
    assert [cell.workload.name for cell in cells] == ["pp512", "tg128", "high-load", "low-load"]


@pytest.mark.parametrize("cells", ["quality.yaml"], indirect=True)
def test_quality_stands_beside_speed_for_every_quant(cells: tuple[Cell, ...]) -> None:
    assert [(cell.quant, cell.kind) for cell in cells] == [
        ("F16", "decode"),
        ("F16", "quality"),
        ("Q8_0", "decode"),
        ("Q8_0", "quality"),
        ("Q4_K_M", "decode"),
        ("Q4_K_M", "quality"),
    ]
    assert {cell.artifact.format for cell in cells} == {"synthetic"}
    assert {cell.workload["reference"] for cell in cells if cell.kind == "quality"} == {"F16"}
