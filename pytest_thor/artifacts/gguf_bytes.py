"""A bounded walk over the bytes of a GGUF header: no file can make it read or keep more than the limits."""

from __future__ import annotations

import struct
import sys
from array import array
from io import RawIOBase
from pathlib import Path

from pytest_thor.cell import Scalar
from pytest_thor.errors import ArtifactInvalid

MAX_HEADER_BYTES = 256 << 20  # the largest known headers (262k tokens with scores and merges) take 16 MiB
MAX_ARRAY_STRINGS = 8 << 20  # over all arrays of a header: 30 times the largest vocabularies with their merges
MAX_KEY_BYTES = 65535  # by the GGUF specification
KEPT_STRING_BYTES = 1024  # longer ones are chat templates and licences, which nobody here asks for
_FIRST_READ_BYTES = 64 << 10  # then twice as much each time, up to the next
_READ_BYTES = 1 << 20
_PIECE_BYTES = 256 << 10
_SHORT_BYTES = 16 << 10  # shorter arrays are walked as fast as they are compared
_LONG_BYTES = 16 << 20
_REMEMBERED_BYTES = 48 << 20  # a vocabulary and its merges take about 5 MB

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
    """String arrays that were walked before, the last used first: the models of a collection share few vocabularies.

    All of an array's bytes are compared, which takes a twentieth of the time of walking it. To trust its start and the
    number of strings would save another fifth of a listing, and would let a string that holds a header of its own pass
    for one. The tuple is replaced and never changed, so that threads may read headers at once.
    """

    def __init__(self) -> None:
        self.arrays: tuple[tuple[int, bytes], ...] = ()

    def remember(self, count: int, content: bytes) -> None:
        """Keep an array of ``count`` strings in front, and let go of those that were not used for longest."""
        kept, room = [(count, content)], _REMEMBERED_BYTES - len(content)
        for known in self.arrays:
            if known[1] is not content and room >= len(known[1]):
                kept.append(known)
                room -= len(known[1])
        self.arrays = tuple(kept)


_WALKED = _Walked()


