"""The real vLLM, on its CPU build: one load straight after another meets no cache, and a fixed prompt set does.

Run by ``make test-vllm``; THOR_VLLM names the environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pytest_thor.artifacts.synthetic_hf import make_synthetic_hf
from pytest_thor.artifacts.vocabulary import context_length, ordinary_ids
from pytest_thor.cell import Cell, Setting
from pytest_thor.engines.base import Progress
from pytest_thor.engines.serving_engine import ModelFacts
from pytest_thor.engines.vllm import Vllm
from pytest_thor.errors import EngineMissing
from pytest_thor.measurement import Launch
from pytest_thor.serving.load import TokenIds
from tests.cells import SYNTHETIC, build_cell

pytestmark = [
    pytest.mark.engine,
    pytest.mark.vllm,
    pytest.mark.skipif("THOR_VLLM" not in os.environ, reason="THOR_VLLM names no vLLM; `make test-vllm` makes one"),
]
INPUT, OUTPUT = 300, 8
"""vLLM caches whole blocks, of 128 tokens on a CPU."""


def read_model(path: Path) -> ModelFacts:
    size, forbidden = ordinary_ids(path)
    return ModelFacts(token_ids=TokenIds(size=size, forbidden=forbidden), context_length=context_length(path))


def cell(name: str, *extra_args: str, **parameters: Setting) -> Cell:
    asked: dict[str, Setting] = {"input_len": INPUT, "output_len": OUTPUT, "num_prompts": 4, "max_concurrency": 1}
    settings: dict[str, Setting] = {
        "cpu_kvcache_space_gib": 1,
        "enforce_eager": True,
        "extra_args": extra_args,
        "max_model_len": 1024,
    }
    return build_cell(
        "serving",
        {**asked, **parameters},
        workload=name,
        quant="BF16",
        artifact=SYNTHETIC,
        engine="vllm",
        settings=settings,
        timeout_s=600,
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_synthetic_hf("qwen3-tiny", cache=tmp_path_factory.mktemp("synthetic"))


@pytest.fixture(scope="module")
def launches(model: Path) -> Iterator[dict[str, Launch]]:
    """One launch of six workloads, since a start takes half a minute."""
    cells = [
        cell("high", num_prompts=12, max_concurrency=4),
        cell("low"),
        cell("fixed", fresh_prompts=False),
        cell("fixed again", fresh_prompts=False),
        cell("theirs", client="vllm", max_concurrency=2),
        cell("too long", input_len=1020),
    ]
    steps: list[Progress] = []
    before = workers()
    yield {one.workload.name: launch for one, launch in Vllm(None, read_model).launch(cells, model, steps.append)}
    assert workers() == before


def workers() -> set[int]:
    """The processes of any vLLM, forked ones included: their names begin with VLLM, or they are its module."""
    found = set()
    for process in psutil.process_iter(["name", "cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if "VLLM" in (process.info["name"] or "") + line or "vllm.entrypoints" in line:
            found.add(process.pid)
    return found


def test_nothing_of_it_is_left(launches: dict[str, Launch]) -> None:
    [command] = {tuple(launches[name].evidence["server"]["command"]) for name in ("high", "low")}
    running = [process.info["cmdline"] for process in psutil.process_iter(["cmdline"])]
    assert list(command) not in running


@pytest.mark.parametrize(("name", "requests"), [("high", 12), ("low", 4)])
def test_a_low_load_straight_after_a_high_one_has_no_cached_tokens(
    name: str, requests: int, launches: dict[str, Launch]
) -> None:
    launch = launches[name]
    assert launch.failure is None, launch.log_tail
    assert launch.doubts == ()
    assert len(launch.samples["e2el_ms"]) == requests
    assert launch.evidence["tokens"] == {
        "prompt_asked": requests * INPUT,
        "prompt": requests * INPUT,
        "output_asked": requests * OUTPUT,
        "output": requests * OUTPUT,
        "cached": 0,
    }
    assert launch.evidence["server"]["prefix_caching"] is True
    assert launch.evidence["server"]["prefix_cache_hit_tokens"] == 0
    assert launch.samples["load_s"][0] > 1
    assert launch.samples["peak_memory_bytes"][0] > 1 << 30  # the KV cache alone has 1 GiB


def test_a_fixed_prompt_set_is_doubted_with_its_cached_tokens(launches: dict[str, Launch]) -> None:
    assert launches["fixed"].failure is None
    assert launches["fixed again"].doubts == (f"{4 * 256} of {4 * INPUT} prompt tokens came from the prefix cache",)
    assert launches["fixed again"].evidence["server"]["prefix_cache_hit_tokens"] >= 4 * 256


def test_vllms_own_client_sends_the_same_load_past_the_same_cache(launches: dict[str, Launch]) -> None:
    launch = launches["theirs"]
    assert (launch.failure, launch.doubts) == (None, ())
    assert launch.evidence["tokens"] == launches["low"].evidence["tokens"] | {"cached": None}
    assert launch.evidence["server"]["prefix_cache_hit_tokens"] == 0
    assert launch.evidence["vllm_client"]["usage_read"] == 4
    assert len(launch.samples["itl_ms"]) == 4 * (OUTPUT - 1)


def test_a_load_longer_than_the_context_is_refused(launches: dict[str, Launch]) -> None:
    assert "1020 prompt + 8 output = 1028 tokens do not fit" in str(launches["too long"].failure)


def test_an_option_that_it_does_not_know_is_named(model: Path) -> None:
    with pytest.raises(EngineMissing, match=r"vllm 0\..* refuses its options: unrecognized arguments: --bogus"):
        list(Vllm(None, read_model).launch([cell("any", "--bogus")], model, lambda _: None))
