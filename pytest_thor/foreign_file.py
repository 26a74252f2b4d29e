"""Files that somebody else wrote: plain ones only, and no more of them than can be meant.

A named pipe in the place of a file would be waited for without end, and a device such as ``/dev/zero`` read without
end. Whatever is wrong with a file comes out as an ``OSError`` whose ``strerror`` says it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from pytest_thor.units import format_bytes

_PIECE_BYTES = 4 << 20
_KINDS = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


class UnfitFileError(OSError):
    """It is there and is no plain file, or is longer than any that can be meant."""


def open_plain(path: Path) -> BufferedReader:
    """Open a plain file for reading.

    Raises:
        UnfitFileError: it is a named pipe, a socket or a device.
        OSError: it is not there, is a folder, or cannot be read.
    """
    mode = path.stat().st_mode
    if kind := _KINDS.get(stat.S_IFMT(mode)):
        raise UnfitFileError(errno.EINVAL, f"it is {kind}, not a file", str(path))
    return path.open("rb")


def read_plain(path: Path, *, at_most_bytes: int) -> bytes:
    """Return the content of a plain file that holds text.

    Raises:
        UnfitFileError: it is no plain file, longer than ``at_most_bytes``, or begins with zeros.
        OSError: it is not there, or cannot be read.
    """
    with open_plain(path) as file:
        if file.peek(1).startswith(b"\0"):  # however many follow
            raise UnfitFileError(errno.EINVAL, "it begins with zeros, as a crash leaves files", str(path))
        size = os.fstat(file.fileno()).st_size
        if size <= at_most_bytes:
            content = file.read(size + 1)  # not up to the limit at once, which would be set aside whole
            if len(content) > size:  # it grows, or is one of those that the kernel makes up
                content += file.read(at_most_bytes + 1 - len(content))
            if len(content) <= at_most_bytes:
                return content
    raise UnfitFileError(errno.EFBIG, f"it is larger than {format_bytes(at_most_bytes)}", str(path))


def plain_lines(path: Path, *, begin: bytes, at_most_bytes: int) -> Iterator[bytes]:
    """Yield the lines of a plain file of text that begin with ``begin``, in order, each with its end.

    Others are never held whole, and neither are those longer than ``at_most_bytes`` or with zeros in them: what a crash
    left of a file may be a gigabyte of zeros.

    Raises:
        UnfitFileError: it is no plain file.
        OSError: it is not there, or cannot be read.
    """
    with open_plain(path) as file:
        while line := file.readline(_PIECE_BYTES):
            pieces, left = [line], at_most_bytes - len(line)
            wanted = line.startswith(begin) and b"\0" not in line
            while not line.endswith(b"\n") and (line := file.readline(_PIECE_BYTES)):
                left -= len(line)
                wanted = wanted and left >= 0 and b"\0" not in line
                pieces = [*pieces, line] if wanted else []
            if wanted:
                yield b"".join(pieces)


def file_sha256(path: Path) -> str:
    """Return the hash of a plain file's content.

    Raises:
        UnfitFileError: it is no plain file.
        OSError: it is not there, or cannot be read.
    """
    digest = hashlib.sha256()
    with open_plain(path) as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()
