"""The readers of what an engine prints: rows, help, versions and figures, and of the logits that it keeps."""

from __future__ import annotations

import json
import math
import struct
from itertools import product
from pathlib import Path

from pytest_thor.engines.bench_rows import METRIC, BenchTest, UnreadableRowError, differences, read_row, speeds_tps
from pytest_thor.engines.kept_logits import LogitsHead, read_head
from pytest_thor.engines.llama_options import read_help
from pytest_thor.engines.llama_server_options import read_server_help
from pytest_thor.engines.log_tail import LogTail
from pytest_thor.engines.perplexity_output import Mode, PerplexityOutput
from pytest_thor.engines.process import Line, Stream
from pytest_thor.engines.server import reason
from pytest_thor.engines.version import parse_version
from tests.fuzz.target import Target, golden, written

MODES: tuple[Mode, ...] = ("perplexity", "divergence")
STREAMS: tuple[Stream, ...] = ("stdout", "stderr")
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
    for read in (read_help, read_server_help):
        assert all(name.startswith("-") for name in read("llama", text).options)
    version, commit = parse_version(text)
    assert commit is None or version is not None
    tail = LogTail(200)
    for line in text.split("\n"):
        tail.add(line)
    assert len(str(tail)) <= 201
    assert len(reason(text) or "") <= 300


_FIGURES = (
    b"""perplexity: calculating perplexity over 3 chunks, n_ctx=512, batch_size=2048, n_seq=4
1     10.1234    0.0100    0.0200
2     11.0000    0.0100    0.0200
""",
    """chunk   PPL     ln(PPL(Q)/PPL(base))     KL Divergence        \u0394p RMS      Same top p
1  7.1234 \u00b1 1.1000  0.00100 \u00b1 0.00200  0.00300 \u00b1 0.00010  1.5 \u00b1 0.2 %  97.0 \u00b1 1.0 %
Mean PPL(Q)                   :  21.384752 \u00b1   1.000000
Mean    KLD:   0.012345 \u00b1   0.000100
99.9%   KLD:   0.100000
Same top p: 96.774 \u00b1 0.187 %
""".encode(),
    b"perplexity: the data file you provided tokenizes to only 7 tokens\ninconsistent vocabulary (5 vs 7)\n",
)


def read_figures(content: bytes, folder: Path) -> None:
    for mode, stream in product(MODES, STREAMS):
        output = PerplexityOutput(mode)
        for text in content.decode("utf-8", errors="replace").split("\n"):
            output.line(Line(stream=stream, text=text))
        assert output.chunks is None or output.chunks >= 0
        assert not output.is_whole or mode == "divergence" or len(output.perplexities) == output.chunks
        assert (output.no_number is None) == all(map(math.isfinite, output.perplexities))
        assert len(output.statistics) <= content.count(b":")


_LOGITS = LogitsHead(ctx_size=8, vocabulary=5, chunks=2)
LOGITS = struct.pack("<8s3i", b"_logits_", 8, 5, 2) + bytes(_LOGITS.size_bytes - 20)


def read_logits(content: bytes, folder: Path) -> None:
    head = read_head(written(folder, "a.logits", content))
    assert head is None or head.size_bytes == len(content)


TARGETS = (
    Target(name="llama-perplexity", read=read_figures, seeds=_FIGURES),
    Target(name="kept-logits", read=read_logits, seeds=(LOGITS,)),
    Target(name="llama-bench-row", read=read_bench_row, seeds=_ROWS),
    Target(name="engine-output", read=read_said, seeds=_SAID),
)
