"""Finding the files that a matrix names under the model roots."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_thor.artifacts.gguf_model import SHARD_NAME
from pytest_thor.cell import ArtifactReference
from pytest_thor.errors import ArtifactError, ArtifactInvalid, ArtifactMissing


def resolve(reference: ArtifactReference, roots: Sequence[Path]) -> Path:
    """Return where the files of ``reference`` are: a GGUF file (the first of its shards), or an HF directory.

    An absolute location (or one with ``~``) is taken as it is; a relative one is looked for under each root in
    order. ``..`` is refused, so that a matrix reaches nothing outside the roots by itself; links inside a root are
    followed, since model stores are made of them.

    Raises:
        ArtifactMissing: it is in none of the places, each of which is named.
        ArtifactInvalid: the location leads out of the roots, or something else than was expected is there.
        ArtifactError: a place cannot be looked into.
    """
    candidates = _candidates(reference, roots)
    for candidate in candidates:
        found = _directory(candidate) if reference.format == "hf" else _gguf_file(candidate)
        if found is not None:
            return found
    what = "HF directory" if reference.format == "hf" else "GGUF file"
    looked = " or ".join(str(candidate) for candidate in candidates)
    advice = _suggestion(candidates) or "; name the folder of your models with --thor-models DIR"
    raise ArtifactMissing(f"no {what} at {looked}{advice}")


def claimants(reference: ArtifactReference, roots: Sequence[Path]) -> tuple[Path, ...]:
    """Return every place that has the files of ``reference``, the one that :func:`resolve` takes first.

    Several are there where two roots have one relative path, or a folder has a model both whole and in shards.

    Raises:
        ArtifactError: as of :func:`resolve`, except that nothing may be found.
    """
    found: list[Path] = []
    for candidate in _candidates(reference, roots):
        places: tuple[Path | None, ...]
        if reference.format == "hf":
            places = (_directory(candidate),)
        else:
            places = (_gguf_file(candidate), _first_shard(candidate))
        found.extend(place for place in places if place is not None)
    return tuple(dict.fromkeys(found))


def _candidates(reference: ArtifactReference, roots: Sequence[Path]) -> list[Path]:
    location = reference.location
    if reference.format == "synthetic":
        raise ArtifactInvalid(f"{location!r} is a synthetic model, which is made and not looked for")
    if not location.strip() or "\0" in location:
        raise ArtifactInvalid(f"{location!r} is not a path; expected one below a model root")
    path = Path(location)
    if ".." in path.parts:
        raise ArtifactInvalid(f"{location!r} leads out of the model roots; write the path without '..'")
    if location.startswith("~") or path.is_absolute():
        try:
            return [path.expanduser()]
        except RuntimeError as error:
            raise ArtifactInvalid(f"{location!r}: {error}") from None
    if not roots:
        raise ArtifactMissing(f"{location!r} is relative, and there is no model root; name one with --thor-models DIR")
    return [root / path for root in roots]


def _gguf_file(path: Path) -> Path | None:
    """Return the GGUF file at ``path``, or the first of its shards where the model is split; None if neither is."""
    if not _exists(path):
        return _first_shard(path)
    if path.is_dir():
        raise ArtifactInvalid(f"{path}: is a folder; expected a GGUF file")
    return path


def _first_shard(path: Path) -> Path | None:
    shards = [
        name
        for name in _names_in(path.parent)
        if (match := SHARD_NAME.fullmatch(name)) and match["stem"] == path.stem and int(match["number"]) == 1
    ]
    if len(shards) > 1:
        raise ArtifactInvalid(f"{path}: is there in more than one splitting: {', '.join(shards)}; keep one of them")
    return path.with_name(shards[0]) if shards and path.suffix == ".gguf" else None


def _directory(path: Path) -> Path | None:
    if not _exists(path):
        return None
    if not path.is_dir():
        raise ArtifactInvalid(f"{path}: is a file; expected the folder of an HF model, with a config.json")
    if not _exists(path / "config.json"):
        raise ArtifactInvalid(f"{path}: has no config.json; expected the folder of an HF model")
    return path


def _exists(path: Path) -> bool:
    """Tell whether something is there; a broken link or a folder that may not be entered is an error of its own."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise ArtifactMissing(f"{path}: is a broken link to {path.readlink()}") from None
        return False
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be looked at: {error.strerror or error}") from None
    return True


def _names_in(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ArtifactError(f"{folder}: cannot be looked into: {error.strerror or error}") from None


def _suggestion(candidates: Sequence[Path]) -> str:
    """Name what is nearest to the path that was not found, at the first part of it that does not exist."""
    for folder, wanted in _first_missing_parts(candidates):
        near = difflib.get_close_matches(wanted, _names_in(folder), n=1)
        if near:
            return f"; did you mean {near[0]!r} in {folder}?"
    return ""


def _first_missing_parts(candidates: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    for candidate in candidates:
        missing = candidate
        while not missing.parent.exists() and missing.parent != missing:
            missing = missing.parent
        yield missing.parent, missing.name
