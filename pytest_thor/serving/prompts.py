"""Prompts of random token ids, each made when it is asked for, none like another from its very start."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from functools import lru_cache
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
        if len(self.usable) < 2:
            raise ValueError(f"a vocabulary of {self.size} ids with {len(self.usable)} ordinary ones makes no prompts")

    @property
    def usable(self) -> array[int]:
        """The ids that a prompt may have, rising."""
        return _usable(self.size, self.forbidden)

    def sample(self, random: Random, n: int) -> tuple[int, ...]:
        """Return ``n`` usable ids, drawn uniformly and with replacement.

        Only ``random.random()`` is used, whose sequence Python keeps for ever.
        """
        draw, usable = random.random, self.usable
        choices = len(usable)
        return tuple([usable[int(draw() * choices)] for _ in range(n)])


@lru_cache(maxsize=8)
def _usable(size: int, forbidden: frozenset[int]) -> array[int]:
    return array("I", (token for token in range(size) if token not in forbidden))


class Prompts:
    """Every prompt of a run, by its number; the same seed gives the same ones.

    The first tokens spell the prompt's number in a code of the run's own, the others are drawn; each token by itself
    is uniform over the usable ids. Two prompts with numbers less than the usable ids apart differ in their first token,
    and any two in their first 16, as long as both have so many tokens. Another seed has another code and other draws;
    16 tokens leave chance no room to make a start in common.
    """

    def __init__(self, token_ids: TokenIds, seed: int) -> None:
        self._token_ids = token_ids
        self._seed = seed
        self._base = len(token_ids.usable)
        self._digits = min(_MOST_DIGITS, math.ceil(math.log(_DISTINCT, self._base)))
        random = stream(seed, "code")
        self._offset = self._draw_code(random)
        while math.gcd(factor := self._draw_code(random), self._base) != 1:
            pass
        self._factor = factor

    def prompt(self, number: int, length: int) -> tuple[int, ...]:
        """Return prompt ``number`` (those below 0 are others) in a length; a shorter one is the start of a longer."""
        code = number * self._factor + self._offset
        usable = self._token_ids.usable
        spelled = []
        for _ in range(min(self._digits, length)):
            code, digit = divmod(code, self._base)
            spelled.append(usable[digit])
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
