"""How often the judge is wrong: simulated launches through the real ``compare`` and the real stopping rule.

    python benchmarks/judge_simulation.py [--runs 2000] [--seed 1]

Each run draws a baseline of 5 launches, and launches of 5 samples of a cell whose true speed differs by a known change,
until the rule stops. One row per noise and change: the share of each verdict, and the mean number of launches.
"""

from __future__ import annotations

import argparse
import math
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_thor.judge.compare import judge_cell
from pytest_thor.judge.policy import needs_another_launch
from pytest_thor.verdict import Verdict

WITHIN = 0.004
SAMPLES = 5
THRESHOLDS = {"tg_tps": 0.03}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What happened over many runs: the share of each verdict, and the mean number of launches."""

    shares: Mapping[Verdict, float]
    mean_launches: float


def launch(random_numbers: random.Random, *, speed: float, between: float) -> dict[str, tuple[float, ...]]:
    """Return one launch's samples around ``speed``, with relative noise between and within launches."""
    centre = speed * math.exp(random_numbers.gauss(0, between))
    return {"tg_tps": tuple(centre * math.exp(random_numbers.gauss(0, WITHIN)) for _ in range(SAMPLES))}


def simulate(
    *, between: float, change: float, runs: int, seed: int, baseline_launches: int, minimum: int, maximum: int
) -> Rates:
    """Return how often each verdict falls when the true speed differs by ``change`` (−0.05 is 5 % slower)."""
    random_numbers = random.Random(f"{seed} {between} {change}")
    verdicts: Counter[Verdict] = Counter()
    total = 0
    for _ in range(runs):
        baseline = [launch(random_numbers, speed=40, between=between) for _ in range(baseline_launches)]
        launches: list[dict[str, tuple[float, ...]]] = []
        again = True
        while again:
            launches.append(launch(random_numbers, speed=40 * (1 + change), between=between))
            judgement = judge_cell(
                title="cell", kind="decode", thresholds=THRESHOLDS, baseline=baseline, launches=launches
            )
            again = needs_another_launch(judgement, launches=len(launches), minimum=minimum, maximum=maximum)
        verdicts[judgement.verdict] += 1
        total += len(launches)
    shares = {verdict: verdicts[verdict] / runs for verdict in Verdict}
    return Rates(shares=shares, mean_launches=total / runs)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--baseline-launches", type=int, default=5)
    parser.add_argument("--launches", default="3:5", metavar="MIN:MAX")
    options = parser.parse_args()
    minimum, maximum = (int(part) for part in options.launches.split(":"))
    shown = (Verdict.REGRESSED, Verdict.INCONCLUSIVE, Verdict.UNCHANGED, Verdict.IMPROVED)
    print(
        f"decode speed, threshold 3 %, {options.baseline_launches} baseline launches, {options.launches} launches,"
        f" {SAMPLES} samples a launch with {WITHIN:.1%} noise; {options.runs} runs a row, seed {options.seed}\n"
    )
    print("| noise between | true change | " + " | ".join(map(str, shown)) + " | mean launches |")
    print("|" + "---:|" * (len(shown) + 3))
    for between in (0.003, 0.01, 0.02):
        for change in (0.0, -0.02, -0.03, -0.05, -0.10):
            rates = simulate(
                between=between,
                change=change,
                runs=options.runs,
                seed=options.seed,
                baseline_launches=options.baseline_launches,
                minimum=minimum,
                maximum=maximum,
            )
            shares = " | ".join(f"{rates.shares[verdict]:.2%}" for verdict in shown)
            print(f"| {between:.1%} | {change:.0%} | {shares} | {rates.mean_launches:.2f} |", flush=True)


if __name__ == "__main__":
    main()
