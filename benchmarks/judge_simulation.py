"""How often the judge is wrong: simulated launches through the real judge and the real stopping rule.

    python -m benchmarks.judge_simulation [--worlds 80] [--seed 1] [--launches 1:8] [--runs 12]

Each world is a matrix of 12 cells with what the product would have stored of it: a baseline of MAX launches and a
history of runs that each ended when the judge was satisfied. Then every cell is run again at a known change. Samples
within a launch have noise of 0.4 %, and 2 % of them are outliers, 15 % slower. The columns of other tools judge the
same first launch.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from benchmarks.judge_peers import PEERS
from benchmarks.judge_world import METRIC, Noise, Rule, World, past, run_cell
from pytest_thor.judge.multiplicity import adjust
from pytest_thor.judge.spread import Spread
from pytest_thor.verdict import Verdict

CELLS = 12
CHANGES = (0.0, -0.02, -0.03, -0.05, -0.10)
SHOWN = (Verdict.REGRESSED, Verdict.INCONCLUSIVE, Verdict.UNCHANGED, Verdict.IMPROVED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What happened over many runs: the share of each verdict, the mean number of launches, and what others say."""

    shares: Mapping[Verdict, float]
    mean_launches: float
    peers: Mapping[str, float]


def simulate(
    noise: Noise, *, rule: Rule, runs: int, worlds: int, seed: int, known: Mapping[str, Spread] | None = None
) -> Iterator[tuple[float, Rates]]:
    """Yield, per true change, how often each verdict falls; ``known`` spreads replace history and what it shows."""
    verdicts: dict[float, Counter[Verdict]] = {change: Counter() for change in CHANGES}
    slower: dict[float, Counter[str]] = {change: Counter() for change in CHANGES}
    launched = dict.fromkeys(CHANGES, 0)
    world = World(noise=noise, numbers=random.Random(f"{seed} {noise}"))
    for _ in range(worlds):
        matrix, spreads = past(world, rule, cells=CELLS, runs=runs)
        for cell in matrix:
            told = cell if known is None else replace(cell, history=[])
            stored = [launch[METRIC] for launch in cell.baseline]
            for change in CHANGES:
                judgement, launches = run_cell(
                    world, told, rule, change=change, spreads=spreads if known is None else known
                )
                verdicts[change][judgement.verdict] += 1
                launched[change] += len(launches)
                slower[change].update(name for name, says in PEERS.items() if says(stored, launches[0][METRIC]))
    count = worlds * CELLS
    for change in CHANGES:
        yield (
            change,
            Rates(
                shares={verdict: verdicts[change][verdict] / count for verdict in Verdict},
                mean_launches=launched[change] / count,
                peers={name: slower[change][name] / count for name in PEERS},
            ),
        )


def false_discoveries(
    noise: Noise, *, rule: Rule, runs: int, worlds: int, seed: int, changed: int
) -> tuple[float, float, float, float]:
    """Run matrices in which so many of the cells are 5 % slower, each to its own end, and adjust what they say.

    Returns the mean share of unchanged cells among those called changed, before and after adjusting, and the share of
    slower cells that are called regressed, before and after.
    """
    world = World(noise=noise, numbers=random.Random(f"{seed} {noise} {changed}"))
    totals = [0.0, 0.0, 0.0, 0.0]
    for _ in range(worlds):
        matrix, spreads = past(world, rule, cells=CELLS, runs=runs)
        alone = {
            number: run_cell(world, cell, rule, change=-0.05 if number < changed else 0.0, spreads=spreads)[0]
            for number, cell in enumerate(matrix)
        }
        for place, judgements in enumerate((alone, adjust(alone, planned=CELLS))):
            called = {
                number
                for number, judgement in judgements.items()
                if judgement.verdict in {Verdict.REGRESSED, Verdict.IMPROVED}
            }
            totals[place] += sum(number >= changed for number in called) / max(1, len(called))
            totals[place + 2] += sum(number < changed for number in called) / max(1, changed)
    before, after, power_before, power_after = (total / worlds for total in totals)
    return before, after, power_before, power_after


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    rule: Rule
    worlds: int
    seed: int

    def rows(
        self, title: str, noises: Mapping[str, Noise], *, runs: int, known: Mapping[str, Spread] | None = None
    ) -> None:
        """Print one table."""
        print(f"\n{title}\n")
        print("| noise | change | " + " | ".join(map(str, SHOWN)) + " | launches | " + " | ".join(PEERS) + " |")
        print("|" + "---:|" * (len(SHOWN) + len(PEERS) + 3))
        for name, noise in noises.items():
            found = simulate(noise, rule=self.rule, runs=runs, worlds=self.worlds, seed=self.seed, known=known)
            for change, rates in found:
                shares = " | ".join(f"{rates.shares[verdict]:.2%}" for verdict in SHOWN)
                peers = " | ".join(f"{share:.1%}" for share in rates.peers.values())
                print(f"| {name} | {change:.0%} | {shares} | {rates.mean_launches:.2f} | {peers} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=80)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--launches", default="1:8", metavar="MIN:MAX")
    given = parser.parse_args()
    minimum, maximum = (int(part) for part in given.launches.split(":"))
    rule = Rule(minimum=minimum, maximum=maximum)
    between = {f"{noise:.1%}": Noise(between=noise) for noise in (0.003, 0.01, 0.02)}
    print(
        f"decode speed, threshold 3 %, {given.launches} launches of 5 samples, {CELLS} cells,"
        f" {given.worlds * CELLS} runs a row, seed {given.seed}; the columns after launches: called slower by others"
    )
    plan = _Plan(rule=rule, worlds=given.worlds, seed=given.seed)
    plan.rows(f"A baseline and {given.runs} runs since", between, runs=given.runs)
    plan.rows("A baseline and no run since", between, runs=0)
    drifting = {"0.5% + 2.0% runs": Noise(between=0.005, runs=0.02)}
    plan.rows("Runs differ by 2 %, their launches by 0.5 %", drifting, runs=given.runs)
    blind = {METRIC: Spread(launch_sd=0.0055, launch_df=50.0, run_sd=0.0, run_df=1e6)}
    plan.rows("The same, if the judge knew of no spread between runs", drifting, runs=0, known=blind)
    print(f"\nMatrices of {CELLS} cells, some of them 5 % slower: false discoveries, and slower cells found\n")
    print(
        "| noise | slower cells | false, each by itself | false, adjusted | found, each by itself | found, adjusted |"
    )
    print("|" + "---:|" * 6)
    for name, noise in between.items():
        for changed in (0, 1, 4):
            rates = false_discoveries(
                noise, rule=rule, runs=given.runs, worlds=given.worlds, seed=given.seed, changed=changed
            )
            shown = [f"{rate:.2%}" for rate in rates]
            found = shown[2:] if changed else ["—", "—"]
            print(f"| {name} | {changed} | {' | '.join([*shown[:2], *found])} |", flush=True)


if __name__ == "__main__":
    main()