class HeaderBytes:
    """The start of an open file, read in growing pieces as the walk moves on.

    Plain reads rather than a memory map: a file that another process cuts short while it is mapped ends the whole
    process with SIGBUS. ``position`` is the offset of the next byte to be read. ``file`` has to be unbuffered.
    """

    def __init__(self, path: Path, file: RawIOBase, size_bytes: int) -> None:
        self.path = path
        self.size_bytes = size_bytes
        self.position = 0
        self._file = file
        self._data = bytearray()
        self._start = 0  # of the data in the file
        self._ahead = _FIRST_READ_BYTES
        self._strings_left = MAX_ARRAY_STRINGS

    def invalid(self, message: str, *, at: int | None = None) -> ArtifactInvalid:
        """Return the error that names this file and the byte where the trouble is."""
        return ArtifactInvalid(f"{self.path}: byte {self.position if at is None else at}: {message}")

    def require(self, count: int, what: str) -> None:
        """Make sure that ``count`` bytes follow ``position``, and have them at hand.

        Raises:
            ArtifactInvalid: the file or the limit of a header ends before.
        """
        end, have = self.position + count, self._start + len(self._data)
        if end <= have:
            return
        self._check_within(count, what)
        wanted = min(max(end, have + self._ahead), self.size_bytes, MAX_HEADER_BYTES)
        self._ahead = min(2 * self._ahead, _READ_BYTES)
        self._file.seek(have)
        while have < end and (piece := self._file.read(wanted - have)):
            self._data += piece
            have += len(piece)
        if have < end:
            raise self.invalid(f"the file became shorter while it was read: expected {what} ({count} bytes)")

    def take(self, count: int, what: str) -> bytes:
        """Return the next ``count`` bytes."""
        self.require(count, what)
        start = self.position - self._start
        self.position += count
        return bytes(self._data[start : start + count])

    def u32(self, what: str) -> int:
        """Return the next unsigned 32-bit number."""
        return self.numbers(_U32, what)[0]

    def u64(self, what: str) -> int:
        """Return the next unsigned 64-bit number."""
        return self.numbers(_U64, what)[0]

    def numbers(self, layout: struct.Struct, what: str) -> tuple[int, ...]:
        """Return the next numbers of a layout of whole numbers."""
        self.require(layout.size, what)
        found = layout.unpack_from(self._data, self.position - self._start)
        self.position += layout.size
        return found

    def text(self, limit_bytes: int, what: str) -> str:
        """Return the next string, which has to be UTF-8 of at most ``limit_bytes``."""
        start = self.position
        (length,) = self.numbers(_U64, what)
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
        if length > KEPT_STRING_BYTES:
            self._pass_over(length, what)
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
            self._pass_over(count * _SCALARS[kind].size, what)
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
            data, position, walked = self._data, self.position - self._start, 0
            try:  # the hot loop, 300,000 turns for a usual vocabulary: its only check is the reader's own
                for walked in range(count):  # noqa: B007 - read after the loop
                    (length,) = unpack(data, position)
                    position += length + 8
            except (struct.error, OverflowError):
                count -= walked
            else:
                count = 0
            position += self._start
            if position > min(self.size_bytes, MAX_HEADER_BYTES):
                raise self.invalid(
                    f"a string of {what} reaches to byte {position}, but the file ends at byte {self.size_bytes} "
                    f"and a header at {MAX_HEADER_BYTES} at most; it is truncated or damaged, so fetch it again",
                    at=start,
                )
            self.position = position
        self.require(0, what)
        if _SHORT_BYTES <= self.position - start <= _LONG_BYTES:
            _WALKED.remember(strings, bytes(self._data[start - self._start : self.position - self._start]))

    def _skip_as_before(self, count: int) -> bool:
        """Pass over so many strings if they are, byte for byte, an array that was walked before."""
        for strings, content in _WALKED.arrays:
            end = self.position + len(content)
            if strings == count and end <= min(self.size_bytes, MAX_HEADER_BYTES) and self._follows(content):
                self._move_to(end)
                _WALKED.remember(count, content)
                return True
        return False

    def _follows(self, content: bytes) -> bool:
        """Tell whether ``content`` stands at ``position``, reading what is not at hand in pieces that are not kept.

        A piece that stays in the processor's cache is compared as it comes, which no large buffer would allow.
        """
        with memoryview(self._data)[self.position - self._start :][: len(content)] as at_hand:
            if not content.startswith(at_hand):
                return False
            compared = len(at_hand)
        piece = bytearray(_PIECE_BYTES)
        self._file.seek(self.position + compared)
        with memoryview(piece) as view:
            while compared < len(content):
                read = self._file.readinto(view[: len(content) - compared])
                if not read or not content.startswith(view[:read], compared):
                    return False
                compared += read
        return True

    def _pass_over(self, count: int, what: str) -> None:
        """Move over bytes that nobody asks for, without reading them."""
        self._check_within(count, what)
        self._move_to(self.position + count)

    def _move_to(self, position: int) -> None:
        self.position = position
        if position > self._start + len(self._data):
            self._data, self._start, self._ahead = bytearray(), position, _FIRST_READ_BYTES

    def _check_within(self, count: int, what: str) -> None:
        end = self.position + count
        if end > self.size_bytes:
            raise self.invalid(
                f"the file ends at byte {self.size_bytes}, before the end of {what} ({count} bytes); "
                "it is truncated or damaged, so fetch it again"
            )
        if end > MAX_HEADER_BYTES:
            raise self.invalid(f"{what} ({count} bytes) goes beyond the {MAX_HEADER_BYTES} bytes a header may take")


def shown(name: str) -> str:
    """Return a name from the file as it may stand in a message: on one line, and not endless."""
    return repr(name if len(name) <= 80 else f"{name[:77]}…")
