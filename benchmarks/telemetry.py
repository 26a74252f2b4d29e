"""Does sampling at 10 Hz disturb what it stands beside? It is switched on and off while llama-bench repeats itself.

    python benchmarks/telemetry.py [MINUTES] [MODEL.gguf]

Whole launches differ by more on a shared machine than telemetry could cost, so that hundreds of pairs would be needed.
Here each test is one launch of many short repetitions, and the sampler runs for every other second of it (on, off, off,
on, …). A repetition counts where it lies within one such second, between the progress lines of llama-bench. The change
is that of the log ratios of neighbouring seconds' medians, with its 95 % interval (Student's t); the targets are less
than 1 % for pp and tg, met where the whole interval is within it, and less than 1 % of one core for the sampler's
thread. Readings per second are those of the source that is read most often: one that is dear to read is read less. Run
it on a machine that is otherwise at rest; the default takes six minutes.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from scipy import stats

from pytest_thor.artifacts.synthetic import make_synthetic
from pytest_thor.engines.locate import find
from pytest_thor.host.nvml import close_library, open_library
from pytest_thor.host.telemetry import Sampler, local_sources
from pytest_thor.units import format_percent

TESTS = {"pp": ("-p", "32", "-n", "0"), "tg": ("-p", "0", "-n", "8")}
MINUTES = 6.0
SECOND = 1.0
TARGET = 0.01


@dataclass(slots=True)
class Switched:
    """One launch with the sampler on and off in turn: when it was which, and what its thread cost."""

    spans: list[tuple[float, float, bool]] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    each_s: float = 0.0
    """What one repetition took."""

    def run(self, sampler: Callable[[], Sampler], *, until: Callable[[], bool]) -> None:
        """Switch once a second until the launch has ended: on, off, off, on."""
        number = 0
        while not until():
            if number % 4 in {0, 3}:
                with sampler() as watching:
                    begin = time.monotonic()
                    time.sleep(SECOND)
                    self.costs.append(watching.cost)
                    self.rates.append(watching.between(begin, time.monotonic()).rate_hz or 0.0)
                    self.spans.append((begin, time.monotonic(), True))
            else:
                begin = time.monotonic()
                time.sleep(SECOND)
                self.spans.append((begin, time.monotonic(), False))
            number += 1

    def log_ratios(self, begun: list[float], seconds: list[float]) -> list[float]:
        """Return log(speed with / speed without) of neighbouring seconds, from each repetition's begin and duration."""
        halves: list[tuple[bool, float]] = []
        for start, end, watched in self.spans:
            within = [took for at, took in zip(begun, seconds, strict=True) if start <= at and at + took <= end]
            if within:
                halves.append((watched, statistics.median(within)))
        pairs = zip(halves[::2], halves[1::2], strict=False)
        return [
            math.log(second / first) if first_on else math.log(first / second)
            for (first_on, first), (second_on, second) in pairs
            if first_on != second_on
        ]


def repeated(
    program: Path, model: Path, test: str, count: int, sampler: Callable[[], Sampler]
) -> tuple[list[float], Switched]:
    """Launch once with so many repetitions, switching the sampler meanwhile; return the log ratios."""
    command = [str(program), "-m", str(model), *TESTS[test], "-r", str(count), "-o", "jsonl", "--progress"]
    engine = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert engine.stdout is not None
    assert engine.stderr is not None
    begun: list[float] = []
    lines = engine.stderr

    def listen() -> None:
        begun.extend(time.monotonic() for line in lines if f"/{count}" in line and " run " in line)

    listener = threading.Thread(target=listen)
    listener.start()
    while not begun and engine.poll() is None:
        time.sleep(0.01)
    switched = Switched()
    switched.run(sampler, until=lambda: engine.poll() is not None)
    listener.join()
    rows = [json.loads(line) for line in engine.stdout.read().splitlines() if line.startswith("{")]
    seconds = [sample / 1e9 for sample in rows[0]["samples_ns"]]
    switched.each_s = statistics.fmean(seconds)
    return switched.log_ratios(begun[-len(seconds) :], seconds), switched


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
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES
    program = find("llama-bench", "llama-bench", None)
    cache = Path.home() / ".cache/pytest-thor/synthetic"
    model = Path(sys.argv[2]) if len(sys.argv) > 2 else make_synthetic("qwen3-0.6b", "Q4_K_M", cache=cache)
    library = open_library()

    def sampler() -> Sampler:
        return Sampler(local_sources(library=library), library=library)

    ratios: dict[str, list[float]] = {}
    costs: list[float] = []
    rates: list[float] = []
    for test in TESTS:
        _, tried = repeated(program, model, test, 20, sampler)  # the file comes into the page cache, too
        count = max(20, round(minutes * 60 / len(TESTS) / tried.each_s))
        ratios[test], switched = repeated(program, model, test, count, sampler)
        costs += switched.costs
        rates += switched.rates
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
    scatter = ", ".join(
        f"{name} {format_percent(statistics.stdev(logs))} ({len(logs)} pairs)" for name, logs in ratios.items()
    )
    print(f"{statistics.median(rates):.1f} readings per second; a pair of seconds scatters by {scatter}")
    print(f"{program} {TESTS} {model.name}")


if __name__ == "__main__":
    main()
