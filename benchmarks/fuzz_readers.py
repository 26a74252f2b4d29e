"""Drives the readers of outside data with atheris, which looks for inputs that reach new code.

    pip install atheris
    python -m benchmarks.fuzz_readers [TARGET …] [--seconds 120] [--keep FOLDER]

Without a target every one is driven, each in a process of its own. What breaks a promise is kept under ``--keep`` by
its target's name; put it beside the seeds in ``tests/fuzz`` once it is mended.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

_MEMORY_MIB = 2048
_HANGS_AFTER_S = 30
_LONGEST_BYTES = 65536


def main() -> int:
    """Drive the targets; the exit status tells whether all promises held."""
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
    failed = [name for name in given.targets or TARGETS if _in_own_process(name, given.seconds, given.keep)]
    print(f"broken: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def _in_own_process(name: str, seconds: int, keep: Path) -> bool:
    print(f"== {name}", flush=True)
    command = [sys.executable, "-m", "benchmarks.fuzz_readers", name, "--one", f"--seconds={seconds}", f"--keep={keep}"]
    return subprocess.run(command, check=False).returncode != 0


def _fuzz(name: str, seconds: int, keep: Path) -> None:
    """Drive one target; atheris ends the process."""
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["pytest_thor"]):
        target = importlib.import_module("tests.fuzz.targets").TARGETS[name]
    corpus = Path(tempfile.mkdtemp(prefix="thor-fuzz-"))
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    keep.mkdir(parents=True, exist_ok=True)

    def once(content: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            target.read(content, Path(folder))

    limits = (f"-max_len={_LONGEST_BYTES}", f"-rss_limit_mb={_MEMORY_MIB}", f"-timeout={_HANGS_AFTER_S}")
    options = (f"-max_total_time={seconds}", f"-artifact_prefix={keep}/{name}-", "-verbosity=0", "-print_final_stats=1")
    atheris.Setup([sys.argv[0], *limits, *options, str(corpus)], once)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
