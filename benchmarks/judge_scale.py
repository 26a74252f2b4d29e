"""How long the verdicts of a very large matrix take, and how much memory.

    python -m benchmarks.judge_scale [--cells 10000] [--runs 20]

Each cell has a baseline of 6 launches, a history of 20 runs of one launch, and one new launch; a tenth is serving with
40 requests a launch, the rest decode. Timed is what the product does with them: spreads, every verdict, q-values.
"""

from __future__ import annotations

import argparse
import math
import random
import resource
import time
from collections import Counter

from pytest_thor.cell import Kind
from pytest_thor.judge.compare import judge_cell
from pytest_thor.judge.history import PastRun, launch_values
from pytest_thor.judge.multiplicity import adjust
from pytest_thor.judge.spread import CellPast, estimate_spreads
from pytest_thor.measurement import Samples


def launch(numbers: random.Random, kind: Kind, level: float) -> Samples:
    """Return one launch's samples."""

    def around(value: float, count: int) -> tuple[float, ...]:
        centre = value * math.exp(numbers.gauss(0, 0.008))
        return tuple(centre * math.exp(numbers.gauss(0, 0.004)) for _ in range(count))

    if kind == "decode":
        return {"tg_tps": around(40 * level, 5)}
    return {"output_tps": around(80 * level, 1), "ttft_ms": around(100 / level, 40), "tpot_ms": around(20 / level, 40)}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    numbers = random.Random(1)
    pasts: list[CellPast] = []
    current: list[Samples] = []
    for number in range(options.cells):
        kind: Kind = "serving" if number % 10 == 0 else "decode"
        history = [
            PastRun(finished_at=f"{run:03}", values=(launch_values(launch(numbers, kind, 1.0)),))
            for run in range(options.runs)
        ]
        pasts.append(CellPast(kind=kind, baseline=[launch(numbers, kind, 1.0) for _ in range(6)], history=history))
        current.append(launch(numbers, kind, 0.9 if number % 50 == 0 else 1.0))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, computed = time.perf_counter(), time.process_time()
    spreads = estimate_spreads(pasts)
    estimated = time.perf_counter()
    judgements = {
        number: judge_cell(
            title="cell",
            kind=past.kind,
            thresholds={},
            baseline=past.baseline,
            launches=[current[number]],
            history=past.history,
            spreads=spreads,
            look=1,
            looks=8,
        )
        for number, past in enumerate(pasts)
    }
    judged = time.perf_counter()
    adjusted = adjust(judgements, planned=len(pasts))
    ended = time.perf_counter()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    verdicts = Counter(str(judgement.verdict) for judgement in adjusted.values())
    print(f"{options.cells} cells, {options.runs} runs of history each\n")
    print("| step | seconds |\n|---|---:|")
    print(f"| spreads of all cells | {estimated - began:.2f} |")
    print(f"| verdicts | {judged - estimated:.2f} |")
    print(f"| q-values | {ended - judged:.2f} |")
    print(f"| together | {ended - began:.2f} |")
    print(f"| of this process | {time.process_time() - computed:.2f} |")
    print(f"\npeak memory {after / 1024:.0f} MiB, of which the stored figures {before / 1024:.0f}; {dict(verdicts)}")


if __name__ == "__main__":
    main()
