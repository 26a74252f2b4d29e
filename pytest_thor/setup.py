"""How a run measures and what follows from its verdicts, as the user chose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pytest_thor.artifacts.means import Means
from pytest_thor.host.part import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What follows from a verdict."""

    inconclusive: Literal["pass", "warn", "fail"]
    invalid: Literal["warn", "fail"]
    strict: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How a session measures; folders are absolute, baseline stores by matrix path.

    ``engines`` and ``against`` name programs by engine or by backend; ``part`` is that of the machine which measures,
    None for all of it; ``command`` is what others who wait for it are told.
    """

    models: tuple[Path, ...]
    engines: Mapping[str, Path]
    against: Mapping[str, Path]
    baselines: Mapping[str, Path]
    launches: tuple[int, int]
    budget_s: float | None
    relative: bool
    cool_down_c: float | None
    policy: Policy
    full_hash: bool
    means: Means
    journal: Path
    resume: bool
    cache: Path
    part: Part | None = None
    command: str | None = None
