"""A cell held against the memory of a machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.artifacts.synthetic_weights import write_weights
from pytest_thor.cell import Cell, Kind, Setting
from pytest_thor.fitting import fit_of, memory_of
from pytest_thor.host.device import Device, Gpu
from tests.cells import build_cell

GIB = 1 << 30
BOARD = Device(
    slug="jetson-agx-thor",
    name="NVIDIA Jetson AGX Thor Developer Kit",
    cpu="aarch64",
    logical_cpus=14,
    memory_bytes=122 * GIB,
    gpus=(Gpu(name="NVIDIA Thor", memory_bytes=None),),
    power_mode="MAXN",
    l4t="38.4",
    driver=None,
    cuda=None,
    kernel="6.8",
    machine="aarch64",
)
CARD = replace(BOARD, l4t=None, memory_bytes=64 * GIB, gpus=(Gpu(name="NVIDIA X", memory_bytes=24 * GIB),))
PLAIN = replace(BOARD, l4t=None, gpus=(), memory_bytes=8 * GIB)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fit") / "tiny.gguf"
    write_weights(path, ARCHITECTURES["qwen3-tiny"], "F16", seed=1, on_progress=lambda _: None)
    return path


def cell(engine: str, kind: Kind = "decode", parameters: dict[str, Setting] | None = None, **settings: Setting) -> Cell:
    asked: dict[str, Setting] = {"n_gen": 128, "n_depth": 0} if parameters is None else parameters
    return build_cell(kind, asked, engine=engine, settings=settings)


def test_a_board_shares_its_memory_and_a_card_has_its_own() -> None:
    board, card, alone = memory_of(BOARD), memory_of(CARD), memory_of(CARD, gpu_only=True)
    assert board is not None
    assert card is not None
    assert alone is not None
    assert (board.unified, board.total_bytes) == (True, 122 * GIB)
    assert (card.unified, card.total_bytes) == (False, 88 * GIB)
    assert (alone.total_bytes, alone.available_bytes) == (24 * GIB, None)
    assert memory_of(replace(PLAIN, memory_bytes=None)) is None


def test_a_bench_needs_its_tokens_and_a_server_its_context(model: Path) -> None:
    decode = fit_of(cell("llama-bench"), model, PLAIN)
    assert decode is not None
    assert decode.fits
    shape = ARCHITECTURES["qwen3-tiny"]
    per_token = 2 * shape.layers * shape.kv_heads * shape.head_size * 2
    assert decode.need.kv_bytes == 128 * per_token
    assert decode.need.weights_bytes == 2 * shape.parameters + 2 * sum(s[0] for n, s in shape.tensors if "norm" in n)
    quality = fit_of(cell("llama-perplexity", "quality", {"ctx_size": 512}), model, PLAIN)
    assert quality is not None
    assert quality.need.kv_bytes == 512 * per_token
    server = fit_of(cell("llama-server", "serving", {}, ctx_size=65_536, parallel=8), model, PLAIN)
    assert server is not None
    assert server.need.kv_bytes == 65_536 * per_token
    eight_bits = cell("llama-server", "serving", {}, ctx_size=65_536, cache_type_k="q8_0", cache_type_v="q8_0")
    smaller = fit_of(eight_bits, model, PLAIN)
    assert smaller is not None
    assert smaller.need.kv_bytes == 65_536 * per_token * 34 // 64


def test_buffers_are_counted_only_of_an_engine_that_is_known(model: Path) -> None:
    known, unknown = (fit_of(cell(engine), model, PLAIN) for engine in ("llama-bench", "another"))
    assert known is not None
    assert unknown is not None
    assert (known.need.overhead_bytes, unknown.need.overhead_bytes) == (256 << 20, None)
    assert known.need.total_bytes - unknown.need.total_bytes == 256 << 20
    assert "buffers" in known.sentence
    assert "buffers" not in unknown.sentence


def test_what_is_too_large_is_refused_with_the_sum(model: Path) -> None:
    small = replace(PLAIN, memory_bytes=GIB)
    fit = fit_of(cell("llama-server", "serving", {}, ctx_size=10_000_000), model, small)
    assert fit is not None
    assert not fit.fits
    assert "KV cache of 10000000 tokens" in fit.sentence
    assert "take a smaller quant" in fit.sentence


def test_a_card_alone_counts_where_every_layer_is_on_it(model: Path) -> None:
    on_card = fit_of(cell("llama-bench", n_gpu_layers=99), model, CARD)
    split = fit_of(cell("llama-bench", n_gpu_layers=1), model, CARD)
    experts = fit_of(
        cell("llama-server", "serving", {}, n_gpu_layers=99, ctx_size=512, extra_args=("--cpu-moe",)), model, CARD
    )
    assert on_card is not None
    assert split is not None
    assert experts is not None
    assert on_card.memory.total_bytes == 24 * GIB
    assert split.memory.total_bytes == experts.memory.total_bytes == 88 * GIB


def test_what_is_not_known_is_not_refused(model: Path, tmp_path: Path) -> None:
    assert fit_of(cell("openai", "serving", {}), model, PLAIN) is None
    assert fit_of(cell("llama-server", "serving", {}), model, PLAIN) is None
    assert fit_of(cell("llama-bench"), tmp_path / "gone.gguf", PLAIN) is None
