"""Recorded machines: a text of ``path = content`` lines, laid out as the tree of files that a root file system is."""

from __future__ import annotations

from pathlib import Path

GOLDEN = Path(__file__).parents[2] / "golden/host"
RELEASES = ("thor-r38.4", "thor-r39.0")


def plant(name: str, root: Path) -> Path:
    """Lay out a recorded machine below ``root``."""
    for line in (GOLDEN / f"{name}.tree").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            path, _, content = line.partition(" = ")
            write(root, path, content.replace("\\n", "\n").replace("\\t", "\t").replace("\\0", "\0") + "\n")
    return root


def write(root: Path, path: str, content: str) -> None:
    """Write one file of a tree."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content, encoding="utf-8")
