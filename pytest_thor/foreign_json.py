r"""JSON that somebody else wrote: its value, or one kind of error for everything that is wrong with it.

Python's reader lets three things through that hurt later: nesting that ends in a RecursionError, halves of characters
(``\ud800``) that no file and no terminal takes, and bytes in whatever encoding they seem to be in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # of a character outside the first 65,536, which takes two of them


def parse(
    text: str | bytes,
    *,
    parse_int: Callable[[str], Any] | None = None,
    parse_constant: Callable[[str], Any] | None = None,
    object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:  # noqa: ANN401 - JSON is anything
    """Return the value of a text, or of UTF-8; the hooks are those of :func:`json.loads`.

    Raises:
        ValueError: it is no JSON, nested too deeply, or holds what no text can; JSON's own faults are a
            :class:`json.JSONDecodeError`.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    try:
        value = json.loads(
            text, parse_int=parse_int, parse_constant=parse_constant, object_pairs_hook=object_pairs_hook
        )
        if _HALF.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeEncodeError:
        raise ValueError("it holds half of a character, which no text can") from None
    return value
