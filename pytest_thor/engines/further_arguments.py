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
    that whoever looks for one finds it.

    Raises:
        ValueError: one of them does; the option is named, and where it belongs.
    """
    found = []
    for word in words:
        option, equals, value = word.partition("=")
        if option.startswith("--"):
            option = option.replace("_", "-")
        if option in ours:
            raise ValueError(f"{option} is {ours[option]}")
        if option in settings:
            raise ValueError(f"{option} has a setting of its own: {settings[option]}")
        found.append(f"{option}{equals}{value}")
    return tuple(found)
