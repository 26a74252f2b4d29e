"""How long reading a GGUF header takes, with the vocabulary of Qwen3: 151,936 tokens and 151,387 merges.

    python benchmarks/gguf_header.py [FILE.gguf]

Reads the file in turns with the reader of pytest-thor and with ``gguf.GGUFReader``, and prints the medians. Without
a file it makes one: a two-layer toy that has the full vocabulary.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gguf

from pytest_thor.artifacts import gguf_bytes
from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.artifacts.gguf_header import read_header
from pytest_thor.artifacts.synthetic_weights import write_weights

TARGET_MS = 50.0
ROUNDS = {"pytest-thor": 5, "gguf.GGUFReader": 1}
TURNS = 3


def main() -> int:
    """Print the table; the exit status tells whether the target is met."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(sys.argv[1]) if len(sys.argv) > 1 else _toy_with_full_vocabulary(Path(folder))
        header = read_header(path)
        print(f"{path.name}: header of {header.header_bytes / 1e6:.2f} MB, {len(header.tensors)} tensors")
        readers: dict[str, Callable[[Path], object]] = {
            "pytest-thor": _read_anew,
            "gguf.GGUFReader": gguf.GGUFReader,
        }
        times_ms: dict[str, list[float]] = {name: [] for name in readers}
        for _ in range(TURNS):
            for name, read in readers.items():
                times_ms[name] += [_time_ms(read, path) for _ in range(ROUNDS[name])]
    medians = {name: statistics.median(values) for name, values in times_ms.items()}
    print(f"{'reader':<16} {'median ms':>10} {'min ms':>8} {'max ms':>8} {'ratio':>7}")
    for name, values in times_ms.items():
        ratio = medians[name] / medians["pytest-thor"]
        print(f"{name:<16} {medians[name]:>10.1f} {min(values):>8.1f} {max(values):>8.1f} {ratio:>7.1f}")
    met = medians["pytest-thor"] <= TARGET_MS
    print(f"target {TARGET_MS:.0f} ms: {'met' if met else 'missed'}")
    return 0 if met else 1


def _toy_with_full_vocabulary(folder: Path) -> Path:
    toy = replace(ARCHITECTURES["qwen3-tiny"], vocabulary=ARCHITECTURES["qwen3-8b"].vocabulary)
    path = folder / "full-vocabulary.gguf"
    write_weights(path, toy, "F16", seed=1, on_progress=lambda _step: None)
    return path


def _read_anew(path: Path) -> object:
    """Read a header as the first of its vocabulary is read: what was walked before is compared, and faster."""
    gguf_bytes._WALKED.arrays = ()  # noqa: SLF001 - there is no other way to forget
    return read_header(path)


def _time_ms(read: Callable[[Path], object], path: Path) -> float:
    start = time.perf_counter()
    read(path)
    return (time.perf_counter() - start) * 1000


if __name__ == "__main__":
    sys.exit(main())
