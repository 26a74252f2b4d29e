"""A whole run against a hand-written shell loop of llama-bench: same models, workloads, repetitions and launches.

    python benchmarks/overhead.py [PAIRS]

Whole processes, alternating; the target is at most 1.05 times the loop's wall time plus one second.
"""

from __future__ import annotations

import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pytest_thor.artifacts.synthetic import make_synthetic
from pytest_thor.engines.locate import find

LAUNCHES = 3
QUANTS = ("Q8_0", "Q4_K_M")
MATRIX = """\
name: overhead
models:
  qwen3-0.6b: {synthetic: qwen3-0.6b, quants: [Q8_0, Q4_K_M]}
backends:
  llama.cpp: {engine: llama-bench, settings: {threads: 2}}
workloads:
  pp128: {kind: prefill, n_prompt: 128, repetitions: 3}
  tg32: {kind: decode, n_gen: 32, repetitions: 3}
"""


def wall_s(command: list[str], folder: Path) -> float:
    """Return the wall time of one process, which must succeed."""
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def cache() -> Path:
    """Return the folder that pytest-thor keeps synthetic models in."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pytest-thor"
    return Path(os.environ.get("THOR_CACHE") or home) / "synthetic"


def main() -> None:
    """Print the table."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    program = find("llama-bench", "llama-bench", None)
    models = [make_synthetic("qwen3-0.6b", quant, cache=cache()) for quant in QUANTS]
    loop = "set -e; for model in {}; do for launch in {}; do {} -m $model -t 2 -p 128 -n 32 -r 3 -o jsonl; done; done"
    loop = loop.format(
        " ".join(shlex.quote(str(model)) for model in models),
        " ".join(str(number) for number in range(LAUNCHES)),
        shlex.quote(str(program)),
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "overhead.yaml").write_text(MATRIX, encoding="utf-8")
        ours = [sys.executable, "-m", "pytest", "--thor-matrix", "overhead.yaml", "-p", "no:cacheprovider"]
        ours += ["--thor-launches", str(LAUNCHES)]
        wall_s(["sh", "-c", loop], folder)
        times = [(wall_s(ours, folder), wall_s(["sh", "-c", loop], folder)) for _ in range(pairs)]
    ratio = statistics.median(a / b for a, b in times)
    more_s = statistics.median(a - 1.05 * b for a, b in times)
    print(f"{'pairs':>6} {'ratio':>8} {'beyond 1.05 times the loop, s (target: at most 1)':>52}")
    print(f"{pairs:>6} {ratio:>8.3f} {more_s:>52.2f}")


if __name__ == "__main__":
    main()
