"""How often a change point is told where there is none, and how soon and how exactly where there is one.

    python benchmarks/change_points.py [--runs 2000] [--seed 1]
    python benchmarks/change_points.py --null [--runs 40000]

Histories are simulated: noise of 1 % from run to run, normal or with every twentieth run astray by 10 %, independent
or carried over from run to run (autoregressive). ``--null`` prints the table of the null law that change_points.py
holds.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Callable
from statistics import median

from pytest_thor.judge.change_points import NULL_LEVELS, change_points, largest_split

NULL_RUNS = (8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 24, 32, 48, 64, 96, 128, 200)
LENGTHS = (10, 20, 50, 100, 200)
NOISE = 0.01
NEAR = 3  # runs


def history(numbers: random.Random, length: int, *, carried: float = 0.0, astray: float = 0.0) -> list[float]:
    """Return the speeds of so many runs around 40 tok/s that do not change."""
    logs = []
    last = numbers.gauss(0, NOISE)
    for _ in range(length):
        logs.append(last + (numbers.choice((-0.1, 0.1)) if numbers.random() < astray else 0.0))
        last = carried * last + numbers.gauss(0, NOISE * math.sqrt(1 - carried**2))
    return [40 * math.exp(log) for log in logs]


def false_alarms(runs: int, seed: int) -> None:
    """Print the share of unchanged histories in which a change is told."""
    kinds: dict[str, Callable[[random.Random, int], list[float]]] = {
        "independent": history,
        "5 % astray": lambda numbers, length: history(numbers, length, astray=0.05),
        "carried over 0.3": lambda numbers, length: history(numbers, length, carried=0.3),
        "carried over 0.6": lambda numbers, length: history(numbers, length, carried=0.6),
    }
    print(f"{'false alarms, % of histories':<34}" + "".join(f"{length:>9}" for length in LENGTHS))
    for title, draw in kinds.items():
        shares = []
        for length in LENGTHS:
            numbers = random.Random(f"{seed} {title} {length}")
            shares.append(sum(bool(change_points(draw(numbers, length))) for _ in range(runs)) / runs)
        print(f"{title:<34}" + "".join(f"{100 * share:>9.2f}" for share in shares))


def found(runs: int, seed: int) -> None:
    """Print the share of changed histories in which exactly one change is told, near where it is."""
    print(f"\n{'one change, found within 3 runs, %':<34}" + "".join(f"{length:>9}" for length in LENGTHS))
    for change in (-0.02, -0.03, -0.05, 0.05):
        for share, astray in ((0.5, 0.0), (0.8, 0.0), (0.5, 0.05)):
            row = []
            for length in LENGTHS:
                numbers = random.Random(f"{seed} {change} {share} {length} {astray}")
                cut = round(length * share)
                hits = 0
                for _ in range(runs):
                    values = history(numbers, length, astray=astray)
                    told = change_points([v * (1 + change) if i >= cut else v for i, v in enumerate(values)])
                    hits += len(told) == 1 and abs(told[0].index - cut) <= NEAR
                row.append(hits / runs)
            title = f"{change:+.0%} after {share:.0%}{', 5 % astray' if astray else ''}"
            print(f"{title:<34}" + "".join(f"{100 * hit:>9.1f}" for hit in row))


def delay(runs: int, seed: int) -> None:
    """Print how many runs after a change of level it is told, with 30 runs before it."""
    print(f"\n{'runs until it is told':<34}{'median':>9}{'within 15, %':>14}")
    for change in (-0.02, -0.03, -0.05, -0.10):
        numbers = random.Random(f"{seed} {change}")
        delays = []
        for _ in range(runs):
            values = history(numbers, 45)
            values = [v * (1 + change) if i >= 30 else v for i, v in enumerate(values)]
            delays.append(next((n for n in range(4, 16) if change_points(values[: 30 + n])), 99))
        within = sum(each < 99 for each in delays) / runs
        print(f"{f'{change:+.0%}':<34}{median(delays):>9.0f}{100 * within:>14.1f}")


def null(runs: int, seed: int) -> None:
    """Print what the statistic reaches with at most each probability where runs are exchangeable, rounded down."""
    print("NULL = {")
    for count in NULL_RUNS:
        numbers = random.Random(f"{seed} {count}")
        drawn = sorted((largest_split([numbers.random() for _ in range(count)])[0] for _ in range(runs)), reverse=True)
        atoms = sorted({round(value, 6) for value in drawn}, reverse=True)
        reached = 0
        shares = []
        for atom in atoms:
            while reached < runs and drawn[reached] >= atom - 1e-6:
                reached += 1
            shares.append(reached / runs)
        rare = [[atom for atom, share in zip(atoms, shares, strict=True) if share <= level] for level in NULL_LEVELS]
        row = ", ".join(f"{math.floor(1000 * least[-1]) / 1000:.3f}" if least else "_NEVER" for least in rare)
        print(f"    {count}: ({row}),", flush=True)
    print("}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--null", action="store_true")
    options = parser.parse_args()
    if options.null:
        null(options.runs or 40_000, options.seed)
        return
    runs = options.runs or 2000
    false_alarms(runs, options.seed)
    found(max(runs // 10, 20), options.seed)
    delay(max(runs // 10, 20), options.seed)


if __name__ == "__main__":
    main()
