"""A bounded walk over the bytes of a GGUF header: no file can make it read or keep more than the limits."""

from __future__ import annotations

import struct
import sys
from array import array
from pathlib import Path
from typing import BinaryIO

from pytest_thor.cell import Scalar
from pytest_thor.errors import ArtifactInvalid

MAX_HEADER_BYTES = 256 << 20  # the largest known headers (262k tokens with scores and merges) take 16 MiB
MAX_ARRAY_STRINGS = 8 << 20  # over all arrays of a header: 30 times the largest vocabularies with their merges
MAX_KEY_BYTES = 65535  # by the GGUF specification
KEPT_STRING_BYTES = 1024  # longer ones are chat templates and licences, which nobody here asks for
_READ_BYTES = 1 << 20
_SHORT_BYTES = 64 << 10  # shorter arrays are walked as fast as they are compared
_LONG_BYTES = 16 << 20
_REMEMBERED = 8

_SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_I32, _STRING, _ARRAY = 5, 8, 9
_U32, _U64 = _SCALARS[4], _SCALARS[10]


class _Walked:
    """String arrays that were walked before, newest first: the quants of a model share one vocabulary.

    Comparing an array's bytes takes a tenth of the time of walking it. The tuple is replaced and never changed, so that
    threads may read headers at once.
    """

    def __init__(self) -> None:
        self.arrays: tuple[tuple[int, bytes], ...] = ()

    def remember(self, count: int, content: bytes) -> None:
        """Keep an array of ``count`` strings, and let go of the oldest."""
        self.arrays = ((count, content), *self.arrays)[:_REMEMBERED]


_WALKED = _Walked()


