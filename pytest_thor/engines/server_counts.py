"""What a server's own counters say of a load, held against what its answers said."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from pytest_thor.engines.service import Service
from pytest_thor.serving.vllm_result import ServerCount

_LAG_S = 2.0
"""How long a server's counters may lag behind its last answer."""
_PAUSE_S = 0.05


class Tally:
    """A server's counters before a load, to be compared with those after it; warm-up requests lie in between too.

    Counters that a server does not have are not compared, nor is the count of tokens of one that others may use.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._cached = service.cached_tokens()
        self._tokens = None if service.server is None else service.count_tokens()

    def compare(self, evidence: Mapping[str, Any], *, may_be_cached: bool) -> tuple[list[str], dict[str, Any]]:
        """Return what speaks against a load with this evidence, and what was counted, for the evidence.

        A server that generated fewer tokens than its answers say is doubted; more come from warm-up requests.
        """
        doubts: list[str] = []
        counted: dict[str, Any] = {}
        cached = self._service.cached_tokens()
        if self._cached is not None and cached is not None:
            hits = cached - self._cached
            counted["prefix_cache_hit_tokens"] = hits
            if hits and not may_be_cached:
                doubts.append(f"the server counts {hits} prompt tokens that came from its prefix cache")
        said = (evidence.get("tokens") or {}).get("output")
        generated = self._generated(said or 0)
        if generated is not None:
            counted["generated_tokens"] = generated
            if said is not None and 0 < generated < said:
                doubts.append(
                    f"the server's answers say that they hold {said} tokens, and its own counters have generated "
                    f"{generated} since before the warm-up: tokens were miscounted"
                )
        return doubts, counted

    def _generated(self, expected: int) -> int | None:
        """Return how many tokens were generated since the first look, waiting a little for counters that lag."""
        deadline = time.monotonic() + _LAG_S
        while True:
            now = None if self._tokens is None else self._service.count_tokens()
            if now is None or self._tokens is None:
                return None
            generated = _since(self._tokens, now)
            if generated >= expected or time.monotonic() >= deadline:
                return generated
            time.sleep(_PAUSE_S)


def _since(before: ServerCount, now: ServerCount) -> int:
    return now.output - before.output
