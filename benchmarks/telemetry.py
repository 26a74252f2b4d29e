"""Does sampling at 10 Hz disturb what it stands beside? Alternating launches of llama-bench with and without it.

    python benchmarks/telemetry.py [PAIRS] [MODEL.gguf]

Each pair is one launch of each, in an order that turns round from pair to pair. The change is that of the pairs' log
ratios, with its 95 % interval (Student's t); the targets are less than 1 % for pp and tg, met where the whole interval
is within it, and less than 1 % of one core for the sampler. Run it on a machine that is otherwise at rest.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

from scipy import stats

from pytest_thor.artifacts.synthetic import make_synthetic
from pytest_thor.engines.locate import find
from pytest_thor.host.nvml import close_library, open_library
from pytest_thor.host.telemetry import Sampler, local_sources
from pytest_thor.units import format_percent

TESTS = ("-p", "256", "-n", "64", "-r", "5")
TARGET = 0.01


def speeds(program: Path, model: Path) -> dict[str, float]:
    """Return the median speed of each test of one launch, in tok/s."""
    command = [str(program), "-m", str(model), *TESTS, "-o", "jsonl"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    return {"pp" if row["n_prompt"] else "tg": statistics.median(row["samples_ts"]) for row in rows}


def interval(log_ratios: list[float]) -> tuple[float, float, float]:
    """Return the mean change and the ends of its 95 % interval, relative."""
    mean = statistics.fmean(log_ratios)
    error = statistics.stdev(log_ratios) / math.sqrt(len(log_ratios))
    reach = float(stats.t.ppf(0.975, len(log_ratios) - 1)) * error
    return math.expm1(mean), math.expm1(mean - reach), math.expm1(mean + reach)


def main() -> None:
    """Print the table."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    program = find("llama-bench", "llama-bench", None)
    cache = Path.home() / ".cache/pytest-thor/synthetic"
    model = Path(sys.argv[2]) if len(sys.argv) > 2 else make_synthetic("qwen3-0.6b", "Q4_K_M", cache=cache)
    library = open_library()
    ratios: dict[str, list[float]] = {}
    costs: list[float] = []
    rates: list[float] = []
    speeds(program, model)  # the file comes into the page cache
    for number in range(pairs):
        found: dict[bool, dict[str, float]] = {}
        for watched in (False, True) if number % 2 else (True, False):
            sampler = Sampler(local_sources(library=library), library=library) if watched else None
            with sampler or nullcontext():
                begin = time.monotonic()
                found[watched] = speeds(program, model)
                if sampler is not None:
                    costs.append(sampler.cost)
                    rates.append(sampler.between(begin, time.monotonic()).rate_hz or 0.0)
        for name, plain in found[False].items():
            ratios.setdefault(name, []).append(math.log(found[True][name] / plain))
    if library:
        close_library(library)
    print(f"{'figure':<24} {'with telemetry':>14}   {'95 % interval':<22} target")
    for name, logs in ratios.items():
        change, low, high = interval(logs)
        missed = high <= -TARGET or low >= TARGET
        met = "met" if low > -TARGET and high < TARGET else "missed" if missed else "not shown: more pairs"
        shown = f"{format_percent(low, signed=True)} to {format_percent(high, signed=True)}"
        print(f"{name + ' speed':<24} {format_percent(change, signed=True):>14}   {shown:<22} below 1 %: {met}")
    cost = max(costs)
    print(f"{'sampler, of one core':<24} {format_percent(statistics.median(costs)):>14}   ", end="")
    print(f"{'at most ' + format_percent(cost):<22} below 1 %: {'met' if cost < TARGET else 'missed'}")
    print(
        f"{pairs} pairs, {statistics.median(rates):.1f} readings per second; {program} {' '.join(TESTS)} {model.name}"
    )


if __name__ == "__main__":
    main()
