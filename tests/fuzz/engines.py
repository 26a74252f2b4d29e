"""The readers of what an engine prints: llama-bench's rows, its help and version, the probes of other interpreters."""

from __future__ import annotations

import json
from pathlib import Path

from pytest_thor.engines.bench_rows import METRIC, BenchTest, UnreadableRowError, differences, read_row, speeds_tps
from pytest_thor.engines.llama_options import read_help
from pytest_thor.engines.log_tail import LogTail
from pytest_thor.engines.server import reason
from pytest_thor.engines.version import parse_version
from tests.fuzz.target import Target, golden

TESTS = tuple(
    BenchTest(n_prompt=prompt, n_gen=gen, n_depth=0, repetitions=repetitions)
    for prompt, gen in ((512, 0), (0, 128))
    for repetitions in (1, 2, 5)
)
_ROWS = tuple(
    line
    for content in golden("llama_bench/*.jsonl", "published/llama-bench.jsonl")
    for line in content.splitlines()
    if line
)


def read_bench_row(content: bytes, folder: Path) -> None:
    for line in content.decode("utf-8", errors="replace").split("\n"):
        try:
            row = read_row(line)
        except UnreadableRowError as error:
            assert len(str(error)) < 1000  # noqa: PT017
            continue
        if row is None:
            continue
        json.dumps(row.evidence(), allow_nan=False, ensure_ascii=False).encode()
        differences(row, {"n_batch": 2048, "type_k": "f16"})
        for test in TESTS:
            speeds = speeds_tps(row, test)
            assert isinstance(speeds, str) or len(speeds) == test.repetitions
        assert row.text("build_commit") is None or row.text("build_commit")
        assert METRIC


_HELP = b"""usage: llama-bench [options]

options:
  -h, --help
  -m, --model <filename>                    (default: models/7B/ggml-model-q4_0.gguf)
  -fa, --flash-attn <0|1>                   (default: 0)
  -ngl, --n-gpu-layers <n>                  (default: 99)
"""
_SAID = (
    _HELP,
    b"version: 6123 (79c1160b)\nbuilt with cc for aarch64-linux-gnu\n",
    b"version: b7000-1, commit 0123456\n",
    b"E ggml_cuda: out of memory\nTraceback\nValueError: no\n" * 4,
)


def read_said(content: bytes, folder: Path) -> None:
    text = content.decode("utf-8", errors="replace")
    options = read_help("llama-bench", text).options
    assert all(name.startswith("-") for name in options)
    version, commit = parse_version(text)
    assert commit is None or version is not None
    tail = LogTail(200)
    for line in text.split("\n"):
        tail.add(line)
    assert len(str(tail)) <= 201
    assert len(reason(text) or "") <= 300


TARGETS = (
    Target(name="llama-bench-row", read=read_bench_row, seeds=_ROWS),
    Target(name="engine-output", read=read_said, seeds=_SAID),
)
