"""Drives the readers of outside data with atheris, which looks for inputs that reach new code.

    pip install atheris
    python -m benchmarks.fuzz_readers [TARGET …] [--seconds 120] [--keep FOLDER]

Without a target every one is driven, each in a process of its own that may take 2 GiB. An input is a seed damaged by
libFuzzer, or as the tests damage it: with hostile pieces where a number, a word or a text stands. At the end a table
says how many inputs each reader was given, what broke a promise, and which input took it longest, in seconds of its
own processor time. What broke a promise is kept under ``--keep`` by its reader's name, as is the slowest input; put the
first beside the seeds in ``tests/fuzz`` once it is mended.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

_MEMORY_MIB = 2048
_HANGS_AFTER_S = 30
_LONGEST_BYTES = 65536
_SLOW_S = 1.0
_BROKEN = ("crash", "timeout", "oom", "leak")


@dataclass(slots=True, kw_only=True)
class Progress:
    """What one reader was given so far: ``slowest_s`` of processor time for ``slowest_bytes`` of input."""

    runs: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0
    slowest_bytes: int = 0


def main() -> int:
    """Drive the targets and print the table; the exit status tells whether all promises held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", help="names of tests/fuzz/targets.py; all where none is given")
    parser.add_argument("--seconds", type=int, default=120, help="for each target")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed here: pip install atheris (Linux, CPython 3.11 and later)", file=sys.stderr)
        return 2
    if given.one:
        _fuzz(given.targets[0], given.seconds, given.keep)
    from tests.fuzz.targets import TARGETS

    unknown = [name for name in given.targets if name not in TARGETS]
    if unknown:
        parser.error(f"{unknown[0]} is no target: {', '.join(TARGETS)}")
    broken = 0
    print("| reader | inputs | seconds | broken | slowest input |\n|---|--:|--:|--:|--:|")
    for name in given.targets or TARGETS:
        progress, kept = _in_own_process(name, given.seconds, given.keep)
        slowest = f"{progress.slowest_s:.3f} s for {progress.slowest_bytes:,} bytes"
        slow = " (slow)" if progress.slowest_s > _SLOW_S else ""
        print(f"| {name} | {progress.runs:,} | {progress.seconds:.0f} | {kept} | {slowest}{slow} |", flush=True)
        broken += kept
    return 1 if broken else 0


def _in_own_process(name: str, seconds: int, keep: Path) -> tuple[Progress, int]:
    """Return how far it came, and how many inputs broke a promise: none or one, for it ends with the first."""
    keep.mkdir(parents=True, exist_ok=True)
    noted = keep / f"{name}.json"
    noted.unlink(missing_ok=True)
    before = _kept(name, keep)
    command = [sys.executable, "-m", "benchmarks.fuzz_readers", name, "--one", f"--seconds={seconds}", f"--keep={keep}"]
    with (keep / f"{name}.log").open("wb") as log:
        status = subprocess.run(command, check=False, stdout=log, stderr=log).returncode
    progress = Progress(**json.loads(noted.read_text())) if noted.exists() else Progress()
    return progress, len(_kept(name, keep) - before) or int(status != 0)


def _kept(name: str, keep: Path) -> set[Path]:
    return {path for kind in _BROKEN for path in keep.glob(f"{name}-{kind}-*")}


def _fuzz(name: str, seconds: int, keep: Path) -> None:
    """Drive one target; atheris ends the process."""
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["pytest_thor"]):
        target = importlib.import_module("tests.fuzz.targets").TARGETS[name]
    mutation = importlib.import_module("tests.fuzz.mutation")
    corpus = Path(tempfile.mkdtemp(prefix="thor-fuzz-"))
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    progress, began, noted = Progress(), time.monotonic(), 0.0

    def once(content: bytes) -> None:
        nonlocal noted
        with tempfile.TemporaryDirectory() as folder:
            started = time.process_time()
            try:
                target.read(content, Path(folder))
            finally:
                took = time.process_time() - started
                progress.runs += 1
                progress.seconds = time.monotonic() - began
                if slowest := took > progress.slowest_s:
                    progress.slowest_s, progress.slowest_bytes = took, len(content)
                    (keep / f"{name}-slowest").write_bytes(content)
                if slowest or progress.seconds > noted + 1:
                    noted = progress.seconds
                    (keep / f"{name}.json").write_text(json.dumps(asdict(progress)))

    def mutated(content: bytes, most: int, seed: int) -> bytes:
        chance = random.Random(seed)
        if chance.random() < 1 / 2:
            return bytes(atheris.Mutate(content, most))
        edits = [mutation.an_edit(chance) for _ in range(chance.choice((1, 1, 2, 3)))]
        return bytes(mutation.damage(content, edits, target.seeds)[:most])

    limits = (f"-max_len={_LONGEST_BYTES}", f"-rss_limit_mb={_MEMORY_MIB}", f"-timeout={_HANGS_AFTER_S}")
    options = (f"-max_total_time={seconds}", f"-artifact_prefix={keep}/{name}-", "-verbosity=0", "-print_final_stats=1")
    atheris.Setup([sys.argv[0], *limits, *options, str(corpus)], once, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
