"""Runs that are killed, stopped, starved and cut at random points, and resumed: what is left, lost or wrong afterwards.

    python -m benchmarks.fault_harness [--kills 200] [--each 10] [--real] [--seed N] [--verbose]

The first row is one run: killed so many times in any of its parts, resumed each time that pytest was, and at last left
in peace. It must come to what a run comes to that nothing struck: the same cells, measured by as many launches, each of
them whole, with the same verdicts and exit status. Each other row is one kind of fault, and as many strikes as
``--each`` says. After every strike the device is taken as soon as it is free: nothing of an engine may be left then.
Engines are stubs that take their time, with a baseline and one workload that is slower than it; ``--real`` takes
llama-bench on a synthetic model for the rows that kill or stop a part. The exit status is 1 where anything did not
hold; what it was is told below the table, with where it struck.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

from pytest_thor.artifacts.synthetic import make_synthetic
from tests.faults.checks import COLUMNS
from tests.faults.machine import Clock, Disk
from tests.faults.network import Cutting, served, suffer_cuts
from tests.faults.ordeal import Tally, suffer
from tests.faults.scene import Part, Scene
from tests.faults.strikes import Fault, Kill, KillTogether, Stop, Volley, few_descriptors, files_cut

_LAUNCHES_A_KILL = 3.5
"""A run that is killed so many times has more to do than it gets done before the last of them."""
_LAUNCHES = 5
_ENDS: tuple[tuple[Part, signal.Signals], ...] = (
    ("pytest", signal.SIGKILL),
    ("pytest", signal.SIGINT),
    ("pytest", signal.SIGTERM),
    ("engine", signal.SIGKILL),
    ("engine", signal.SIGTERM),
    ("supervisor", signal.SIGKILL),
    ("supervisor", signal.SIGTERM),
)
_WORKER_ENDS: tuple[tuple[Part, signal.Signals], ...] = (("worker", signal.SIGKILL), ("worker", signal.SIGTERM))
_CUTTINGS = (
    Cutting(kind="reset", longest_s=0.0),
    Cutting(kind="refuse", longest_s=2.0),
    Cutting(kind="stall", longest_s=2.0),
)


def main() -> int:
    """Print the table; return 1 where something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="how often the one run is killed (default: 200)")
    parser.add_argument("--each", type=int, default=10, help="how often each other fault strikes (default: 10)")
    parser.add_argument("--real", action="store_true", help="the real llama-bench instead of a stub")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--verbose", action="store_true", help="a line for every strike, on standard error")
    given = parser.parse_args()
    engine = "the real llama-bench" if given.real else "stub engines"
    print(f"seed {given.seed}, {engine}\n", flush=True)
    print("| fault | strikes | runs done | " + " | ".join(COLUMNS) + " |")
    print("|---|" + "---:|" * (len(COLUMNS) + 2), flush=True)
    started = time.monotonic()
    tallies = []
    with tempfile.TemporaryDirectory(prefix="fault-harness-") as folder:
        for tally in _tallies(given, Path(folder)):
            tallies.append(tally)
            counts = " | ".join(str(tally.counts[column]) for column in COLUMNS)
            print(f"| {tally.fault} | {tally.strikes} | {tally.runs_completed} | {counts} |", flush=True)
    strikes = sum(tally.strikes for tally in tallies)
    found = [sentence for tally in tallies for sentence in tally.told]
    print(f"\n{strikes} strikes in {(time.monotonic() - started) / 60:.0f} min, {len(found)} of them told of a fault")
    for sentence in found:
        print(f"\n{sentence}")
    return 1 if found else 0


def _tallies(given: argparse.Namespace, folder: Path) -> Iterator[Tally]:
    model = make_synthetic("qwen3-tiny", "F16", cache=folder / "synthetic")
    random = Random(given.seed)
    on_step: Callable[[str], None] = _tell if given.verbose else lambda _: None
    kills = [Kill(part=part, number=number) for part, number in _ENDS]
    if given.kills:
        yield _one_run(folder / "one", model, kills, random, given=given, on_step=on_step)
    if given.each:
        scene = Scene(folder / "each", model, real=given.real)
        scene.store_baseline()
        if not given.real:
            scene.script(helper=True)
        others: list[Fault] = [Kill(part=part, number=number) for part, number in _WORKER_ENDS]
        others.append(KillTogether())
        for fault in [*kills, *others, *_stops(real=given.real), *([] if given.real else _machine())]:
            with suppress(PermissionError):  # nobody may mount a file system here
                yield suffer(scene, [fault], random, strikes=given.each, on_step=on_step)
    if given.each and not given.real:
        with served(folder / "served", model) as (served_scene, proxy):
            for cutting in _CUTTINGS:
                yield suffer_cuts(served_scene, proxy, [cutting], random, strikes=given.each)


def _one_run(
    root: Path,
    model: Path,
    kills: list[Kill],
    random: Random,
    *,
    given: argparse.Namespace,
    on_step: Callable[[str], None],
) -> Tally:
    """Kill one run again and again: it has enough to do to be struck in its midst each time."""
    backends = max(round(given.kills * _LAUNCHES_A_KILL / _LAUNCHES / 3), 1)
    scene = Scene(root, model, backends=backends, real=given.real)
    scene.launches = _LAUNCHES
    scene.store_baseline()
    volley = Volley(
        name="one run, any part killed",
        before=[kill for kill in kills if kill.part != "pytest"],
        last=[kill for kill in kills if kill.part == "pytest"],
        most=2,
    )
    tally = suffer(scene, [volley], random, strikes=given.kills, on_step=on_step)
    print(
        f"one run of {len(scene.cells)} cells × {_LAUNCHES} launches; {len(scene.finished)} launches when it was done",
        file=sys.stderr,
    )
    return tally


def _stops(*, real: bool) -> list[Fault]:
    stops: list[Fault] = [
        Stop(part="pytest"),
        Stop(part="supervisor"),
        Stop(part="engine"),
        Stop(part="pytest", share=0.8),
    ]
    # A stub claims its speed whatever becomes of it: starved for long it would be a liar, and called one.
    return [*stops, Stop(part="engine", share=0.8)] if real else [*stops, Stop(part="worker")]


def _machine() -> list[Fault]:
    clock: list[Fault] = [Clock()] if shutil.which("cc") else []
    return [files_cut(), few_descriptors(), Disk(read_only=False), Disk(read_only=True), *clock]


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
