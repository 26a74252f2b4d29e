"""Bringing a model's files from a hub, through the hub's own client: pinned, resumed, checked, and all together.

The client is the extra ``pytest-thor[download]``. Files arrive in a hidden folder of the model root, where an
interrupted download goes on, and are put in their places only when every one of them is there and has the hash that the
hub says.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from filelock import FileLock

from pytest_thor.artifacts.gguf_model import SHARD_NAME
from pytest_thor.cell import ArtifactReference
from pytest_thor.errors import ArtifactError, ArtifactInvalid, ArtifactMissing
from pytest_thor.files import atomic_write_text
from pytest_thor.redaction import redacted
from pytest_thor.units import counted, format_bytes

STAGING = ".thor-download"
"""The folder below a model root where downloads arrive."""

_ROOM_BYTES = 64 << 20
_MOST_BY_HTTP_BYTES = 50 * 10**9
_YES = frozenset({"1", "ON", "YES", "TRUE"})
_KEPT = frozenset({".safetensors", ".json", ".txt", ".model", ".jinja", ".tiktoken", ".py"})
_COMMIT = re.compile(r"[0-9a-f]{40}")


class _HubFile(NamedTuple):
    """A file of a repository; one of the two hashes is there: of the content, or of git's blob."""

    name: str
    size_bytes: int
    sha256: str | None
    blob_sha1: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What was brought: ``revision`` is the commit, ``files`` their hashes by name (sha256, else git's sha1)."""

    path: Path
    hub: str
    revision: str
    files: Mapping[str, str]


def fetch(
    reference: ArtifactReference,
    root: Path,
    *,
    endpoint: str | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Fetched:
    """Bring a missing artifact below a model root, and return where it is.

    A reference without a revision takes the commit that its repository's main branch has now, and says which. Shards
    come together. ``endpoint`` is the hub's address, else ``HF_ENDPOINT``, else the client's own.

    Raises:
        ArtifactMissing: the reference names no hub, the hub has no such files, or ``HF_HUB_OFFLINE`` is set.
        ArtifactInvalid: what arrived is not what the hub says, or the location leads out of the root.
        ArtifactError: the client is not installed, the disk has no room, or the connection broke; what had arrived is
            kept, and the next call goes on there.
    """
    hub, location = reference.hub, PurePosixPath(reference.location)
    if hub is None:
        raise ArtifactMissing(f"{location} is not there, and its model names no hub to bring it from")
    if location.is_absolute() or ".." in location.parts:
        raise ArtifactInvalid(f"{location} is not below a model root, so nothing is brought there")
    if any(os.environ.get(name, "").upper() in _YES for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")):
        raise ArtifactMissing(f"{location} is not there, and HF_HUB_OFFLINE forbids to bring it from {hub}")
    tell = on_progress or (lambda _step: None)
    client = _Client(hub, endpoint or os.environ.get("HF_ENDPOINT"), tell)
    revision, listed = client.files(reference.revision or "main")
    if reference.revision is None:
        tell(f"{hub} is at {revision}; write it as the model's revision to keep it")
    places = _directory_files(listed, location) if reference.format == "hf" else _gguf_files(listed, location, hub)
    if not places:
        raise ArtifactMissing(f"{hub} at {revision[:12]} has no {location.name}; {_offered(listed)}")
    key = hashlib.sha256(f"{hub}\0{revision}\0{location}".encode()).hexdigest()[:12]
    staging = root / STAGING / key
    try:
        staging.mkdir(parents=True, exist_ok=True)
        with FileLock(root / STAGING / f"{key}.lock"):
            _check_room(staging, places)
            for number, file in enumerate(places, 1):
                tell(f"{file.name} ({number} of {len(places)}, {format_bytes(file.size_bytes)})")
                _checked(client.download(file, revision, staging), file, hub)
            for file, target in places.items():
                (root / target).parent.mkdir(parents=True, exist_ok=True)
                (staging / file.name).replace(root / target)
            shutil.rmtree(staging, ignore_errors=True)
            found = Fetched(
                path=root / (location if reference.format == "hf" else next(iter(places.values()))),
                hub=hub,
                revision=revision,
                files={file.name: file.sha256 or file.blob_sha1 or "" for file in places},
            )
            note = {"hub": hub, "revision": revision, "location": str(location), "files": found.files}
            atomic_write_text(root / STAGING / f"{key}.json", json.dumps(note, indent=2) + "\n")
            return found
    except OSError as error:
        raise ArtifactError(f"{location}: cannot be brought to {root}: {error.strerror or error}") from error


class _Client:
    """The hub's own client, with its errors as ours."""

    def __init__(self, hub: str, endpoint: str | None, tell: Callable[[str], None]) -> None:
        try:
            import huggingface_hub
        except ImportError as error:
            raise ArtifactError(
                f"bringing models needs the package huggingface_hub ({error}): pip install 'pytest-thor[download]'"
            ) from error
        self._client = huggingface_hub
        self._hub = hub
        self._endpoint = endpoint
        self._tell = tell

    def files(self, revision: str) -> tuple[str, Sequence[_HubFile]]:
        """Return the commit of a revision and the files that it has."""
        try:
            api = self._client.HfApi(endpoint=self._endpoint)
            info = api.model_info(self._hub, revision=revision, files_metadata=True)
        except Exception as error:
            raise self._broken(error, f"at {revision}") from error
        commit = str(info.sha or "")
        if not _COMMIT.fullmatch(commit):
            raise ArtifactError(f"{self._hub}: the hub names no commit for {revision}")
        if _COMMIT.fullmatch(revision) and revision != commit:
            raise ArtifactInvalid(f"{self._hub}: asked for {revision}, and the hub has {commit}")
        return commit, [_hub_file(each) for each in info.siblings or () if _is_below(each.rfilename)]

    def download(self, file: _HubFile, revision: str, folder: Path) -> Path:
        """Bring one file below a folder, going on where an earlier call ended.

        The client's own ``hf_hub_download`` throws away what has arrived when it gives up (since 2.0), so this asks for
        the rest itself through the client's ``http_get``. A file beyond what that takes (50 GB) is left to the former.
        """
        target = folder / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        arrived = target.stat().st_size if target.exists() else 0
        if arrived == file.size_bytes and file.size_bytes:
            return target
        told = _progress_class(self._tell, file)
        client = self._client
        try:
            if file.size_bytes > _MOST_BY_HTTP_BYTES:
                client.hf_hub_download(
                    self._hub,
                    file.name,
                    revision=revision,
                    local_dir=folder,
                    endpoint=self._endpoint,
                    tqdm_class=told,
                )
                return target
            url = client.hf_hub_url(self._hub, file.name, revision=revision, endpoint=self._endpoint)
            with target.open("ab") as content:
                client.file_download.http_get(
                    url,
                    content,
                    resume_size=arrived,
                    headers=client.utils.build_hf_headers(),
                    expected_size=file.size_bytes,
                    tqdm_class=told,
                )
        except Exception as error:
            raise self._broken(error, file.name) from error
        return target

    def _broken(self, error: Exception, what: str) -> ArtifactError:
        """Return an error of the client's, or of the HTTP library below it, as one of ours."""
        errors = self._client.errors
        told = str(error).strip().splitlines()
        reason = redacted(told[0]) if told else type(error).__name__  # it may name a signed address
        if isinstance(error, errors.RepositoryNotFoundError | errors.RevisionNotFoundError):
            return ArtifactMissing(
                f"{self._hub} {what}: the hub has none, or shows it only to those who log in: {reason}"
            )
        if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError):
            return ArtifactMissing(f"{self._hub} {what}: the hub has no such file: {reason}")
        return ArtifactError(f"{self._hub} {what}: {reason}; what has arrived is kept, so run it again to go on")


def _progress_class(tell: Callable[[str], None], file: _HubFile) -> type[Any]:
    """Return what the client takes for a progress bar (tqdm's), which tells each tenth of a file."""

    class Told:
        def __init__(
            self, *_arguments: object, initial: float = 0, total: float | None = None, **_options: object
        ) -> None:
            self.n = initial
            self.total = total
            self._tenths = 0

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            done = int(10 * self.n / file.size_bytes) if file.size_bytes else 10
            if done > self._tenths:
                self._tenths = done
                tell(f"{file.name}: {10 * done} % of {format_bytes(file.size_bytes)}")

        def __enter__(self) -> Told:  # noqa: PYI034 - Self is not in Python 3.10
            return self

        def __exit__(self, *_error: object) -> None:
            return None

        def __getattr__(self, _name: str) -> Callable[..., None]:
            return lambda *_arguments, **_options: None  # close, refresh, set_description, …: nothing is drawn

    return Told


def _hub_file(sibling: Any) -> _HubFile:  # noqa: ANN401 - the client's record
    lfs = sibling.lfs
    return _HubFile(
        name=sibling.rfilename,
        size_bytes=int((lfs.size if lfs else None) or sibling.size or 0),
        sha256=str(lfs.sha256) if lfs else None,
        blob_sha1=None if lfs else sibling.blob_id,
    )


def _is_below(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\0" not in name


def _gguf_files(listed: Sequence[_HubFile], location: PurePosixPath, hub: str) -> dict[_HubFile, PurePosixPath]:
    """Return the files of a GGUF model with their places: the file, or all of its shards."""
    by_name = {file.name: file for file in listed}
    inside = str(location).removeprefix(f"{hub}/")
    named = [inside] if inside in by_name else [name for name in by_name if PurePosixPath(name).name == location.name]
    if not named:
        stem = location.name.removesuffix(".gguf")
        named = [
            name
            for name in by_name
            if (match := SHARD_NAME.fullmatch(PurePosixPath(name).name)) and match["stem"] == stem
        ]
        named = [min(named)] if named else []
    if len(named) > 1:
        raise ArtifactInvalid(f"{hub} has {location.name} more than once: {', '.join(named)}; name one of the folders")
    if not named:
        return {}
    first = PurePosixPath(named[0])
    match = SHARD_NAME.fullmatch(first.name)
    names = [first.name]
    if match is not None:
        count = int(match["count"])
        names = [f"{match['stem']}-{number:05d}-of-{count:05d}.gguf" for number in range(1, count + 1)]
    missing = [name for name in names if str(first.with_name(name)) not in by_name]
    if missing:
        raise ArtifactMissing(f"{hub} lacks {counted(len(missing), 'shard')} of {location.name}: {', '.join(missing)}")
    return {by_name[str(first.with_name(name))]: location.with_name(name) for name in names}


def _directory_files(listed: Sequence[_HubFile], location: PurePosixPath) -> dict[_HubFile, PurePosixPath]:
    """Return the files of an HF checkpoint with their places: weights, configuration and tokenizer at its top."""
    top = [file for file in listed if "/" not in file.name and not file.name.startswith(".")]
    kept = [file for file in top if PurePosixPath(file.name).suffix in _KEPT]
    if not any(file.name.endswith(".safetensors") for file in kept):
        kept += [file for file in top if file.name.endswith(".bin")]
    return {file: location / file.name for file in kept} if any(file.name == "config.json" for file in kept) else {}


def _offered(listed: Sequence[_HubFile]) -> str:
    models = [file.name for file in listed if file.name.endswith((".gguf", ".safetensors"))]
    more = ", …" if len(models) > 10 else ""
    return f"it has {', '.join(models[:10])}{more}" if models else "it has no weights"


def _check_room(staging: Path, places: Mapping[_HubFile, PurePosixPath]) -> None:
    arrived = sum(path.stat().st_size for path in staging.rglob("*") if path.is_file())
    needed = max(sum(file.size_bytes for file in places) - arrived, 0) + _ROOM_BYTES
    free = shutil.disk_usage(staging).free
    if free < needed:
        raise ArtifactError(
            f"{staging.parent.parent}: {format_bytes(needed)} are still to come, and {format_bytes(free)} are free; "
            "free some space or name another folder first with --thor-models"
        )


def _checked(path: Path, file: _HubFile, hub: str) -> None:
    """Hold a file that arrived against the hub's size and hash; a wrong one is removed."""
    size = path.stat().st_size
    digest = hashlib.sha256() if file.sha256 else hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as content:
        while chunk := content.read(4 << 20):
            digest.update(chunk)
    wanted = file.sha256 or file.blob_sha1
    if size != file.size_bytes or (wanted is not None and digest.hexdigest() != wanted):
        path.unlink()
        raise ArtifactInvalid(f"{hub}: {file.name} arrived with other content than the hub says; it was removed")
