"""Carry changed baselines from the measuring job to the one that may write to the repository.

    python .ci/baselines.py gather STORE TARGET     # copy what git sees as changed in STORE, as TARGET/STORE/…
    python .ci/baselines.py place SOURCE STORE      # copy from each SOURCE/DEVICE~JOB/STORE/… what is a baseline

The first runs on the device, beside whatever was measured, in the folder of the repository; so does the second on
another machine, and it trusts nothing of what it finds: only plain files of the names and sizes of a store, only where
STORE or a store in a folder of it (STORE/DEVICE) has them, and no two different ones for one place.

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
SENDER = re.compile(rf"({_NAME})/")
PLACE = re.compile(rf"(?:{_NAME}/)?{_NAME}/{_NAME}/{_NAME}(?:\.history\.jsonl|\.json)\Z")
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
    """Copy the files of a store that differ from the commit that is checked out; return their paths in the store.

    Raises:
        ValueError: the store is not within the repository, so that nothing of it can be proposed.
    """
    within = Path(os.path.relpath(store))
    if ".." in within.parts:
        raise ValueError(f"{store}: is outside of the repository; give a folder of it as the store of baselines")
    if not store.is_dir():
        return []
    command = ["git", "-C", str(store), "ls-files", "--modified", "--others", "--exclude-standard", "-z", "--", "."]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    changed = sorted({name for name in names if name and (store / name).is_file()})
    for name in changed:
        copy(store / name, target / within / name)
    return changed


def place(source: Path, store: Path) -> list[str]:
    """Copy what may be part of a store, and return its paths there; a job's files lie in a folder of the job's name.

    Raises:
        ValueError: something else is there, or two jobs sent different files for one place; nothing was copied then.
    """
    found: dict[str, Path] = {}
    for sent in sorted(files(source)):
        path = source / sent
        name = place_of(sent, store)
        if name.rpartition("/")[2] == ATTRIBUTES and name.count("/") < 2:
            continue
        if not PLACE.fullmatch(name) or path.is_symlink() or not path.is_file():
            raise ValueError(
                f"{quote(sent)}: is no file of a baseline store in DEVICE~JOB/{store.as_posix()}; nothing was copied"
            )
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"{sent}: is larger than a baseline may be; nothing was copied")
        other = found.setdefault(name, path)
        if other is not path and other.read_bytes() != path.read_bytes():
            raise ValueError(
                f"{name}: {sender(other, source)} and {sender(path, source)} sent different baselines for it, and one "
                f"would be lost; nothing was copied. Give each board a store of its own, baselines: "
                f"{store.as_posix()}/DEVICE where the workflow that measures is called (docs/ci.md)"
            )
    for name, path in found.items():
        copy(path, store / name)
    attributes = store / ATTRIBUTES
    if any(name.endswith(".history.jsonl") for name in found) and not attributes.exists():
        attributes.write_text(f"{RULE}\n", encoding="utf-8")
    return sorted(found)


def place_of(sent: str, store: Path) -> str:
    """Return the path in the store of what a job sent; empty where it is none."""
    job = SENDER.match(sent)
    inside = f"{store.as_posix()}/"
    rest = sent[job.end() :] if job else ""
    return rest.removeprefix(inside) if rest.startswith(inside) else ""


def sender(path: Path, source: Path) -> str:
    """Return which device sent a file, and in which job."""
    device, _, job = path.relative_to(source).parts[0].partition("~")
    return f"{device} (job {job})"


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
