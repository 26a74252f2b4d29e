"""What llama-perplexity prints: a running perplexity after each chunk, and what it makes of all at the end.

Builds since April 2026 print from a thread that they do not wait for at the end (llama.cpp #22273): the last lines may
be missing although all went well. Whoever reads must ask whether it is whole.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from pytest_thor.engines.process import Line

Mode: TypeAlias = Literal["perplexity", "divergence"]

PERPLEXITY: Final = "Mean PPL(Q)"
DIVERGENCE: Final = "Mean KLD"
_BEGINS = re.compile(r"\bover (\d{1,9}) chunks")
_TOO_SHORT = re.compile(r"tokenizes to only (\d{1,9}) tokens")
_OTHER_VOCABULARY = re.compile(r"inconsistent vocabulary \((\d{1,9}) vs (\d{1,9})\)")
_NOT_DECODED = re.compile(r"failed to (?:decode|eval)\b")
_NUMBER = r"([-+]?(?:\d+(?:\.\d+)?|nan|inf))"
_ROWS: Mapping[Mode, re.Pattern[str]] = {
    "perplexity": re.compile(rf"\s*\d+\s+{_NUMBER}(?:\s+{_NUMBER}){{2}}\s*$"),
    "divergence": re.compile(rf"\s*\d+\s+{_NUMBER}\s+±\s+{_NUMBER}(?:\s+{_NUMBER}\s+±\s+{_NUMBER})"),
}
_STATISTIC = re.compile(rf"(\S[^:]*):\s+{_NUMBER}(?:\s*%)?(?:\s+±.*|\s*)$")
_LONGEST_LINE = 500  # characters; those that hold a number have less than a hundred
_MOST_ROWS = 10_000_000
_MOST_STATISTICS = 1000


class PerplexityOutput:
    """Reads one run. ``chunks`` is how many it announced, ``perplexities`` the running value after each.

    ``no_number`` is after which chunk, counted from 1, it was none, and what it was. ``statistics`` are those of the
    end, by the names that the program gives them; ``window`` is when it calculated, in seconds of ``time.monotonic()``.
    """

    def __init__(self, mode: Mode) -> None:
        self._mode: Mode = mode
        self._begun: float | None = None
        self._latest = 0.0
        self.chunks: int | None = None
        self.tokens: int | None = None
        self.vocabularies: tuple[int, int] | None = None
        self.not_decoded = False
        self.perplexities: list[float] = []
        self.no_number: tuple[int, float] | None = None
        self.statistics: dict[str, float] = {}

    def line(self, line: Line) -> bool:
        """Take one line; tell whether it says how far the run is."""
        if line.stream == "stderr":
            return self._said(line.text)
        if len(line.text) > _LONGEST_LINE:
            return False
        row = _ROWS[self._mode].match(line.text)
        if row and len(self.perplexities) < _MOST_ROWS:
            self.perplexities.append(float(row[1]))
            if self.no_number is None and not math.isfinite(self.perplexities[-1]):
                self.no_number = len(self.perplexities), self.perplexities[-1]
            self._latest = time.monotonic()
            return True
        statistic = _STATISTIC.match(line.text)
        if statistic and self._mode == "divergence" and len(self.statistics) < _MOST_STATISTICS:
            self.statistics[" ".join(statistic[1].split())] = float(statistic[2])
        return False

    def _said(self, text: str) -> bool:
        if begins := _BEGINS.search(text):
            self.chunks = int(begins[1])
            self._begun = self._latest = time.monotonic()
            return True
        if short := _TOO_SHORT.search(text):
            self.tokens = int(short[1])
        if other := _OTHER_VOCABULARY.search(text):
            self.vocabularies = (int(other[1]), int(other[2]))
        if _NOT_DECODED.search(text):
            self.not_decoded = True
        return False

    @property
    def is_whole(self) -> bool:
        """Whether nothing of what was asked for is missing."""
        if self._mode == "divergence":
            return {PERPLEXITY, DIVERGENCE} <= self.statistics.keys()
        return self.chunks is not None and len(self.perplexities) == self.chunks

    @property
    def window(self) -> tuple[tuple[float, float], ...]:
        """When it calculated, if it did."""
        return ((self._begun, self._latest),) if self._begun is not None and self._latest > self._begun else ()
