"""Names that are safe in a test's id and a file's name, and the nearest one to a mistyped one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

MAX_NAME = 64
"""Characters in a name."""
MAX_ID = 230
"""Characters in a cell's id: with a suffix it fits in a file name of 255 bytes."""
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@+-]*$"

_NAME = re.compile(NAME_PATTERN.removesuffix("$") + r"\Z")
_UNSAFE = re.compile(r"[^A-Za-z0-9._@+-]")


def safe_name(name: str) -> str:
    """Return ``name`` if it may stand in a node id and a file name.

    Raises:
        ValueError: it may not.
    """
    if len(name) > MAX_NAME:
        raise ValueError(f"a name of {len(name)} characters is too long: at most {MAX_NAME}")
    if _NAME.match(name):
        return name
    if not name:
        raise ValueError("a name may not be empty")
    unsafe = _UNSAFE.search(name)
    why = f"may not contain {unsafe[0]!r}" if unsafe else f"may not begin with {name[0]!r}"
    raise ValueError(
        f"the name {name!r} {why}: it becomes part of test ids and file names, so use letters, digits and ._@+-, "
        "a letter or digit first"
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """Return advice that follows a complaint about an unknown name: the nearest one, or all there are."""
    choices = sorted(known)
    if not choices:
        return ""
    if len(name) <= MAX_NAME and len(choices) <= 200:  # difflib is slow on much text, and of no help there
        lowered = {choice.lower(): choice for choice in choices}
        close = get_close_matches(name.lower(), lowered, n=1)
        if close:
            return f"; did you mean {lowered[close[0]]!r}?"
    shown = ", ".join(choices[:20])
    return f"; known: {shown}{', …' if len(choices) > 20 else ''}"
