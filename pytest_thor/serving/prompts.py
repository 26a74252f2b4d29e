"""Prompts of random token ids, each made when it is asked for, none like another from its very start."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from random import Random

_DISTINCT = 1 << 40
"""Prompts that differ in their first tokens, at least; more than anybody sends."""
_MOST_DIGITS = 16
"""Tokens that tell prompts apart: servers cache prefixes in blocks of 16 tokens or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenIds:
    """The ids of a vocabulary that a prompt may have: those below ``size``, without the ``forbidden`` ones."""

    size: int
    forbidden: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if self.usable < 2:
            raise ValueError(f"a vocabulary of {self.size} ids with {self.usable} ordinary ones makes no prompts")

    @property
    def usable(self) -> int:
        """How many ids a prompt may have."""
        return self.size - sum(0 <= token < self.size for token in self.forbidden)

    def sample(self, random: Random, n: int) -> tuple[int, ...]:
        """Return ``n`` usable ids, drawn uniformly and with replacement.

        Only ``random.random()`` is used, whose sequence Python keeps for ever.
        """
        draw, size, forbidden = random.random, self.size, self.forbidden
        tokens = [int(draw() * size) for _ in range(n)]
        for token in sorted(forbidden.intersection(tokens)):
            while token in tokens:
                tokens[tokens.index(token)] = self._sample_one(random)
        return tuple(tokens)

    def _sample_one(self, random: Random) -> int:
        while (token := int(random.random() * self.size)) in self.forbidden:
            pass
        return token


class Prompts:
    """Every prompt of a run, by its number; the same seed gives the same ones.

    The first tokens spell the prompt's number in a code of the run's own, the others are drawn; each token by itself
    is uniform over the usable ids. Two prompts with numbers less than ``usable`` apart differ in their first token,
    and any two in their first 16, as long as both have so many tokens. Another seed has another code and other draws;
    16 tokens leave chance no room to make a start in common.
    """

    def __init__(self, token_ids: TokenIds, seed: int) -> None:
        self._token_ids = token_ids
        self._seed = seed
        self._base = token_ids.usable
        self._shifted = [
            token - rank for rank, token in enumerate(sorted(t for t in token_ids.forbidden if 0 <= t < token_ids.size))
        ]
        self._digits = min(_MOST_DIGITS, math.ceil(math.log(_DISTINCT, self._base)))
        random = stream(seed, "code")
        self._offset = self._draw_code(random)
        while math.gcd(factor := self._draw_code(random), self._base) != 1:
            pass
        self._factor = factor

    def prompt(self, number: int, length: int) -> tuple[int, ...]:
        """Return prompt ``number`` (those below 0 are others) in a length; a shorter one is the start of a longer."""
        code = number * self._factor + self._offset
        spelled = []
        for _ in range(min(self._digits, length)):
            code, digit = divmod(code, self._base)
            spelled.append(digit + bisect_right(self._shifted, digit))
        drawn = self._token_ids.sample(stream(self._seed, f"prompt {number}"), length - len(spelled))
        return (*spelled, *drawn)

    def _draw_code(self, random: Random) -> int:
        """Return a number of as many digits as are spelled, each drawn uniformly."""
        code = 0
        for _ in range(self._digits):
            code = code * self._base + int(random.random() * self._base)
        return code


def stream(seed: int, purpose: str) -> Random:
    """Return the random numbers that a run uses for one purpose."""
    return Random(f"{seed} {purpose}")  # noqa: S311 - a load must be repeatable; nothing here is secret
