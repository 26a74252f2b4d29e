"""Where what is stored of a cell stands: ``<root>/<device>/<matrix>/<cell id>.json``, and its history beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

ENTRY = ".json"
HISTORY = ".history.jsonl"

_LONGEST_NAME = 200  # bytes; file systems take 255, and a temporary file's name is longer


def entry_path(root: Path, device: str, words: Mapping[str, str]) -> Path:
    """Return where the anchor of a cell stands; ``words`` are those that name it, ``Cell.fields``."""
    return matrix_folder(root, device, words["matrix"]) / f"{component(cell_id(words))}{ENTRY}"


def history_path(root: Path, device: str, words: Mapping[str, str]) -> Path:
    """Return where the history of a cell stands."""
    return matrix_folder(root, device, words["matrix"]) / f"{component(cell_id(words))}{HISTORY}"


def matrix_folder(root: Path, device: str, matrix: str) -> Path:
    """Return the folder of a matrix on a device."""
    return root / component(device) / component(matrix)


def cell_id(words: Mapping[str, str]) -> str:
    """Return a cell's name within its matrix from the words that name it, as ``Cell.id`` has it."""
    return f"{words['model']}-{words['quant']}-{words['backend']}-{words['workload']}"


def stem(name: str) -> str:
    """Return a file's name without what says whether it is an anchor or a history."""
    return name.removesuffix(HISTORY).removesuffix(ENTRY)


def component(name: str) -> str:
    """Return a name as one path component: other names give other components, and none leaves its folder."""
    quoted = quote(name, safe=" @+=,()", errors="surrogatepass")
    if quoted.startswith("."):
        quoted = f"%2E{quoted[1:]}"
    if len(quoted) > _LONGEST_NAME:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return f"{quoted[:_LONGEST_NAME]}~{digest}"
    return quoted or "%"
