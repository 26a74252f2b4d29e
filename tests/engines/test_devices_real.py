"""Two CPU sets side by side, with the real engines: each bound to its own, with threads for it and no more."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(
        len(os.sched_getaffinity(0)) < 2, reason="two CPU sets need two CPUs that this process may run on"
    ),
]

CPUS = sorted(os.sched_getaffinity(0))
MATRIX = """\
name: sets
models:
  tiny: {synthetic: qwen3-tiny, quants: [F16, Q8_0]}
backends:
  llama.cpp: {engine: llama-bench}
  in-process: {engine: llama-cpp-python}
workloads:
  pp64: {kind: prefill, n_prompt: 64, repetitions: 2}
"""
EVERY_ENGINE = """\
name: every
models:
  tiny: {synthetic: qwen3-tiny, quants: [F16]}
backends:
  llama-bench: {engine: llama-bench}
  llama-cpp-python: {engine: llama-cpp-python}
  llama-server: {engine: llama-server, settings: {ctx_size: 512}}
  llama-perplexity: {engine: llama-perplexity}
workloads:
  tg64: {kind: decode, n_gen: 64, repetitions: 3}
  load: {kind: serving, input_len: 32, output_len: 32, num_prompts: 4, max_concurrency: 1}
  words: {kind: quality, text: words.txt, ctx_size: 128, chunks: 8}
"""
VLLM = """\
name: every
models:
  tiny: {synthetic: qwen3-tiny, quants: [BF16]}
backends:
  vllm: {engine: vllm, settings: {max_model_len: 512, enforce_eager: true, cpu_kvcache_space_gib: 1}, timeout: 10m}
workloads:
  load: {kind: serving, input_len: 32, output_len: 32, num_prompts: 4, max_concurrency: 1}
"""
PROGRAMS = {
    "llama-bench": "llama-bench",
    "llama-cpp-python": "llama_cpp_worker.py",
    "llama-server": "llama-server",
    "llama-perplexity": "llama-perplexity",
}


@pytest.fixture
def place(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("THOR_CACHE", str(pytester.path / "cache"))
    (pytester.path / "pyproject.toml").write_text("")
    return pytester.path


def test_each_set_has_threads_for_itself(place: Path, pytester: pytest.Pytester) -> None:
    (place / "sets.yaml").write_text(MATRIX)
    devices = ("--thor-device", f"left=cpus:{CPUS[0]}", "--thor-device", f"right=cpus:{CPUS[-1]}")

    result = pytester.runpytest_subprocess("--thor-matrix", "sets.yaml", "--thor-launches=1", "-n", "auto", *devices)

    result.assert_outcomes(passed=4)
    lines = (place / "thor-report" / "journal.jsonl").read_text().splitlines()
    entries: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert {entry["device"] for entry in entries} == {"left", "right"}
    assert {entry["launch"]["evidence"]["n_threads"] for entry in entries} == {1}
    report = json.loads((place / "thor-report" / "report.json").read_text())
    assert report["environment"]["device"] == "left, right"


def allowed_to(process: psutil.Process) -> Iterator[str]:
    """The CPUs that each thread of a living process may run on, as the kernel lists them."""
    with suppress(OSError):
        for status in Path(f"/proc/{process.pid}/task").glob("*/status"):
            with suppress(OSError):  # it has ended by now
                match = re.search(r"^Cpus_allowed_list:\s*(\S+)$", status.read_text(), re.MULTILINE)
                assert match
                yield match[1]


def engine_of(process: psutil.Process) -> str | None:
    with suppress(psutil.Error):
        words = [Path(word).name for word in process.cmdline()]
        if process.name().startswith("VLLM") or "vllm.entrypoints.openai.api_server" in words:
            return "vllm"
        is_launch = any(word in words for word in ("-m", "llama_cpp_worker.py")) and "--identify" not in words
        return next((name for name, word in PROGRAMS.items() if is_launch and word in words), None)
    return None


def watched(place: Path, matrix: str) -> dict[str, set[str]]:
    """Measure on the last CPU, and return on which ones the threads of each engine were seen to be allowed."""
    (place / "every.yaml").write_text(matrix)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--thor-matrix", "every.yaml"]
    command += ["--thor-launches=1", "--thor-device", f"cpus:{CPUS[-1]}"]
    seen: dict[str, set[str]] = {}
    with (place / "said").open("w") as said, subprocess.Popen(command, cwd=place, stdout=said, stderr=said) as run:
        while run.poll() is None:
            with suppress(psutil.Error):
                for process in psutil.Process(run.pid).children(recursive=True):
                    name = engine_of(process)
                    if name is not None:
                        seen.setdefault(name, set()).update(allowed_to(process))
            with suppress(subprocess.TimeoutExpired):
                run.wait(0.02)
    assert run.returncode == 0, (place / "said").read_text()
    return seen


def test_every_thread_of_every_engine_is_bound_to_the_set(place: Path) -> None:
    (place / "words.txt").write_text(" ".join(f"word{number}" for number in range(2000)))

    assert watched(place, EVERY_ENGINE) == {name: {str(CPUS[-1])} for name in PROGRAMS}


@pytest.mark.vllm
@pytest.mark.skipif("THOR_VLLM" not in os.environ, reason="THOR_VLLM names no vLLM; `make test-vllm` makes one")
def test_vllm_with_its_workers_is_bound_to_the_set_too(place: Path) -> None:
    assert watched(place, VLLM) == {"vllm": {str(CPUS[-1])}}
