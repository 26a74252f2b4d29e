"""The text that a quality workload is measured on: there, readable, and known by its content."""

from __future__ import annotations

import codecs
import hashlib
import stat
from dataclasses import dataclass
from pathlib import Path

from pytest_thor.errors import MatrixError, Problem

LEAST_PREDICTED = 100
"""Of fewer predicted tokens llama-perplexity tells no divergence."""

_MAX_BYTES = 256 << 20
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationText:
    """A text file; no vocabulary makes more tokens of it than it has bytes, but for one that begins it."""

    size_bytes: int
    sha256: str

    @property
    def most_tokens(self) -> int:
        """How many tokens it has at most."""
        return self.size_bytes + 1


def predicted_tokens(chunks: int, ctx_size: int) -> int:
    """Return how many tokens of so many chunks are predicted: those of each second half but for its first."""
    return chunks * (ctx_size - 1 - ctx_size // 2)


def read_evaluation_text(path: Path) -> EvaluationText:
    """Read a text.

    Raises:
        MatrixError: it is not there, is empty or far too large, or is not UTF-8, of which tokenizers make nonsense.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a named pipe would wait for ever
            raise _refused(path, "not a file: give a plain text file")
        if status.st_size > _MAX_BYTES:
            raise _refused(path, f"larger than {_MAX_BYTES >> 20} MiB: cut it to what shall be measured")
        return _read(path)
    except FileNotFoundError:
        raise _refused(path, "there is no such file; a relative path starts at the matrix's folder") from None
    except UnicodeDecodeError as error:
        raise _refused(path, f"not UTF-8 text (byte 0x{error.object[error.start]:02x}): save it as UTF-8") from None
    except (OSError, ValueError) as error:  # ValueError: a path with NUL in it
        raise _refused(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _read(path: Path) -> EvaluationText:
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")()
    size = 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            size += len(piece)
            digest.update(piece)
            decoder.decode(piece)
    decoder.decode(b"", final=True)
    if size == 0:
        raise _refused(path, "the text is empty: give one of a few thousand words or more")
    return EvaluationText(size_bytes=size, sha256=digest.hexdigest())


def _refused(path: Path, message: str) -> MatrixError:
    return MatrixError((Problem(path=str(path), line=1, column=1, message=message),))
