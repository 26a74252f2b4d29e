"""Which version a server is that somebody else has started, as far as it tells.

``/v1/models`` does not say it. The ``Server`` header is not used: it names the HTTP library, or a proxy in front of the
engine, and one of those may be upgraded without the other.
"""

from __future__ import annotations

import time
from typing import Any

from pytest_thor.engines.http_get import Place, get

_ROUTES = (
    ("/version", "version"),  # vLLM, trtllm-serve
    ("/props", "build_info"),  # llama-server
    ("/server_info", "version"),  # SGLang
    ("/get_server_info", "version"),  # older SGLang
    ("/api/version", "version"),  # Ollama
    ("/info", "version"),  # Text Generation Inference
)
_LONGEST = 100


def version_of(place: Place, *, timeout_s: float = 3.0) -> str | None:
    """Ask a server for its version where the engines tell theirs; None where it is not known or does not answer.

    ``timeout_s`` bounds all the questions together. A version that holds what only the headers may (a key) is None too.
    """
    deadline = time.monotonic() + timeout_s
    for path, name in _ROUTES:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            return None
        answer = get(place, path, timeout_s=left_s)
        if answer.status is None:
            return None
        version = _named(answer.json(), name) if answer.ok else None
        if version is not None:
            return None if _holds_a_secret(version, place) else version
    return None


def _named(content: Any, name: str) -> str | None:  # noqa: ANN401 - JSON is anything
    version = content.get(name) if isinstance(content, dict) else None
    if not isinstance(version, str):
        return None
    version = version.strip()
    return version if version and len(version) <= _LONGEST and version.isprintable() else None


def _holds_a_secret(text: str, place: Place) -> bool:
    return any(value.rpartition(" ")[2] in text for value in place.headers.values())
