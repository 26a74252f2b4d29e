"""What the sequential judge costs, against a fixed number of launches that errs as seldom.

    python -m benchmarks.judge_cost [--worlds 60] [--seed 2]

The same worlds as in ``judge_simulation.py``, 1 % between launches: a matrix in which most cells did not change.
Launches stand for wall time, since a launch loads the model. A fixed number of launches is judged once, with no looks
to pay for.
"""

from __future__ import annotations

import argparse
import random

from benchmarks.judge_world import Noise, Rule, World, past, run_cell
from pytest_thor.verdict import Verdict

SHARE_CHANGED = 0.1
RULES = {
    "sequential 1:8": Rule(minimum=1, maximum=8),
    "fixed 3": Rule(minimum=3, maximum=3),
    "fixed 5": Rule(minimum=5, maximum=5),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=2)
    options = parser.parse_args()
    print(f"1 % between launches, 12 cells, 12 runs since the baseline, {options.worlds * 12} runs a row\n")
    columns = (
        "false alarms",
        "unchanged shown",
        "−5 % caught",
        "launches, unchanged",
        "launches, −5 %",
        "1 in 10 slower",
    )
    print(f"| rule | {' | '.join(columns)} |")
    print("|---|" + "---:|" * 6)
    first = Rule(minimum=1, maximum=8)
    for name, rule in RULES.items():
        world = World(noise=Noise(between=0.01), numbers=random.Random(options.seed))
        launched = {0.0: 0, -0.05: 0}
        counted = {(change, verdict): 0 for change in launched for verdict in Verdict}
        for _ in range(options.worlds):
            matrix, spreads = past(world, first, cells=12, runs=12)
            for change in launched:
                for cell in matrix:
                    judgement, launches = run_cell(world, cell, rule, change=change, spreads=spreads)
                    counted[change, judgement.verdict] += 1
                    launched[change] += len(launches)
        count = options.worlds * 12
        mean = {change: total / count for change, total in launched.items()}
        mixed = (1 - SHARE_CHANGED) * mean[0.0] + SHARE_CHANGED * mean[-0.05]
        shares = [counted[0.0, Verdict.REGRESSED], counted[0.0, Verdict.UNCHANGED], counted[-0.05, Verdict.REGRESSED]]
        told = " | ".join(f"{share / count:.2%}" for share in shares)
        print(f"| {name} | {told} | {mean[0.0]:.2f} | {mean[-0.05]:.2f} | {mixed:.2f} |", flush=True)


if __name__ == "__main__":
    main()
