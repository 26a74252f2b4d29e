"""Collecting 10,000 cells against ``parametrize`` of 10,000 items, and plain pytest with and without the plugin.

    python benchmarks/collection.py [RUNS]

Whole processes, alternating; targets: at most 1.25 times, 300 MiB, and 20 ms more.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MATRIX = """\
name: large
models:
{models}
backends:
  a: {{engine: llama-bench}}
  b: {{engine: llama-bench, settings: {{threads: 2}}}}
workloads:
  pp512: {{kind: prefill, n_prompt: 512}}
  pp2048: {{kind: prefill, n_prompt: 2048}}
  tg128: {{kind: decode, n_gen: 128}}
  tg64@4096: {{kind: decode, n_gen: 64, n_depth: 4096}}
  tg64@8192: {{kind: decode, n_gen: 64, n_depth: 8192}}
"""
MODEL = "  model-{number}: {{gguf: 'model-{number}-{{quant}}.gguf', quants: [Q2_K, Q3_K_M, Q4_0, Q4_K_S, Q4_K_M,"
MODEL += " Q5_0, Q5_K_M, Q6_K, Q8_0, F16]}}"
PLAIN = """\
import pytest

@pytest.mark.parametrize("cell", [pytest.param(i, id=f"model-Q4_K_M-llama.cpp-tg{i}") for i in range(10_000)])
def test_decode(cell): ...
"""


def run(command: list[str], folder: Path) -> tuple[float, float]:
    """Return the wall time in seconds and the peak memory in MiB of one process."""
    started = time.perf_counter()
    # Compiled modules are cached, as they are wherever Python is not told otherwise.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def compare(title: str, one: list[str], other: list[str], folder: Path, runs: int) -> None:
    """Print medians of both and of the pairs' ratio and difference."""
    run(one, folder), run(other, folder)
    pairs = [(run(one, folder), run(other, folder)) for _ in range(runs)]
    ours, plain = ([pair[side][0] for pair in pairs] for side in (0, 1))
    ratio = statistics.median(a / b for a, b in zip(ours, plain, strict=True))
    more_ms = statistics.median(a - b for a, b in zip(ours, plain, strict=True)) * 1000
    peak = max(pair[0][1] for pair in pairs)
    print(f"{title:<48} {ratio:>8.3f} {more_ms:>12.1f} {peak:>14.0f}")


def main() -> None:
    """Print the table."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = "\n".join(MODEL.format(number=number) for number in range(100))
        (folder / "large.yaml").write_text(MATRIX.format(models=models), encoding="utf-8")
        (folder / "test_plain.py").write_text(PLAIN, encoding="utf-8")
        (folder / "test_one.py").write_text("def test_one(): ...\n", encoding="utf-8")
        print(f"{'median of ' + str(runs) + ' alternating pairs':<48} {'ratio':>8} {'more, ms':>12} {'peak, MiB':>14}")
        compare(
            "collect 10,000 cells / 10,000 plain parameters",
            [*pytest, "--collect-only", "--thor-matrix", "large.yaml"],
            [*pytest, "--collect-only", "test_plain.py"],
            folder,
            runs,
        )
        compare(
            "one test, plugin installed / plugin blocked",
            [*pytest, "test_one.py"],
            [*pytest, "-p", "no:thor", "test_one.py"],
            folder,
            runs * 3,
        )


if __name__ == "__main__":
    main()
