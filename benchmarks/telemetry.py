"""Does sampling at 10 Hz disturb what it stands beside? Alternating launches of llama-bench with and without it.

    python benchmarks/telemetry.py [PAIRS] [MODEL.gguf]

Each pair is one launch of each, in an order that turns round from pair to pair, so that a machine that warms up or
cools down cancels. The change is that of the pairs' log ratios, with its 95 % interval (Student's t); the targets are
less than 1 % for pp and tg, met where the whole interval is within it, and less than 1 % of one core for the sampler's
thread. Where the interval is wider than that, the table says how many pairs would probably do. Launches are short:
it is they that differ, and not the repetitions of one. Readings per second are those of the source that is read most
often: one that is dear to read is read less. Run it on a machine that is otherwise at rest: 40 pairs of a 0.6B model on
two cores take about ten minutes.
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

TESTS = ("-p", "128", "-n", "32", "-r", "5")
PAIRS = 40
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


def said(log_ratios: list[float]) -> str:
    """Say whether the target is met, missed, or how many pairs would probably tell."""
    _, low, high = interval(log_ratios)
    if low > -TARGET and high < TARGET:
        return "met"
    if high <= -TARGET or low >= TARGET:
        return "missed"
    room = TARGET - abs(statistics.fmean(log_ratios))
    if room <= 0:
        return "not shown: too near"
    return f"not shown: about {math.ceil((1.96 * statistics.stdev(log_ratios) / room) ** 2)} pairs"


def main() -> None:
    """Print the table."""
    pairs = max(int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS, 2)
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
        shown = f"{format_percent(low, signed=True)} to {format_percent(high, signed=True)}"
        print(f"{name + ' speed':<24} {format_percent(change, signed=True):>14}   {shown:<22} below 1 %: {said(logs)}")
    cost = max(costs)
    print(f"{'sampler, of one core':<24} {format_percent(statistics.median(costs)):>14}   ", end="")
    print(f"{'at most ' + format_percent(cost):<22} below 1 %: {'met' if cost < TARGET else 'missed'}")
    scatter = ", ".join(f"{name} {format_percent(statistics.stdev(logs))}" for name, logs in ratios.items())
    print(f"{pairs} pairs, {statistics.median(rates):.1f} readings per second; a pair scatters by {scatter}")
    print(f"{program} {' '.join(TESTS)} {model.name}")


if __name__ == "__main__":
    main()