class HeaderBytes:
    """The start of an open file, read in growing pieces as the walk moves on.

    Plain reads rather than a memory map: a file that another process cuts short while it is mapped ends the whole
    process with SIGBUS. ``position`` is the offset of the next byte to be read.
    """

    def __init__(self, path: Path, file: BinaryIO, size_bytes: int) -> None:
        self.path = path
        self.size_bytes = size_bytes
        self.position = 0
        self._file = file
        self._data = bytearray()
        self._strings_left = MAX_ARRAY_STRINGS

    def invalid(self, message: str, *, at: int | None = None) -> ArtifactInvalid:
        """Return the error that names this file and the byte where the trouble is."""
        return ArtifactInvalid(f"{self.path}: byte {self.position if at is None else at}: {message}")

    def walked(self) -> memoryview:
        """Return every byte up to ``position``."""
        return memoryview(self._data)[: self.position]

    def require(self, count: int, what: str) -> None:
        """Make sure that ``count`` bytes follow ``position``.

        Raises:
            ArtifactInvalid: the file or the limit of a header ends before.
        """
        end = self.position + count
        if end <= len(self._data):
            return
        if end > self.size_bytes:
            raise self.invalid(
                f"the file ends at byte {self.size_bytes}, before the end of {what} ({count} bytes); "
                "it is truncated or damaged, so fetch it again"
            )
        if end > MAX_HEADER_BYTES:
            raise self.invalid(f"{what} ({count} bytes) goes beyond the {MAX_HEADER_BYTES} bytes a header may take")
        wanted = min(max(end, len(self._data) + _READ_BYTES), self.size_bytes, MAX_HEADER_BYTES)
        self._data += self._file.read(wanted - len(self._data))
        if end > len(self._data):
            raise self.invalid(f"the file became shorter while it was read: expected {what} ({count} bytes)")

    def take(self, count: int, what: str) -> bytes:
        """Return the next ``count`` bytes."""
        self.require(count, what)
        start, self.position = self.position, self.position + count
        return bytes(self._data[start : self.position])

    def u32(self, what: str) -> int:
        """Return the next unsigned 32-bit number."""
        return int(_U32.unpack(self.take(4, what))[0])

    def u64(self, what: str) -> int:
        """Return the next unsigned 64-bit number."""
        return int(_U64.unpack(self.take(8, what))[0])

    def numbers(self, layout: struct.Struct, what: str) -> tuple[int, ...]:
        """Return the next numbers of a layout of whole numbers."""
        return layout.unpack(self.take(layout.size, what))

    def text(self, limit_bytes: int, what: str) -> str:
        """Return the next string, which has to be UTF-8 of at most ``limit_bytes``."""
        start = self.position
        length = self.u64(f"the length of {what}")
        if length > limit_bytes:
            raise self.invalid(f"expected {what} of at most {limit_bytes} bytes, found a length of {length}", at=start)
        try:
            return self.take(length, what).decode()
        except UnicodeDecodeError as error:
            raise self.invalid(f"expected {what} in UTF-8: {error.reason}", at=start) from None

    def value(self, what: str) -> Scalar:
        """Return the next metadata value, its type being in front; arrays and long strings are skipped: None."""
        start = self.position
        kind = self.u32(f"the type of {what}")
        if kind == _STRING:
            return self._short_string(what)
        if kind == _ARRAY:
            self._skip_array(what)
            return None
        if kind not in _SCALARS:
            raise self.invalid(f"expected the type of {what}, a number from 0 to 12, found {kind}", at=start)
        scalar = _SCALARS[kind]
        value: Scalar = scalar.unpack(self.take(scalar.size, what))[0]
        return value

    def integers(self, what: str) -> tuple[int, array[int] | None]:
        """Return the length of the array that the next value is, and its elements if they are 32-bit integers.

        Raises:
            ArtifactInvalid: the value is no array.
        """
        start = self.position
        if self.u32(f"the type of {what}") != _ARRAY:
            raise self.invalid(f"expected {what} to be an array", at=start)
        array_start = self.position
        kind, count = self.u32(f"the element type of {what}"), self.u64(f"the length of {what}")
        if kind != _I32:
            self.position = array_start
            self._skip_array(what)
            return count, None
        elements = array("i")
        elements.frombytes(self.take(count * elements.itemsize, what))
        if sys.byteorder == "big":
            elements.byteswap()
        return count, elements

    def _short_string(self, what: str) -> str | None:
        length = self.u64(f"the length of {what}")
        self.require(length, what)
        if length > KEPT_STRING_BYTES:
            self.position += length
            return None
        return self.take(length, what).decode(errors="replace")

    def _skip_array(self, what: str) -> None:
        start = self.position
        kind = self.u32(f"the element type of {what}")
        count = self.u64(f"the length of {what}")
        if kind == _ARRAY:
            raise self.invalid(f"{what} is an array of arrays, which llama.cpp does not read either", at=start)
        if kind == _STRING:
            self._skip_strings(count, what)
        elif kind in _SCALARS:
            size = count * _SCALARS[kind].size
            self.require(size, what)
            self.position += size
        else:
            raise self.invalid(f"expected the element type of {what}, 0 to 8 or 10 to 12, found {kind}", at=start)

    def _skip_strings(self, count: int, what: str) -> None:
        """Walk over ``count`` strings from length to length, without making an object of any."""
        if count > self._strings_left or count * 8 > self.size_bytes - self.position:
            raise self.invalid(f"{what} claims {count} strings, more than the file or any vocabulary holds")
        self._strings_left -= count
        if self._skip_as_before(count):
            return
        unpack, start, strings = _U64.unpack_from, self.position, count
        while count:
            self.require(8, what)
            data, position, walked = self._data, self.position, 0
            try:  # the hot loop, 300,000 turns for a usual vocabulary: its only check is the reader's own
                for walked in range(count):  # noqa: B007 - read after the loop
                    (length,) = unpack(data, position)
                    position += length + 8
            except (struct.error, OverflowError):
                count -= walked
            else:
                count = 0
            if position > min(self.size_bytes, MAX_HEADER_BYTES):
                raise self.invalid(
                    f"a string of {what} reaches to byte {position}, but the file ends at byte {self.size_bytes} "
                    f"and a header at {MAX_HEADER_BYTES} at most; it is truncated or damaged, so fetch it again",
                    at=start,
                )
            self.position = position
        self.require(0, what)
        self._remember(strings, start)

    def _skip_as_before(self, count: int) -> bool:
        """Skip so many strings if they are, byte for byte, an array that was walked before."""
        for strings, content in _WALKED.arrays:
            end = self.position + len(content)
            if strings == count and end <= min(self.size_bytes, MAX_HEADER_BYTES):
                self.require(len(content), "an array of strings")
                if self._data.startswith(content, self.position):
                    self.position = end
                    return True
        return False

    def _remember(self, count: int, start: int) -> None:
        if _SHORT_BYTES <= self.position - start <= _LONG_BYTES:
            _WALKED.remember(count, bytes(self._data[start : self.position]))


def shown(name: str) -> str:
    """Return a name from the file as it may stand in a message: on one line, and not endless."""
    return repr(name if len(name) <= 80 else f"{name[:77]}…")
