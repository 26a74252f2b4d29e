"""What a matrix must know of other rooms, handed in so that it need not import them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_thor.cell import EngineTraits
from pytest_thor.measurement import Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The names that a matrix may use: engines with their traits, known architectures, metrics."""

    engines: Mapping[str, EngineTraits]
    architectures: frozenset[str]
    metrics: Mapping[str, Metric]
