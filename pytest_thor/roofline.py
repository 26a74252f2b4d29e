"""What a model costs and what a device can do: the two records that every physical limit is made of.

Formulas, sources and what is left out: docs/limits.md. Every figure errs towards less work and a faster device, so that
nothing honest lies beyond a limit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pytest_thor.measurement import Better

Arithmetic: TypeAlias = Literal["fp32", "bf16", "fp16", "fp8", "int8", "fp4"]
"""What a matrix product is computed in; each has a peak of its own."""

Bound: TypeAlias = Literal["bandwidth", "arithmetic"]
"""What a limit comes from: reading from memory, or calculating."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Layers of one kind of attention.

    ``kv_elements`` are the numbers that the cache holds per token and layer, keys and values together;
    ``score_width`` is heads × (key size + value size). ``window`` is how many tokens back a layer looks, None for all.
    """

    layers: int
    kv_elements: int
    score_width: int
    window: int | None = None

    def seen(self, depth: float) -> float:
        """Return how many tokens a layer of this kind looks at, with so many before it."""
        return depth if self.window is None else min(depth, self.window)

    def seen_in_all(self, tokens: int, depth: int) -> float:
        """Return the tokens looked at, summed over ``tokens`` new ones that follow ``depth`` others."""
        growing = tokens if self.window is None else min(max(self.window - depth, 0), tokens)
        full = 0 if self.window is None else (tokens - growing) * self.window
        return growing * depth + growing * (growing + 1) / 2 + full


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one model in one weight format costs; ``name`` is for people: ``qwen3-8b FP8``.

    ``body_bytes`` and ``body_parameters`` are what every token uses except the output table, which is the ``head``
    (a table used for input and output too counts here, once); the input table is read by the row and not counted.
    ``expert_bytes`` and ``expert_parameters`` are those of all ``experts``, of which a token uses ``experts_used``.
    Parameters are those of matrices. ``arithmetics`` are what the format may be computed in, at the most generous.
    ``kv_element_bytes`` is what the KV cache stores a number in, unless the engine was told otherwise.
    """

    name: str
    body_bytes: float
    head_bytes: float
    body_parameters: float
    head_parameters: float
    expert_bytes: float = 0.0
    expert_parameters: float = 0.0
    experts: int = 0
    experts_used: int = 0
    attention: tuple[Attention, ...] = ()
    kv_element_bytes: float = 2.0
    arithmetics: tuple[Arithmetic, ...] = ()

    def expert_share(self, tokens: float = 1) -> float:
        """Return the expected share of distinct experts that ``tokens`` tokens use, if each chooses by itself."""
        if not self.experts:
            return 0.0
        return 1.0 - math.pow(1.0 - self.experts_used / self.experts, tokens)

    def weight_bytes(self, tokens: float = 1) -> float:
        """Return the distinct bytes of weights that a step over ``tokens`` tokens reads."""
        return self.body_bytes + self.head_bytes + self.expert_bytes * self.expert_share(tokens)

    def kv_bytes(self, depth: float, element_bytes: float | None = None) -> float:
        """Return the bytes of one sequence's KV cache that a token at ``depth`` reads."""
        size = self.kv_element_bytes if element_bytes is None else element_bytes
        return sum(kind.layers * kind.kv_elements * kind.seen(depth) for kind in self.attention) * size

    def prefill_flops(self, tokens: int, depth: int = 0) -> float:
        """Return the operations of a prompt of ``tokens`` behind ``depth`` others; only its last one is answered."""
        scores = sum(2 * kind.layers * kind.score_width * kind.seen_in_all(tokens, depth) for kind in self.attention)
        return 2 * self._used_parameters * tokens + 2 * self.head_parameters + scores

    def decode_flops(self, depth: int = 0) -> float:
        """Return the operations of one generated token behind ``depth`` others."""
        scores = sum(2 * kind.layers * kind.score_width * kind.seen(depth) for kind in self.attention)
        return 2 * (self._used_parameters + self.head_parameters) + scores

    @property
    def _used_parameters(self) -> float:
        return self.body_parameters + self.expert_parameters * self.expert_share()


@dataclass(frozen=True, slots=True, kw_only=True)
class Roof:
    """What a device can reach at most: bytes per second from memory, and operations per second by arithmetic.

    ``cache_bytes`` is its last-level cache, where so much of the weights may stay from token to token. ``tolerance``
    is how far beyond a limit a figure may lie before it is doubted. ``measured`` says that the figures were measured
    here rather than taken from the table.
    """

    name: str
    bandwidth: float | None
    peaks: Mapping[Arithmetic, float] = field(hash=False)
    cache_bytes: int
    source: str
    tolerance: float = 0.05
    measured: bool = False

    def peak(self, arithmetics: Sequence[Arithmetic]) -> float | None:
        """Return the fastest of the arithmetics that the device is known to have, None if it is known to have none."""
        return max((self.peaks[each] for each in arithmetics if each in self.peaks), default=None)

    def read_s(self, size_bytes: float) -> float | None:
        """Return the least time to read so many bytes once, None where the cache may hold half of them or more."""
        if self.bandwidth is None or size_bytes <= 2 * self.cache_bytes:
            return None
        return (size_bytes - self.cache_bytes) / self.bandwidth

    def compute_s(self, flops: float, arithmetics: Sequence[Arithmetic]) -> float | None:
        """Return the least time for so many operations, None where no peak is known."""
        peak = self.peak(arithmetics)
        return None if peak is None else flops / peak


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The best that a metric can reach, in its unit; ``work`` says what stands in the way, for people."""

    metric: str
    value: float
    better: Better
    bound: Bound
    work: str

    def efficiency(self, value: float) -> float:
        """Return the share of the limit that a figure reaches; above 1 it lies beyond."""
        if self.better == "lower":
            return self.value / value if value > 0 else float("inf")
        return value / self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One figure held against its limit; ``doubt`` is the sentence that says why it cannot be, None if it can."""

    limit: Limit
    efficiency: float
    doubt: str | None
