"""How long listing 1,000 GGUF files takes, with the headers that published models have.

    python benchmarks/models_listing.py [FILES] [VOCABULARY] [KINDS]

Makes a store of files (1,000 unless told otherwise) in which each has the header of Qwen3-8B: 399 tensors, and a
vocabulary of 151,936 tokens with their merges (4.4 MB) unless told otherwise, of which there are five different ones
(at most twenty); the weights are holes, and twenty headers are shared by links, so that the store takes 100 MB. Prints
what a listing takes from headers that the page cache holds. A vocabulary is walked once (ten times as long as the rest
of a file takes) and compared byte by byte after that.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from pytest_thor.artifacts import synthetic_weights
from pytest_thor.artifacts.architectures import ARCHITECTURES, Architecture
from pytest_thor.artifacts.gguf_header import read_header
from pytest_thor.artifacts.inventory import take_inventory

TARGET_S = 5.0
DISTINCT = 20
KINDS = 5


def main() -> int:
    """Print the figures; the exit status tells whether the target is met."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    vocabulary = int(sys.argv[2]) if len(sys.argv) > 2 else ARCHITECTURES["qwen3-8b"].vocabulary
    kinds = int(sys.argv[3]) if len(sys.argv) > 3 else KINDS
    with tempfile.TemporaryDirectory() as name:
        store = Path(name)
        header = _fill(store, count, vocabulary, kinds)
        started, processor = time.perf_counter(), time.process_time()
        inventory = take_inventory([store])
        took_s, computed_s = time.perf_counter() - started, time.process_time() - processor
    listed = len(inventory.models)
    per_file_ms = 1000 * took_s / listed
    print(
        f"{listed} files with headers of {header / 1e6:.2f} MB, {kinds} vocabularies: {took_s:.2f} s, "
        f"{per_file_ms:.2f} ms a file, {computed_s:.2f} s of processor time"
    )
    met = listed == count and took_s <= TARGET_S
    print(f"target {TARGET_S:.0f} s for 1,000: {'met' if met else 'missed'}")
    return 0 if met else 1


def _fill(store: Path, count: int, vocabulary: int, kinds: int) -> int:
    """Make the store, and return the bytes of a header."""
    header = 0
    for number in range(min(DISTINCT, count)):
        shape = replace(ARCHITECTURES["qwen3-8b"], vocabulary=vocabulary - number % kinds)
        path = store / f"folder-{number}" / f"model-{number}.gguf"
        path.parent.mkdir()
        header = _hollow(path, shape)
        for copy in range(number + DISTINCT, count, DISTINCT):
            path.with_name(f"model-{copy}.gguf").hardlink_to(path)
    return header


def _hollow(path: Path, shape: Architecture) -> int:
    """Write a file whose header is whole and whose weights are a hole; return the header's bytes."""
    synthetic_weights._write_header(path, shape, "F16")  # noqa: SLF001 - what a whole file begins with
    size = path.stat().st_size
    for name, dimensions in shape.tensors:
        stored = 4 if name.endswith("norm.weight") else 2
        size = -(-size // 32) * 32 + math.prod(dimensions) * stored
    with path.open("r+b") as file:
        file.truncate(-(-size // 32) * 32)
    return read_header(path).header_bytes


if __name__ == "__main__":
    sys.exit(main())
