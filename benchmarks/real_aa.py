"""Identical runs of a matrix on this machine, in pairs: what the judge says where nothing changed.

    python benchmarks/real_aa.py [--pairs 30] [--each 1] [--matrix matrices/smoke.yaml] [-k EXPRESSION]

Each pair is a run that stores baselines and an identical one that is judged against them; ``--each 3`` judges three
runs against every such baseline. With ``--history`` all pairs share one baseline store: the first run is the anchor,
and the history grows from run to run as it does in CI.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parent.parent


def run(matrix: Path, baselines: Path, report: Path, *arguments: str) -> tuple[list[dict[str, Any]], float]:
    """Return the cells of one run's report, and its wall time in seconds."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--thor-matrix", str(matrix)]
    command += ["--thor-baseline", str(baselines), "--thor-report", str(report), *arguments]
    started = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall_s = time.perf_counter() - started
    return json.loads((report / "report.json").read_text(encoding="utf-8"))["cells"], wall_s


def told(cells: Iterable[dict[str, Any]]) -> Counter[str]:
    """Return how often each verdict was given; a cell without one counts by its outcome."""
    return Counter(cell["verdict"] or cell["outcome"] for cell in cells)


def nearest(cells: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Return the largest share of the physical limit that each metric reached."""
    found: dict[str, float] = {}
    for cell in cells:
        for name, metric in cell["metrics"].items():
            if metric["efficiency"] is not None:
                found[name] = max(found.get(name, 0.0), metric["efficiency"])
    return found


def kept(keep: Path | None, folder: Path, name: str) -> None:
    """Keep a run's report, where that was asked for."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "report" / "report.json", keep / name)


def main() -> None:
    """Print a line per pair, then the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--each", type=int, default=1, help="how many runs are judged against one baseline")
    parser.add_argument("--matrix", type=Path, default=ROOT / "matrices" / "smoke.yaml")
    parser.add_argument("--history", action="store_true", help="one baseline store for all pairs")
    parser.add_argument("--keep", type=Path, help="a folder for the report.json of every run")
    parser.add_argument("-k", dest="expression", default="")
    given = parser.parse_args()
    select = ["-k", given.expression] if given.expression else []
    stored: list[dict[str, Any]] = []
    judged: list[dict[str, Any]] = []
    walls: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for pair in range(1, given.pairs + 1):
            baselines = folder / ("all" if given.history else str((pair - 1) // given.each))
            first_s = 0.0
            if not baselines.exists():
                cells, first_s = run(given.matrix, baselines, folder / "report", "--thor-update-baseline", *select)
                stored += cells
                kept(given.keep, folder, f"{pair:02}-baseline.json")
            update = ["--thor-update-baseline"] if given.history else []
            cells, second_s = run(given.matrix, baselines, folder / "report", *update, *select)
            judged += cells
            walls.append((first_s, second_s))
            verdicts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(told(cells).items()))
            launches = sum(len(cell["launches"]) for cell in cells)
            print(f"pair {pair}: {verdicts}; {launches} launches, {second_s:.0f} s after {first_s:.0f} s", flush=True)
            for cell in cells:
                if cell["verdict"] in {"regressed", "invalid"}:
                    print(f"  {cell['reason']}", flush=True)
            kept(given.keep, folder, f"{pair:02}.json")
    launches = sum(len(cell["launches"]) for cell in judged)
    print(f"\n{given.pairs} pairs, {len(judged)} cells judged, {launches / len(judged):.2f} launches each")
    for verdict, count in told(judged).most_common():
        print(f"  {verdict:<14} {count:>5}  {count / len(judged):.1%}")
    print(f"wall time: {sum(a for a, _ in walls):.0f} s for baselines, {sum(b for _, b in walls):.0f} s judged")
    flagged = sum(cell["verdict"] == "invalid" for cell in (*stored, *judged))
    print(f"called invalid: {flagged} of {len(stored) + len(judged)} cells; the largest shares of the physical limit:")
    for metric, share in sorted(nearest((*stored, *judged)).items(), key=lambda item: -item[1]):
        print(f"  {metric:<14} {share:.0%}")


if __name__ == "__main__":
    main()
