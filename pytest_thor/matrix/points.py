"""The names of a sweep's points."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

Swept: TypeAlias = Literal["max_concurrency", "request_rate"]
SWEPT: Mapping[Swept, str] = MappingProxyType({"max_concurrency": "c", "request_rate": "r"})
"""The parameters that may be swept, with their marks in a name."""


def point_name(workload: str, swept: Swept, value: float) -> str:
    """Return the name of a sweep's point: ``load@c4``, ``load@r2.5``."""
    return f"{workload}@{SWEPT[swept]}{value:.10g}"
