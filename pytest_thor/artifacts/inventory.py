"""Everything under the model roots: the models, and what is there and cannot be used."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pytest_thor.artifacts.found import FoundModel, describe_directory, describe_gguf, is_model_folder
from pytest_thor.artifacts.gguf_model import SHARD_NAME, shard_paths
from pytest_thor.errors import ArtifactError

_UNFINISHED = (".incomplete", ".part", ".partial", ".crdownload", ".aria2", ".tmp", ".download")
_READERS = 2
_WEIGHTS = (".gguf", ".safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A model with its place: ``location`` is what a matrix writes, relative to ``root``."""

    model: FoundModel
    root: Path
    location: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something under a root that cannot be used; the sentence names it."""

    path: Path
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What is under the roots, in the order of roots and paths."""

    models: tuple[Listed, ...]
    troubles: tuple[Trouble, ...]


@dataclass(slots=True)
class _Walk:
    """The state of one walk; ``seen`` are folders by device and number, so that no loop of links is walked twice."""

    seen: set[tuple[int, int]] = field(default_factory=set)
    troubles: list[Trouble] = field(default_factory=list)

    def note(self, path: Path, sentence: str) -> None:
        self.troubles.append(Trouble(path=path, sentence=sentence))


def take_inventory(roots: Sequence[Path], *, on_progress: Callable[[int, Path], None] | None = None) -> Inventory:
    """Look through the roots for models, reading headers only.

    Links are followed, each folder once; hidden files and folders are passed over. ``on_progress`` is told, before each
    model is read, how many there were and which it is. Nothing here raises for what is found: a root that is not there,
    an unreadable folder, a broken link, a missing shard or a lying header is a :class:`Trouble`.
    """
    walk = _Walk()
    places = [(root, place) for root in roots for place in _in_root(root, walk)]
    models: list[Listed] = []
    # Threads wait for disks and hash together; what they do in Python they do in turns.
    with ThreadPoolExecutor(max_workers=_READERS) as pool:
        try:
            readings = [pool.submit(_described, place) for _, place in places]
            for number, ((root, place), reading) in enumerate(zip(places, readings, strict=True), 1):
                if on_progress is not None:
                    on_progress(number, place)
                found = reading.result()
                if isinstance(found, FoundModel):
                    models.append(Listed(model=found, root=root, location=_location(found.path, root)))
                elif found is not None:
                    walk.troubles.append(found)
        finally:
            pool.shutdown(cancel_futures=True)
    return Inventory(models=tuple(models), troubles=tuple(walk.troubles))


def _described(place: Path) -> FoundModel | Trouble | None:
    """Return what a GGUF file or a folder with a config.json is, None for a folder of no model."""
    try:
        if place.suffix == ".gguf" and not place.is_dir():
            return describe_gguf(place)
        return describe_directory(place) if is_model_folder(place) else None
    except ArtifactError as error:
        return Trouble(path=place, sentence=str(error))
    except OSError as error:
        return Trouble(path=place, sentence=f"{place}: cannot be read: {error.strerror or error}")


def _location(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) and path != root else str(path)


def _in_root(root: Path, walk: _Walk) -> Iterator[Path]:
    try:
        status = root.stat()
    except OSError as error:
        walk.note(root, f"{root}: cannot be looked into: {error.strerror or error}")
        return
    if (status.st_dev, status.st_ino) in walk.seen:
        return
    yield from _in_folder(root, walk)


def _in_folder(folder: Path, walk: _Walk) -> Iterator[Path]:
    """Yield what may be a model in a folder and in those below it; of two links to one folder, the first."""
    pending = [folder]
    while pending:
        here = pending.pop()
        try:
            status = here.stat()
            if (status.st_dev, status.st_ino) in walk.seen:
                continue
            walk.seen.add((status.st_dev, status.st_ino))
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError as error:
            walk.note(here, f"{here}: cannot be looked into: {error.strerror or error}")
            continue
        files, folders = _sorted_out(here, entries, walk)
        yield from _models_here(here, files, walk)
        # Real folders before links, so that a model is listed where it lies.
        pending.extend(path for path, _ in sorted(folders, key=lambda pair: (pair[1], pair[0]), reverse=True))


def _sorted_out(
    here: Path, entries: Sequence[os.DirEntry[str]], walk: _Walk
) -> tuple[list[str], list[tuple[Path, bool]]]:
    """Return the names of files, and the folders with whether each is a link; note what is broken."""
    files: list[str] = []
    folders: list[tuple[Path, bool]] = []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = here / entry.name
        try:
            if entry.is_dir():
                folders.append((path, entry.is_symlink()))
            elif entry.is_file():
                files.append(entry.name)
            elif entry.is_symlink():
                walk.note(path, f"{path}: {_broken(path)}")
        except OSError as error:  # too many levels of links
            walk.note(path, f"{path}: cannot be followed: {error.strerror or error}")
    return files, folders


def _broken(path: Path) -> str:
    try:
        path.stat()
    except FileNotFoundError:
        return f"is a broken link to {path.readlink()}"
    except OSError as error:
        return f"cannot be followed: {error.strerror or error}"
    return "is neither a file nor a folder"


def _models_here(here: Path, files: Sequence[str], walk: _Walk) -> Iterator[Path]:
    """Yield the folder itself where it has a config.json, and its GGUF files, of shards the first that is there."""
    for name in files:
        if name.endswith(_UNFINISHED) and any(suffix in name for suffix in _WEIGHTS):
            walk.note(here / name, f"{here / name}: is an unfinished download")
    if "config.json" in files:
        yield here
    taken: set[str] = set()
    for name in files:
        if name.endswith(".gguf") and name not in taken:
            taken.update(shard.name for shard in shard_paths(here / name) if SHARD_NAME.fullmatch(name))
            yield here / name
