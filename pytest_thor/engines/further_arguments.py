"""The setting ``extra_args``: what it may not say."""

from __future__ import annotations

import re
from collections.abc import Mapping

DESCRIPTION = "Further arguments, handed over as they are; no keys and tokens."
_SECRET = re.compile(
    r"-hft|--(?:token|secret|password|credentials?|.*-(?:secret|password|credentials?)|(?:.*-)?(?:api|access|secret)-key"
    r"|(?:.*-)?(?:hf|hub|auth|access|api|bearer)-token)"
)
_SHORTENED = ("--api-key", "--hf-token")
"""Programs that take the beginning of an option for all of it take these from ``--api-`` and ``--hf-t`` on."""


def leaving_alone(words: tuple[str, ...], *, ours: Mapping[str, str], settings: Mapping[str, str]) -> tuple[str, ...]:
    """Return further arguments that say nothing which is said elsewhere already.

    ``ours`` has why an option is not for the user, ``settings`` the setting that stands for one. Long options may be
    written with ``_`` for ``-``, as every program of llama.cpp and vLLM takes them; they are returned with ``-``, so
    that whoever looks for one finds it. What follows a dot is a key of vLLM's (``--hf-overrides.rope_scaling``), and
    stays as it is. An option for a key or a token is refused: it would stand in the matrix, the report and the list of
    processes.

    Raises:
        ValueError: one of them does, or is an option for a secret; the option is named, and where it belongs.
    """
    found = []
    for word in words:
        option, equals, value = word.partition("=")
        if option.startswith("--"):
            name, dot, key = option.partition(".")
            option = f"{name.replace('_', '-')}{dot}{key}"
        if option in ours:
            raise ValueError(f"{option} is {ours[option]}")
        if option in settings:
            raise ValueError(f"{option} has a setting of its own: {settings[option]}")
        shortened = len(option) > len("--hf-") and any(each.startswith(option) for each in _SHORTENED)
        if shortened or _SECRET.fullmatch(option):
            raise ValueError(
                f"{option} takes a secret, which has no place in a matrix: engines read theirs from the "
                "environment (HF_TOKEN)"
            )
        found.append(f"{option}{equals}{value}")
    return tuple(found)
