"""Identical runs of a matrix on this machine, in pairs: what the judge says where nothing changed.

    python benchmarks/real_aa.py [--pairs 30] [--matrix matrices/smoke.yaml] [-k EXPRESSION]

Each pair is a run that stores baselines and a second, identical one that is judged against them. With ``--history`` all
pairs share one baseline store: the first run is the anchor, and the history grows from run to run as it does in CI.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(matrix: Path, baselines: Path, report: Path, *arguments: str) -> tuple[Counter[str], int, float]:
    """Return the verdicts of one run, its launches, and its wall time in seconds."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--thor-matrix", str(matrix)]
    command += ["--thor-baseline", str(baselines), "--thor-report", str(report), *arguments]
    started = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall_s = time.perf_counter() - started
    cells = json.loads((report / "report.json").read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        if cell["verdict"] == "regressed":
            print(f"  {cell['reason']}", flush=True)
    return Counter(cell["verdict"] or cell["outcome"] for cell in cells), sum(len(c["launches"]) for c in cells), wall_s


def main() -> None:
    """Print a line per pair, then the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--matrix", type=Path, default=ROOT / "matrices" / "smoke.yaml")
    parser.add_argument("--history", action="store_true", help="one baseline store for all pairs")
    parser.add_argument("-k", dest="expression", default="")
    given = parser.parse_args()
    select = ["-k", given.expression] if given.expression else []
    total: Counter[str] = Counter()
    launches = 0
    walls: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for pair in range(given.pairs):
            baselines = folder / ("all" if given.history else str(pair))
            first_s = 0.0
            if not given.history or pair == 0:
                _, _, first_s = run(given.matrix, baselines, folder / "report", "--thor-update-baseline", *select)
            update = ["--thor-update-baseline"] if given.history else []
            verdicts, taken, second_s = run(given.matrix, baselines, folder / "report", *update, *select)
            total += verdicts
            launches += taken
            walls.append((first_s, second_s))
            told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
            print(f"pair {pair + 1}: {told}; {taken} launches, {second_s:.0f} s after {first_s:.0f} s", flush=True)
    cells = total.total()
    print(f"\n{given.pairs} pairs, {cells} cells judged, {launches / cells:.2f} launches each")
    for verdict, count in total.most_common():
        print(f"  {verdict:<14} {count:>5}  {count / cells:.1%}")
    print(f"wall time: {sum(a for a, _ in walls):.0f} s for baselines, {sum(b for _, b in walls):.0f} s judged")


if __name__ == "__main__":
    main()
