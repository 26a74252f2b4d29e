"""The setting ``extra_args``: what it may not say."""

from __future__ import annotations

from collections.abc import Mapping

DESCRIPTION = "Further arguments, handed over as they are."


def leaving_alone(words: tuple[str, ...], *, ours: Mapping[str, str], settings: Mapping[str, str]) -> tuple[str, ...]:
    """Return further arguments that say nothing which is said elsewhere already.

    ``ours`` has why an option is not for the user, ``settings`` the setting that stands for one. Long options may be
    written with ``_`` for ``-``: every program of llama.cpp and vLLM takes them so.

    Raises:
        ValueError: one of them does; the option is named, and where it belongs.
    """
    for word in words:
        option = word.partition("=")[0]
        if option.startswith("--"):
            option = option.replace("_", "-")
        if option in ours:
            raise ValueError(f"{option} is {ours[option]}")
        if option in settings:
            raise ValueError(f"{option} has a setting of its own: {settings[option]}")
    return words
