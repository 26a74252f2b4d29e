"""Sound files, damaged as chance, bad disks and bad people damage them: cut, spliced, and with hostile pieces in place.

A piece is put where a number, a word or a text stands, so that what comes out is mostly still of its format and reaches
the code behind the parser. The same edits serve every format; how many and where is drawn by hypothesis, or by chance.
"""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

_TOKEN = re.compile(rb'"(?:[^"\\\n]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[A-Za-z_]\w*|[^\sA-Za-z0-9_]')
_DEEP = 3000

NUMBERS = (
    *(b"0", b"-1", b"7", b"1e400", b"-1e400", b"1e-400", b"NaN", b"0.5", b"007", b"1_000", b"\xc2\xb2", b"\xd9\xa3"),
    *(b"9" * 40, b"9" * 400, b"9" * 5000, b"-" + b"9" * 400, b"2147483648", b"9223372036854775808", b"99999999999"),
)
"""Numbers that are none, that no machine counts to, and that only some readers take for numbers."""
VALUES = (
    *(b"null", b"true", b'""', b"[]", b"{}", b"[[]]", b'{"":{}}', b'[1,"a",null]', b'{"message":[1]}', b'"999"'),
    *(b'["a",99999999999]', b"[[0],99999999999]", b"[" * _DEEP, b'{"a":' * _DEEP, b"[" * 900 + b"]" * 900, b"Infinity"),
    *(
        b'"\\ud800"',
        b'"\\u0000"',
        b'"\\ud83d\\ude00"',
        b'"' + b"a" * 5000 + b'"',
        b'"../../etc/passwd"',
        b'"/dev/zero"',
    ),
)
"""What may stand where another value is expected: of another kind, too deep, with half a character, with a way out."""
SIGNS = (
    *(b"", b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\xc2\x85", b"\xef\xbb\xbf", b"\r", b"\r\n\r\n"),
    *(b"\n\n", b"\t", b"\x1b[31m", b" " * 3000, b"a" * 3000, b"|", b"| - |", b"```", b"&a ", b"*a", b"<<: *a", b"? "),
    *(b"!!python/name:os.system ", b"{{", b"%s", b"\\", b"'", b'"', b"--- "),
    *(struct.pack("<Q", number) for number in (0, 1, 2**31, 2**32 - 1, 2**60, 2**63, 2**64 - 1)),
    *(struct.pack("<I", number) for number in (0, 8, 9, 2**31, 2**32 - 1)),
)
"""What ends, opens or escapes something in some format, and lengths as binary files have them."""
_HOSTILE = (NUMBERS, VALUES, SIGNS)
PIECES = st.one_of(*map(st.sampled_from, _HOSTILE), st.binary(max_size=8))


@dataclass(frozen=True, slots=True)
class Edit:
    """One damage: ``at`` and ``size`` are shares of the whole in 65,536ths, ``piece`` is what is put there."""

    kind: str
    at: int
    size: int
    piece: bytes


KINDS = (*["token"] * 6, "put", "replace", "repeat", "remove", "flip", "splice", "cut")
_WHOLE = 1 << 16
_SHARES = st.integers(0, _WHOLE - 1)  # not floats, which hypothesis likes to be 0, 1 and tiny
EDITS = st.lists(
    st.builds(Edit, st.sampled_from(KINDS), _SHARES, _SHARES, PIECES),
    min_size=1,
    max_size=4,
)


def an_edit(chance: random.Random) -> Edit:
    """Return one of the same edits, drawn without hypothesis."""
    pieces = chance.choice((*_HOSTILE, (chance.randbytes(chance.randrange(9)),)))
    return Edit(chance.choice(KINDS), chance.randrange(_WHOLE), chance.randrange(_WHOLE), chance.choice(pieces))


def damaged(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Return a strategy of damaged copies of sound contents; now and then it is something else altogether."""
    copies = st.builds(lambda seed, edits: damage(seed, edits, seeds), st.sampled_from(seeds), EDITS)
    return st.one_of(copies, copies, copies, copies, st.binary(max_size=60))


def damage(content: bytes, edits: Sequence[Edit], others: Sequence[bytes]) -> bytes:
    """Return a content with the edits made, one after the other."""
    for edit in edits:
        content = _edited(content, edit, others)
    return content


def _edited(content: bytes, edit: Edit, others: Sequence[bytes]) -> bytes:  # noqa: PLR0911
    at = edit.at * len(content) // _WHOLE
    size = edit.size / _WHOLE
    until = min(at + 1 + int(size * 40), len(content))
    if edit.kind == "cut":
        return content[:at]
    if edit.kind == "put":
        return content[:at] + edit.piece + content[at:]
    if edit.kind == "replace":
        return content[:at] + edit.piece + content[at + len(edit.piece) :]
    if edit.kind == "token":
        token = _TOKEN.search(content, at)
        return content if token is None else content[: token.start()] + edit.piece + content[token.end() :]
    if edit.kind == "repeat":
        return content[:until] + content[at:until] * (1 + int(size * 8)) + content[until:]
    if edit.kind == "remove":
        return content[:at] + content[until:]
    if edit.kind == "flip":
        return content[:at] + bytes(byte ^ (1 << int(size * 7)) for byte in content[at : at + 1]) + content[at + 1 :]
    other = others[int(size * (len(others) - 1))]
    return content[:at] + other[int(size * len(other)) :]
