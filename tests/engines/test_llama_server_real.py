"""The real llama-server under a small load: tokens exactly as asked, nothing cached, nothing left running."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import psutil
import pytest

from pytest_thor.artifacts.vocabulary import context_length, ordinary_ids
from pytest_thor.cell import Cell, Setting
from pytest_thor.engines.base import Progress
from pytest_thor.engines.http_get import Place, get
from pytest_thor.engines.llama_server import LlamaServer
from pytest_thor.engines.serving_engine import ModelFacts
from pytest_thor.measurement import Launch
from pytest_thor.serving.load import TokenIds
from tests.cells import SYNTHETIC, build_cell

pytestmark = pytest.mark.engine

ServingCell: TypeAlias = Callable[..., Cell]


def read_model(path: Path) -> ModelFacts:
    size, forbidden = ordinary_ids(path)
    return ModelFacts(token_ids=TokenIds(size=size, forbidden=forbidden), context_length=context_length(path))


@pytest.fixture(scope="session")
def llama_server() -> LlamaServer:
    """The real llama-server; `make` installs it, so that its absence is an error and not a skip."""
    engine = LlamaServer(None, read_model)
    engine.identify()
    return engine


@pytest.fixture
def serving_cell() -> ServingCell:
    def make(name: str, settings: Mapping[str, Setting] | None = None, **parameters: Setting) -> Cell:
        asked: dict[str, Setting] = {"input_len": 64, "output_len": 8, "num_prompts": 4, "max_concurrency": 1}
        given: dict[str, Setting] = {"ctx_size": 1024, "parallel": 2, "threads": 2}
        return build_cell(
            "serving",
            {**asked, **parameters},
            workload=name,
            artifact=SYNTHETIC,
            engine="llama-server",
            settings={**given, **(settings or {})},
            timeout_s=120,
        )

    return make


def measure(engine: LlamaServer, model: Path, *cells: Cell) -> list[Launch]:
    """Launch to the end; nothing that was started with this model may be left running."""
    steps: list[Progress] = []
    launches = dict(engine.launch(cells, model, steps.append))
    assert not [
        process for process in psutil.process_iter(["cmdline"]) if str(model) in (process.info["cmdline"] or ())
    ]
    return [launches[cell] for cell in cells]


def test_a_low_load_straight_after_a_high_one_is_measured_end_to_end(
    llama_server: LlamaServer, tiny_model: Path, serving_cell: ServingCell
) -> None:
    cells = serving_cell("high", num_prompts=12, max_concurrency=4), serving_cell("low")
    for cell, launch in zip(cells, measure(llama_server, tiny_model, *cells), strict=True):
        requests = cell.workload.count("num_prompts")
        assert launch.failure is None, launch.log_tail
        assert launch.doubts == ()
        assert len(launch.samples["ttft_ms"]) == len(launch.samples["e2el_ms"]) == requests
        assert launch.evidence["tokens"] == {
            "prompt_asked": requests * 64,
            "prompt": requests * 64,
            "output_asked": requests * 8,
            "output": requests * 8,
            "cached": 0,
        }
        assert launch.samples["peak_memory_bytes"][0] > tiny_model.stat().st_size
        assert launch.evidence["server"]["slots"] == 2
        assert launch.evidence["server"]["context_per_request"] == 512


def test_a_fixed_prompt_set_meets_its_own_cache_and_that_is_a_doubt(
    llama_server: LlamaServer, tiny_model: Path, serving_cell: ServingCell
) -> None:
    settings = {"parallel": 1}
    first = serving_cell("first", settings, fresh_prompts=False, num_prompts=1, warmup=0)
    second = serving_cell("second", settings, fresh_prompts=False, num_prompts=1, warmup=0)
    again = serving_cell("again", settings, num_prompts=1, warmup=0)
    launches = measure(llama_server, tiny_model, first, second, again)
    assert launches[0].doubts == launches[2].doubts == ()
    assert launches[1].doubts == ("63 of 64 prompt tokens came from the prefix cache",)


def test_every_setting_of_the_thor_guide_is_understood(
    llama_server: LlamaServer, tiny_model: Path, serving_cell: ServingCell
) -> None:
    guide: dict[str, Setting] = {
        "gpu_layers": -1,
        "ctx_size": 0,
        "parallel": 2,
        "flash_attn": "on",
        "no_kv_offload": True,
        "no_op_offload": True,
        "mmap": False,
        "mlock": False,
        "jinja": True,
        "reasoning_budget": 0,
        "reasoning_format": "none",
        "alias": "qwen3",
        "cache_type_k": "q8_0",
        "cache_type_v": "q8_0",
        "batch_size": 256,
        "ubatch_size": 64,
    }
    [launch] = measure(llama_server, tiny_model, serving_cell("guide", guide))
    assert launch.failure is None, launch.log_tail
    assert launch.evidence["server"]["context_per_request"] == context_length(tiny_model)
    assert launch.evidence["server"]["model"] == "qwen3"


def test_a_context_that_is_just_large_enough_gives_every_token(
    llama_server: LlamaServer, tiny_model: Path, serving_cell: ServingCell
) -> None:
    brim = serving_cell("brim", input_len=500, output_len=12, num_prompts=2)
    over = serving_cell("over", input_len=500, output_len=13, num_prompts=2)
    fits, refused = measure(llama_server, tiny_model, brim, over)
    assert fits.failure is None
    assert fits.doubts == ()
    assert fits.evidence["tokens"]["output"] == 24
    assert "500 prompt + 13 output = 513 tokens do not fit into a slot's context" in str(refused.failure)


def test_a_file_that_is_no_model_fails_with_what_the_server_said(
    llama_server: LlamaServer, tiny_model: Path, serving_cell: ServingCell, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(tiny_model.read_bytes()[: tiny_model.stat().st_size // 2])
    [launch] = measure(LlamaServer(None, lambda _: read_model(tiny_model)), broken, serving_cell("low"))
    assert "llama-server ended with exit status 1" in str(launch.failure)
    assert "failed to load" in str(launch.log_tail)


def test_a_running_server_can_be_asked(llama_server: LlamaServer, tiny_model: Path, serving_cell: ServingCell) -> None:
    with llama_server.serve([serving_cell("any")], tiny_model) as served:
        port = int(served.base_url.rpartition(":")[2])
        answer = get(Place(host="127.0.0.1", port=port), "/v1/models").json()
        assert answer["data"][0]["id"] == served.model == "tiny"
    assert not get(Place(host="127.0.0.1", port=port), "/health").ok
