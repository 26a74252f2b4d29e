r"""JSON that somebody else wrote: its value, or one kind of error for everything that is wrong with it.

Python's reader lets four things through that hurt later: nesting that ends in a RecursionError, halves of characters
(``\ud800``) that no file and no terminal takes, bytes in whatever encoding they seem to be in, and a hundred million
``{}``, each of which takes thirty times the memory of its text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""How half of a character is written, one of those outside the first 65,536, which take two."""

_MOST_CONTAINERS = 2_000_000
"""Objects and lists in a text; the largest known, of tokenizers, have less than half of that."""


def parse(
    text: str | bytes,
    *,
    parse_int: Callable[[str], Any] | None = None,
    parse_constant: Callable[[str], Any] | None = None,
    object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:  # noqa: ANN401 - JSON is anything
    """Return the value of a text, or of UTF-8; the hooks are those of :func:`json.loads`.

    Raises:
        ValueError: it is no JSON (:class:`json.JSONDecodeError`), nested too deeply, or holds too much, or what no text
            can; of the latter three, the message is the rest of a sentence.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    if text.count("{") + text.count("[") > _MOST_CONTAINERS:
        raise ValueError(f"holds more than {_MOST_CONTAINERS} objects and lists")
    try:
        value = json.loads(
            text, parse_int=parse_int, parse_constant=parse_constant, object_pairs_hook=object_pairs_hook
        )
        if HALF.search(text) and not is_text(value):
            raise ValueError("holds half of a character, which no text can")
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    return value


def is_text(value: object) -> bool:
    """Tell whether all text in a value of JSON can be written to a file.

    Raises:
        RecursionError: the value is nested too deeply.
    """
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
