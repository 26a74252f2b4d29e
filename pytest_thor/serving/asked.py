"""The parameters of a serving workload, by name and type."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

from pytest_thor.cell import Workload

Length: TypeAlias = "int | tuple[int, int]"
"""Tokens: so many, or uniformly from the least to the most, both included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a serving workload asks for; docs/matrix.md says what each parameter means.

    ``input_len`` and ``output_len`` are None only with a ``trace``, ``max_concurrency`` only with a ``request_rate``
    or a trace that has arrival times. One of ``num_prompts`` and ``duration_s`` is given.
    """

    input_len: Length | None = None
    output_len: Length | None = None
    num_prompts: int | None = None
    duration_s: float | None = None
    max_concurrency: int | None = None
    request_rate: float | None = None
    burstiness: float = 1.0
    ramp_up_s: float = 0.0
    warmup: int = 1
    prefix_cache: bool = False
    fresh_prompts: bool = True
    api: Literal["completions", "chat"] = "completions"
    trace: str | None = None
    trace_sha256: str | None = None
    slo_ttft_ms: float | None = None
    slo_tpot_ms: float | None = None
    slo_e2el_ms: float | None = None
    max_failed: float = 0.0
    client: Literal["thor", "vllm"] = "thor"
    sweep: Literal["max_concurrency", "request_rate"] | None = None

    @classmethod
    def of(cls, workload: Workload) -> Asked:
        """Return a serving workload's parameters."""
        names = {field.name for field in fields(cls)}
        known: dict[str, Any] = {name: value for name, value in workload.parameters if name in names}
        return cls(**known)
