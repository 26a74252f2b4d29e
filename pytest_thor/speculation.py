"""Does an engine guess ahead? Then a step may give several tokens, and a time per token says little of a step."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pytest_thor.cell import Setting

_SPECULATIVE = re.compile(r"specul|draft|lookup|ngram|mtp|eagle|^-md$", re.IGNORECASE)


def guesses_ahead(settings: Mapping[str, Setting]) -> bool:
    """Tell whether a backend's settings, extra arguments included, name any kind of speculative decoding."""
    return any(
        _SPECULATIVE.search(name)
        or (isinstance(value, tuple) and any(_SPECULATIVE.search(str(word)) for word in value))
        for name, value in settings.items()
    )
