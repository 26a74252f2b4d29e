"""Carry changed baselines from the measuring job to the one that may write to the repository.

    python .ci/baselines.py gather STORE TARGET     # copy what git sees as changed in STORE, path by path, to TARGET
    python .ci/baselines.py place SOURCE STORE      # copy from SOURCE into STORE what is a baseline, and nothing else

The first runs on the device, beside whatever was measured; the second trusts nothing of what it finds: only plain files
of a store's own names and sizes, only where a store has them.

Standard library only.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

MOST_BYTES = 64 * 2**20
_NAME = r"[A-Za-z0-9_%~@+=,()-][A-Za-z0-9_%~@+=,() .-]*"
"""What a store makes of any name. Others are not even printed as they are: the runner reads commands in a job's log."""
PLACE = re.compile(rf"{_NAME}/{_NAME}/{_NAME}(?:\.history\.jsonl|\.json)\Z")
RULE = "*.history.jsonl merge=union"
ATTRIBUTES = ".gitattributes"
"""It says how git treats files, so what the device wrote there is not taken over; the one rule of a store is."""


def main(words: list[str]) -> int:
    """Gather or place; return an exit status."""
    if len(words) != 3 or words[0] not in {"gather", "place"}:
        print(__doc__, file=sys.stderr)
        return 2
    source, target = Path(words[1]), Path(words[2])
    try:
        copied = gather(source, target) if words[0] == "gather" else place(source, target)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    print(*copied, sep="\n")
    return 0


def gather(store: Path, target: Path) -> list[str]:
    """Copy the files of a store that differ from the commit that is checked out; return their paths in the store."""
    if not store.is_dir():
        return []
    command = ["git", "-C", str(store), "ls-files", "--modified", "--others", "--exclude-standard", "-z", "--", "."]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    changed = sorted({name for name in names if name and (store / name).is_file()})
    for name in changed:
        copy(store / name, target / name)
    return changed


def place(source: Path, store: Path) -> list[str]:
    """Copy what may be part of a store.

    Raises:
        ValueError: something else is there; nothing was copied then.
    """
    found = sorted(name for name in files(source) if name != ATTRIBUTES)
    for name in found:
        path = source / name
        if not PLACE.fullmatch(name) or path.is_symlink() or not path.is_file():
            raise ValueError(f"{quote(name)}: is no file of a baseline store; nothing was copied")
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"{name}: is larger than a baseline may be; nothing was copied")
    for name in found:
        copy(source / name, store / name)
    attributes = store / ATTRIBUTES
    if any(name.endswith(".history.jsonl") for name in found) and not attributes.exists():
        attributes.write_text(f"{RULE}\n", encoding="utf-8")
    return found


def files(folder: Path) -> Iterator[str]:
    """Yield everything in a folder that is no folder; links are not followed."""
    for where, folders, names in os.walk(folder, followlinks=False):
        linked = [name for name in folders if (Path(where) / name).is_symlink()]
        for name in [*names, *linked]:
            yield (Path(where) / name).relative_to(folder).as_posix()


def copy(path: Path, target: Path) -> None:
    """Copy a file's content, and neither its mode nor a link."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink() or any(parent.is_symlink() for parent in target.parents):
        raise ValueError(f"{target}: a link stands there or above it")
    shutil.copyfile(path, target, follow_symlinks=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
