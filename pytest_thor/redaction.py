"""Keeps what is secret out of everything that is stored, shown or logged: what the environment holds, and addresses."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

_SECRET = re.compile(
    r"TOKEN(?!I[SZ])|SECRET|PASSW|CREDENTIAL|AUTHORIZATION|"
    r"(?:API|ACCESS|PRIVATE|SIGNING)_?KEY|(?:^|_)(?:KEY|PAT|PASS|AUTH)$",
    re.IGNORECASE,
)
_SHORTEST = 8
"""A shorter value is a word that may stand anywhere; replacing it would spoil the text and hide nothing."""
_WRITTEN = (
    # An address with a name and a password in it, as HTTPS_PROXY and HF_ENDPOINT may have.
    (re.compile(r"(?<=://)[^\s/?#\"'<>]{1,500}@"), "***@"),
    # A parameter of an address, as in those that a store has signed.
    (
        re.compile(
            r"([?&;][^=&;?\s]{0,60}?(?:key|token|secret|signature|credential|password|auth|sig)=)[^&;#\s\"'<>]+",
            re.IGNORECASE,
        ),
        r"\1***",
    ),
    (re.compile(r"(\bauthorization\W{1,6}(?:bearer|basic|token)\s{1,9})[^\s\"',}]+", re.IGNORECASE), r"\1***"),
    # Tokens that their makers marked, wherever they were kept: of the hub, of GitHub, of those who serve models.
    # Files have names that begin like the hub's; some tokens are three parts with points between (RFC 7519).
    (
        re.compile(
            r"\b(?:hf_(?:[a-z]{1,10}_)?[A-Za-z0-9]{16}|(?:gh[pousr]_|github_pat_|sk-)[A-Za-z0-9_-]{16})[A-Za-z0-9_-]*"
            r"(?:\.[A-Za-z0-9_-]{16,})*"
        ),
        "***",
    ),
)


def names_a_secret(name: str) -> bool:
    """Tell whether a variable of this name holds what nobody should see: ``HF_TOKEN``, ``OPENAI_API_KEY``."""
    return _SECRET.search(name) is not None


def redacted(text: str, environ: Mapping[str, str] | None = None) -> str:
    """Return text in which ``***`` stands for every secret that an engine may print.

    That is every value of a secret variable, and what tells by the way it is written that it is one: the name and the
    password in an address, a signed address's signature, an ``Authorization`` header, a token.
    """
    for value in sorted(_secrets(os.environ if environ is None else environ), key=len, reverse=True):
        text = text.replace(value, "***")
    for pattern, instead in _WRITTEN:
        text = pattern.sub(instead, text)
    return text


class Secret(str):
    """Text that is itself where it is sent, and stars where it is represented: in a traceback with its locals."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def _secrets(environ: Mapping[str, str]) -> Iterator[str]:
    for name, value in environ.items():
        if names_a_secret(name):
            for part in {value, value.strip(), *value.split()}:
                if len(part) >= _SHORTEST:
                    yield part
