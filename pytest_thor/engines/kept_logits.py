"""The logits of a reference quant over a text, as llama-perplexity writes them: large, slow to make, and kept.

A file's name ends in a digest of all that it depends on: the model's content, the text's, how much of it, and the build
and settings that calculated. The program does not notice a full disk, so that a file is believed only if it has the
size that its head says. docs/models.md describes what is kept and for how long.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_thor.cell import Setting
from pytest_thor.engines.reference_model import ReferenceModel
from pytest_thor.evaluation_text import predicted_tokens
from pytest_thor.foreign_file import open_plain
from pytest_thor.measurement import EngineBuild

KEPT_S = 30 * 86400.0
"""A file that was not used for so long is removed when another is made."""

_FORMAT = 1
_MAGIC = b"_logits_"
_HEAD = struct.Struct("<8s3i")
_ABANDONED_S = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogitsHead:
    """What a file of logits says of itself: tokens of a chunk, of the vocabulary, and how many chunks."""

    ctx_size: int
    vocabulary: int
    chunks: int

    @property
    def predicted(self) -> int:
        """How many tokens are predicted over all."""
        return predicted_tokens(self.chunks, self.ctx_size)

    @property
    def size_bytes(self) -> int:
        """How large the whole file is: the tokens as 4 bytes each, and 16 bits for each logit of each predicted one."""
        row = 2 * ((self.vocabulary + 1) // 2) + 4
        return _HEAD.size + 4 * self.chunks * self.ctx_size + 2 * self.predicted * row


def read_head(path: Path) -> LogitsHead | None:
    """Return the head of a file of logits that is whole; None of any other."""
    try:
        with open_plain(path) as file:
            head = file.read(_HEAD.size)
            size = os.fstat(file.fileno()).st_size
    except OSError:
        return None
    if len(head) < _HEAD.size or not head.startswith(_MAGIC):
        return None
    _, ctx_size, vocabulary, chunks = _HEAD.unpack(head)
    if min(ctx_size, vocabulary, chunks) < 1:
        return None
    found = LogitsHead(ctx_size=ctx_size, vocabulary=vocabulary, chunks=chunks)
    return found if found.size_bytes == size else None


def place_of(
    folder: Path,
    reference: ReferenceModel,
    build: EngineBuild,
    *,
    text_sha256: str,
    ctx_size: int,
    chunks: Setting,
    words: Sequence[str],
) -> Path:
    """Return where the logits of a reference are kept; ``words`` are the arguments that shape the calculation."""
    program = (build.version, build.commit) if build.version or build.commit else (build.path,)
    parts = [_FORMAT, reference.sha256, text_sha256, ctx_size, chunks, *program, *words]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    return folder / f"{reference.path.stem[:100]}-{key}.logits"


@contextlib.contextmanager
def making(place: Path) -> Iterator[Path]:
    """Give a place to write to; a whole file that is found there afterwards gets its name, anything else is removed.

    Raises:
        OSError: the folder cannot be written.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    _tidy(place.parent)
    unfinished = place.with_name(f".{place.name}.{os.getpid()}.unfinished")
    try:
        yield unfinished
        if read_head(unfinished) is not None:
            unfinished.replace(place)
    finally:
        unfinished.unlink(missing_ok=True)


def use(place: Path) -> None:
    """Note that a file was used just now."""
    with contextlib.suppress(OSError):
        os.utime(place)


def _tidy(folder: Path) -> None:
    now = time.time()
    for pattern, kept_s in (("*.logits", KEPT_S), (".*.unfinished", _ABANDONED_S)):
        for file in folder.glob(pattern):
            with contextlib.suppress(OSError):
                if now - file.stat().st_mtime > kept_s:
                    file.unlink()
