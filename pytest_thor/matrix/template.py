"""Artifact paths with holes: ``Qwen3-8B-{quant}.gguf``."""

from __future__ import annotations

import re
from collections.abc import Mapping

_TOKEN = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}|[{}]")


def variables(template: str) -> tuple[str, ...]:
    """Return the names of a template's holes, in order.

    Raises:
        ValueError: a brace has no partner, or holds something that is not a name.
    """
    names = []
    for token in _TOKEN.finditer(template):
        if token[1]:
            names.append(token[1])
        elif token[0] in "{}":
            raise ValueError(
                f"the brace {token[0]!r} at character {token.start() + 1} of {template!r} is not part of a {{name}}; "
                f"write {token[0] * 2} for a brace itself"
            )
    return tuple(names)


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return a template with its holes filled; every hole must have a value."""
    return _TOKEN.sub(lambda token: values[token[1]] if token[1] else token[0][0], template)
