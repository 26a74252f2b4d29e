"""Keeps what the environment holds as a secret out of everything that is stored, shown or logged."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

_SECRET = re.compile(
    r"TOKEN|SECRET|PASSW|CREDENTIAL|AUTHORIZATION|(?:API|ACCESS|PRIVATE|SIGNING)_?KEY|(?:^|_)(?:KEY|PAT|PASS|AUTH)$",
    re.IGNORECASE,
)
_SHORTEST = 8
"""A shorter value is a word that may stand anywhere; replacing it would spoil the text and hide nothing."""


def names_a_secret(name: str) -> bool:
    """Tell whether a variable of this name holds what nobody should see: ``HF_TOKEN``, ``OPENAI_API_KEY``."""
    return _SECRET.search(name) is not None


def redacted(text: str, environ: Mapping[str, str] | None = None) -> str:
    """Return text in which ``***`` stands for every value of a secret variable, such as an engine may print."""
    for value in sorted(_secrets(os.environ if environ is None else environ), key=len, reverse=True):
        text = text.replace(value, "***")
    return text


def _secrets(environ: Mapping[str, str]) -> Iterator[str]:
    for name, value in environ.items():
        if names_a_secret(name):
            for part in {value, value.strip(), *value.split()}:
                if len(part) >= _SHORTEST:
                    yield part
