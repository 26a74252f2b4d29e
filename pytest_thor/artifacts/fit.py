"""Whether a model fits: its weights, its KV cache and what an engine needs besides, against the memory there is.

Every part errs towards less, so that nothing is refused which would have run: a cell that is said not to fit does not.
docs/models.md derives the sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pytest_thor.artifacts.quants import known_quant
from pytest_thor.roofline import Cost
from pytest_thor.units import format_bytes, format_significant

GB = 10**9
SPARE_BYTES = 2 * GB
LEAST_SPARE_BYTES = 1 * GB
"""The quant guides' rule: take a file that is one to two GB smaller than the memory."""

_MEBI = 1 << 20
_UBATCH = 512
_RUNTIME_BYTES = {
    **dict.fromkeys(("llama-bench", "llama-cpp-python", "llama-perplexity", "llama-server"), 256 * _MEBI),
    "vllm": 1024 * _MEBI,
}
"""The least that an engine holds besides: buffers of a step, a CUDA context, vLLM's graphs. Mostly it is more."""

Purpose: TypeAlias = Literal["quality", "speed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a model may be held in; ``name`` is for people: ``unified memory``, ``memory of NVIDIA H200``.

    ``available_bytes`` counts what the page cache would give back, and is None where nothing tells it. ``unified`` says
    that host and GPU share it.
    """

    name: str
    total_bytes: int
    available_bytes: int | None = None
    unified: bool = False

    @property
    def usable_bytes(self) -> int:
        """What a launch may count on: all that is not held by others."""
        return self.total_bytes if self.available_bytes is None else min(self.available_bytes, self.total_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a launch needs at least; ``context`` are the tokens that the KV cache holds, over all sequences.

    ``overhead_bytes`` is None for an engine whose buffers are not known: they count for nothing.
    """

    weights_bytes: int
    kv_bytes: int
    overhead_bytes: int | None
    context: int

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.weights_bytes + self.kv_bytes + (self.overhead_bytes or 0)

    def __str__(self) -> str:
        buffers = "" if self.overhead_bytes is None else f", buffers {format_bytes(self.overhead_bytes)}"
        return (
            f"{format_bytes(self.total_bytes)} (weights {format_bytes(self.weights_bytes)}, KV cache of "
            f"{self.context} tokens {format_bytes(self.kv_bytes)}{buffers})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A need held against a memory."""

    need: Need
    memory: Memory

    @property
    def fits(self) -> bool:
        """Whether the need is no more than what may be used."""
        return self.need.total_bytes <= self.memory.usable_bytes

    @property
    def sentence(self) -> str:
        """Say the sum, and what to do where it is too much."""
        usable, total = self.memory.usable_bytes, self.memory.total_bytes
        held = f" of {format_bytes(total)}" if usable < total else ""
        there = f"{format_bytes(usable)}{held} {self.memory.name} can be had"
        if self.fits:
            return f"needs {self.need}; {there}"
        weights_alone = self.need.weights_bytes > usable
        advice = "take a smaller quant" if weights_alone else "take a smaller quant, a shorter context or fewer slots"
        free = " or free what others hold" if usable < total and self.need.total_bytes <= total else ""
        return f"does not fit: needs {self.need}, and {there}; {advice}{free}"


def need_of(
    cost: Cost,
    *,
    weights_bytes: int,
    context: int,
    engine: str | None = None,
    sequences: int = 1,
    ubatch: int = _UBATCH,
) -> Need:
    """Return the least that a model takes with ``context`` tokens in its KV cache, over ``sequences`` together.

    ``engine`` is what runs it; of one that is not known here no buffers are counted.
    Layers with a window keep no more than the window of each sequence, and a physical batch beyond it.
    """
    share = context / max(sequences, 1)
    kept = (
        kind.layers * kind.kv_elements * (share if kind.window is None else min(share, kind.window + ubatch))
        for kind in cost.attention
    )
    return Need(
        weights_bytes=weights_bytes,
        kv_bytes=round(sum(kept) * max(sequences, 1) * cost.kv_element_bytes),
        overhead_bytes=None if engine is None else _RUNTIME_BYTES.get(engine),
        context=context,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A quant that may be chosen; ``measured_tps`` is its decode rate on this device, where it was measured."""

    quant: str
    file_bytes: int
    kv_bytes: int = 0
    measured_tps: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What to run, and why; ``others`` fit as well, best first."""

    candidate: Candidate | None
    reason: str
    others: tuple[Candidate, ...] = ()


def choose(candidates: Sequence[Candidate], memory: Memory, purpose: Purpose, *, on_gpu: bool) -> Choice:
    """Answer which quant to run, by the quant guides' rule and by measurements where there are any.

    The rule: a file one to two GB smaller than the memory, a K-quant as a rule, below Q4 an I-quant on a GPU. For
    ``quality`` the largest such file; for ``speed`` the fastest measured one and, where nothing was measured, the
    smallest that is Q4_K_M or better, because decode reads the whole file for each token.
    """
    fitting = [each for each in candidates if each.file_bytes + each.kv_bytes <= memory.total_bytes - SPARE_BYTES]
    spare = "2 GB to spare"
    if not fitting:
        fitting = [
            each for each in candidates if each.file_bytes + each.kv_bytes <= memory.total_bytes - LEAST_SPARE_BYTES
        ]
        spare = "1 GB to spare, which is tight"
    if not fitting:
        smallest = min(candidates, key=lambda each: each.file_bytes, default=None)
        told = f"; the smallest, {smallest.quant}, takes {format_bytes(smallest.file_bytes)}" if smallest else ""
        return Choice(candidate=None, reason=f"nothing fits in {format_bytes(memory.total_bytes)} {memory.name}{told}")
    suited = [each for each in fitting if _suits(each, on_gpu=on_gpu)] or fitting
    measured = [each for each in suited if each.measured_tps is not None]
    if purpose == "speed" and measured:
        order = sorted(measured, key=lambda each: -(each.measured_tps or 0.0))
        rate = format_significant(order[0].measured_tps or 0.0)
        reason = f"the fastest of {len(measured)} measured here: {rate} tok/s in decode, with {spare}"
    elif purpose == "speed":
        good = [each for each in suited if _bits(each) >= _bits_of("Q4_K_M")]
        order = sorted(good, key=lambda each: each.file_bytes) or sorted(suited, key=lambda each: -each.file_bytes)
        reason = f"the smallest of good quality, with {spare}; nothing was measured here"
    else:
        order = sorted(suited, key=lambda each: -each.file_bytes)
        reason = f"the largest that leaves {spare}"
    return Choice(candidate=order[0], reason=reason, others=tuple(order[1:]))


def _suits(candidate: Candidate, *, on_gpu: bool) -> bool:
    """Tell whether the rule would look at a quant: no older types, and below Q4 the ones for this device."""
    quant = known_quant(candidate.quant)
    if quant is None:
        return True
    if quant.quant_class in {"ternary", "binary"} or quant.name == "F32":
        return False
    if quant.quant_class == "legacy":
        return quant.name == "Q8_0"
    below_q4 = quant.bits < _bits_of("IQ4_XS")
    return not below_q4 or quant.quant_class not in {"K", "I"} or (quant.quant_class == "I") == on_gpu


def _bits(candidate: Candidate) -> float:
    quant = known_quant(candidate.quant)
    return quant.bits if quant else 0.0


def _bits_of(name: str) -> float:
    quant = known_quant(name)
    assert quant is not None
    return quant.bits
