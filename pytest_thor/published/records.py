"""What a reader returns: results as their source states them, and what it could not read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Scalar: TypeAlias = "bool | int | float | str | None"
PublishedKind: TypeAlias = Literal["prefill", "decode", "mixed", "serving", "file"]
"""What a result is of; ``mixed`` is a prompt and generated tokens under one clock, ``file`` a file on offer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure: ``written`` is the source's own text where it carries a precision or a unit that ``value`` loses.

    ``spread`` is a standard deviation in the same unit. ``samples`` are what the figure summarizes, where they are
    published too.
    """

    value: float
    unit: str
    spread: float | None = None
    written: str | None = None
    samples: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedResult:
    """One row of a table, one block or one object, with what its surroundings say of it.

    ``line`` is 1-based. ``label`` is the model as the result itself writes it; ``model`` and ``quant`` are taken apart
    from the nearest file, command, heading or the label. ``workload`` has the names that matrices use (``n_prompt``,
    ``n_gen``, ``n_depth``, ``input_len``, ``output_len``, ``num_prompts``, ``max_concurrency``, ``request_rate``).
    Metrics are named as everywhere in pytest-thor (``tg_tps``, ``ttft_ms.p99``). ``notes`` say where the source
    contradicts itself or its surroundings.
    """

    source: str
    line: int
    kind: PublishedKind
    engine: str | None = None
    date: str | None = None
    build: str | None = None
    label: str | None = None
    model: str | None = None
    quant: str | None = None
    backend: str | None = None
    device: str | None = None
    headings: tuple[str, ...] = ()
    workload: Mapping[str, Scalar] = field(default_factory=dict)
    settings: Mapping[str, Scalar] = field(default_factory=dict)
    metrics: Mapping[str, Figure] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A line that looks like a result and is none that can be trusted; ``text`` is its beginning."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where results come from; title, address and date only where the document gives them."""

    name: str
    title: str | None = None
    url: str | None = None
    date: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Everything that one document holds."""

    source: Source
    results: tuple[PublishedResult, ...]
    unread: tuple[Unread, ...]

    @property
    def figures(self) -> int:
        """How many figures were read."""
        return sum(len(result.metrics) for result in self.results)


EXCERPT = 120
"""How much of an unread line is kept."""


def unread(index: int, text: str, reason: str) -> Unread:
    """Return what could not be read at a 0-based line index."""
    shown = text.strip()
    return Unread(line=index + 1, text=shown if len(shown) <= EXCERPT else shown[: EXCERPT - 1] + "…", reason=reason)
