"""A known slowdown in a real engine: how often the judge finds it, against a stored baseline and in A/B.

    python benchmarks/injected_slowdown.py [--runs 10] [--slowdowns 0 0.03 0.05 0.10]

A wrapper stops the real llama-bench (SIGSTOP, SIGCONT) for that share of each 20 ms, which needs no privilege. Both
sides run under the wrapper, so that only the share differs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from pytest_thor.engines.locate import find

WRAPPER = """\
#!{python}
import os, signal, subprocess, sys, time
share, period = {share}, 0.020
engine = subprocess.Popen([{engine!r}, *sys.argv[1:]])
signal.signal(signal.SIGTERM, lambda number, frame: engine.terminate())
while share and engine.poll() is None:
    time.sleep(period * (1 - share))
    engine.send_signal(signal.SIGSTOP)
    stopped = time.perf_counter()
    time.sleep(max(period * share - 0.0001, 0))
    while time.perf_counter() - stopped < period * share:
        pass
    engine.send_signal(signal.SIGCONT)
sys.exit(engine.wait())
"""
MATRIX = """\
name: injected
models:
  qwen3-0.6b: {synthetic: qwen3-0.6b, quants: [Q8_0, Q4_K_M]}
backends:
  llama.cpp: {engine: llama-bench, settings: {threads: 2}}
workloads:
  pp64: {kind: prefill, n_prompt: 64, repetitions: 3}
  tg16: {kind: decode, n_gen: 16, repetitions: 3}
thresholds: {pp_tps: 2%, tg_tps: 2%}
"""


def wrapper(folder: Path, share: float) -> Path:
    """Write an engine that is slower by about this share, and return its path."""
    path = folder / f"llama-bench-{share:g}"
    engine = str(find("llama-bench", "llama-bench", None))
    path.write_text(WRAPPER.format(python=sys.executable, share=share, engine=engine), encoding="utf-8")
    path.chmod(0o755)
    return path


def run(folder: Path, *arguments: str) -> tuple[list[dict[str, object]], float]:
    """Run the matrix; return its cells and the wall time in seconds."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--thor-matrix", "injected.yaml", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("THOR_LLAMA")}
    started = time.perf_counter()
    subprocess.run(
        command, cwd=folder, env=environment, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wall_s = time.perf_counter() - started
    cells = json.loads((folder / "thor-report" / "report.json").read_text(encoding="utf-8"))["cells"]
    return cells, wall_s


def change_of(cell: dict[str, object]) -> float:
    """Return the change of a cell's one judged metric."""
    metrics = cell["metrics"]
    assert isinstance(metrics, dict)
    return next(float(m["change"]) for m in metrics.values() if m["change"] is not None)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--slowdowns", type=float, nargs="*", default=[0.0, 0.03, 0.05, 0.10])
    given = parser.parse_args()
    names = ("regressed", "inconclusive", "unchanged", "improved")
    print("| slowdown asked | against | measured change (median) |" + "".join(f" {n} |" for n in names) + " s a run |")
    print("|---:|---|---:|" + "---:|" * len(names) + "---:|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "injected.yaml").write_text(MATRIX, encoding="utf-8")
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        plain = wrapper(folder, 0.0)
        for _ in range(3):  # an anchor and some history
            run(folder, "--thor-engine", f"llama-bench={plain}", "--thor-update-baseline")
        for share in given.slowdowns:
            slowed = wrapper(folder, share)
            for against, option in (("baseline", ()), ("A/B", ("--thor-against", f"llama-bench={plain}"))):
                verdicts: Counter[str] = Counter()
                changes, walls = [], []
                for _ in range(given.runs):
                    cells, wall_s = run(folder, "--thor-engine", f"llama-bench={slowed}", *option)
                    verdicts.update(str(cell["verdict"]) for cell in cells)
                    changes += [change_of(cell) for cell in cells]
                    walls.append(wall_s)
                total = verdicts.total()
                shares = "".join(f" {verdicts[verdict] / total:.0%} |" for verdict in names)
                print(
                    f"| {share:.0%} | {against} | {statistics.median(changes):+.1%} |{shares}"
                    f" {statistics.median(walls):.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
