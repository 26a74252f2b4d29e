"""The readers of what a user writes: the matrix, and the request trace and the text that it may name."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path

from pytest_thor.collection import vocabulary
from pytest_thor.errors import MatrixError
from pytest_thor.evaluation_text import read_evaluation_text
from pytest_thor.matrix import Vocabulary, expand, load
from pytest_thor.request_trace import read_trace
from tests.fuzz.target import Target, written

_SHIPPED = sorted((Path(__file__).parents[2] / "matrices").glob("*.yaml"))
_SMALL = b"""name: m
models:
  qwen3-8b: {architecture: qwen3-8b, gguf: "a/{quant}{x}.gguf", quants: {Q4_K_M: {x: ""}, Q8_0: {x: -b}}}
  h: {hf: "b/{quant}", quants: [FP8]}
  s: &s {synthetic: qwen3-tiny, quants: [F16]}
  t: {<<: *s}
backends:
  llama.cpp: {engine: llama-bench, settings: {n_gpu_layers: 99, flash_attn: on}, timeout: 30m}
  llama-server: {engine: llama-server, settings: {ctx_size: 20480, parallel: 8}}
  any: {engine: openai, settings: {url: "http://127.0.0.1:8000/v1", api_key_env: MY_KEY}}
workloads:
  pp512: {kind: prefill, n_prompt: 512}
  tg64@4096: {kind: decode, n_gen: 64, n_depth: 4096, repetitions: 3}
  load: {kind: serving, input_len: {min: 1, max: 9}, output_len: 128, duration: 60s, sweep: {max_concurrency: [1, 8]}}
thresholds: {tg_tps: 3%, ttft_ms.p99: 10%}
exclude:
  - {model: qwen3-8b, quant: Q8_0, workload: load}
overrides:
  - {match: {backend: llama*}, thresholds: {tg_tps: 4%}}
"""
TRACES = (
    b'{"arrival_s": 0.25, "input_len": 512, "output_len": 64}\n{"arrival_s": 0, "input_len": 5, "output_len": 6}\n',
    (
        b'{"timestamp": 250, "input_length": 512, "output_length": 64}\r\n\r\n{"timestamp": 1, "input_length": 1, '
        b'"output_length": 1, "hash_ids": [1, 2]}'
    ),
)


@cache
def _vocabulary() -> Vocabulary:
    return vocabulary()


def read_matrix(content: bytes, folder: Path) -> None:
    path = written(folder, "m.yaml", content)
    try:
        cells = expand(load(path, _vocabulary()))
    except MatrixError as error:
        assert 1 <= len(error.problems) <= 501  # noqa: PT017
        assert str(error).encode()  # noqa: PT017
        return
    assert cells
    assert len({cell.id for cell in cells}) == len(cells)


def read_requests(content: bytes, folder: Path) -> None:
    path = written(folder, "t.jsonl", content)
    with suppress(MatrixError):
        trace = read_trace(path)
        assert all(request.arrival_s is None or request.arrival_s >= 0 for request in trace.requests)
        assert all(request.input_len >= 1 <= request.output_len for request in trace.requests)


def read_text(content: bytes, folder: Path) -> None:
    path = written(folder, "t.txt", content)
    with suppress(MatrixError):
        text = read_evaluation_text(path)
        assert content.decode()
        assert text.size_bytes == len(content)


TARGETS = (
    Target(name="evaluation-text", read=read_text, seeds=("Ein trüber Tag im März.\n".encode() * 9,)),
    Target(name="matrix", read=read_matrix, seeds=(_SMALL, *(path.read_bytes() for path in _SHIPPED))),
    Target(name="request-trace", read=read_requests, seeds=TRACES),
)
