"""What a measurement was taken under: what must be equal to compare it, and what is under test.

docs/baselines.md says why each field stands in its group.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from pytest_thor.cell import Cell, Scalar, Setting
from pytest_thor.measurement import EngineBuild

Facts: TypeAlias = Mapping[str, Scalar]
"""Facts by name; None is "not known", which is not the same as "there is none" (say so: ``"none"``)."""

MACHINE_MUST_MATCH = frozenset(
    {
        *("device", "part", "cpu", "logical_cpus", "cpu_quota", "memory_gib", "gpu", "power_mode"),
        *("clocks", "cpu_governor", "gpu_power_limit_w"),
    }
)
"""The facts of a machine that make it another one; all others (driver, L4T, CUDA, kernel, …) are under test."""

NO_CONDITIONS = ("workload.repetitions", "workload.warmup", "workload.max_failed", "workload.text")
"""Parameters of a workload that may differ: each sample is of the same work, and a text is known by its digest."""

_LATER: Facts = {"workload.client": "thor", "cpu_quota": "none"}
"""What a condition is where it is not there: it is written only where it is another, for it came after the first
baselines."""

_GROUPS = ("must_match", "under_test")
_GIB = 2**30
_MEMORY_STEPS = 4  # to a doubling
_MEMORY_SLACK = 0.05  # 24, 32, 48, 64, 96 or 128 GiB, of which a kernel shows a little less, lie well within a step
_DIGEST_LENGTH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field that is not the same now as when the baseline was taken; ``blocks`` forbids the comparison."""

    field: str
    stored: Scalar
    current: Scalar
    blocks: bool

    def __str__(self) -> str:
        return f"{self.field.replace('_', ' ')}: {_spoken(self.stored)} → {_spoken(self.current)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Sorted facts in two groups; made by :func:`take` or :func:`from_json`."""

    must_match: tuple[tuple[str, Scalar], ...]
    under_test: tuple[tuple[str, Scalar], ...]

    def to_json(self) -> dict[str, dict[str, Scalar]]:
        """Return it as a dictionary of two dictionaries."""
        return {"must_match": dict(self.must_match), "under_test": dict(self.under_test)}


def take(*, machine: Facts, model: Facts, engine: EngineBuild, cell: Cell) -> Fingerprint:
    """Return the fingerprint of one cell's measurement.

    ``machine`` holds what the host reports (:data:`MACHINE_MUST_MATCH` names those that must match; ``memory_bytes``
    becomes ``memory_gib``, for a kernel keeps a little more or less of it to itself). ``model`` holds the identity of
    the artifact's content, such as ``size_bytes`` and ``header_hash``. How often a workload is repeated or warmed up
    is no condition, only more samples of the same; nor is the share of failures that is tolerated.
    """
    facts = dict(machine)
    memory = facts.pop("memory_bytes", None)
    if isinstance(memory, int | float):
        facts["memory_gib"] = round(memory / _GIB)
    workload = {f"workload.{name}": _scalar(value) for name, value in cell.workload.parameters}
    aside = {name: workload.pop(name) for name in NO_CONDITIONS if name in workload}
    must_match = {name: value for name, value in facts.items() if name in MACHINE_MUST_MATCH}
    under_test = {name: value for name, value in facts.items() if name not in MACHINE_MUST_MATCH}
    return _fingerprint(
        must_match={
            **must_match,
            **{f"model.{name}": value for name, value in model.items()},
            "engine.name": engine.name,
            **workload,
        },
        under_test={
            **under_test,
            "engine.version": engine.version,
            "engine.commit": engine.commit,
            **{f"settings.{name}": _scalar(value) for name, value in cell.backend.settings},
            **aside,
        },
    )


def from_json(data: object) -> Fingerprint:
    """Return the fingerprint that :meth:`Fingerprint.to_json` wrote.

    Raises:
        ValueError: it has another shape.
    """
    if not isinstance(data, dict) or data.keys() != set(_GROUPS):
        raise ValueError(f"a fingerprint has the groups {' and '.join(_GROUPS)}")
    return _fingerprint(
        must_match=_facts(data["must_match"], "must_match"), under_test=_facts(data["under_test"], "under_test")
    )


def differences(stored: Fingerprint, current: Fingerprint) -> tuple[Difference, ...]:
    """Return what differs between two fingerprints, by name, what must match first.

    A fact that one side does not know (None, or not there) is named and does not block: a newer pytest-thor that
    learns to read a field, or a sensor that fails for a day, makes no baseline worthless.
    """
    return (
        *_differing(dict(stored.must_match), dict(current.must_match), block=True),
        *_differing(dict(stored.under_test), dict(current.under_test), block=False),
    )


def tested(fingerprint: Fingerprint) -> str:
    """Return a digest of what is under test: engine build, settings, driver and all else that may differ."""
    known = {name: value for name, value in fingerprint.under_test if value is not None}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]


def conditions(fingerprint: Fingerprint) -> str:
    """Return a digest of what must match: runs of equal digests were taken under the same conditions.

    A digest cannot weigh two facts against each other as :func:`differences` does, so it errs on the side of telling
    runs apart: a fact that is not known is left out, and known the next day gives another digest. Memory counts in
    steps of 19 %, for a kernel keeps a little more or less. A hash of the whole content is left out where the header's
    is known: it is there only when it was asked for.
    """
    facts = {
        name: value
        for name, value in fingerprint.must_match
        if value is not None and not _same(name, value, _LATER.get(name))
    }
    memory = facts.get("memory_gib")
    if isinstance(memory, int) and memory > 0:
        facts["memory_gib"] = math.ceil(_MEMORY_STEPS * math.log2(memory) - _MEMORY_SLACK)
    if "model.header_sha256" in facts:
        facts.pop("model.sha256", None)
    text = json.dumps(facts, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]


def _differing(stored: Facts, current: Facts, *, block: bool) -> Iterator[Difference]:
    for name in sorted({*stored, *current}):
        old, new = (side.get(name, _LATER.get(name)) for side in (stored, current))
        if not _same(name, old, new):
            known = old is not None and new is not None
            yield Difference(field=name, stored=old, current=new, blocks=block and known)


def _facts(data: object, group: str) -> Facts:
    if isinstance(data, dict) and all(_is_plain(value) for value in data.values()):
        return data
    raise ValueError(f"the fingerprint's {group} is not a table of plain values")


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | bool | None) or (isinstance(value, float) and math.isfinite(value))


def _same(name: str, old: Scalar, new: Scalar) -> bool:
    if name == "memory_gib" and isinstance(old, int) and isinstance(new, int):
        return abs(old - new) <= 1  # the same memory may round to either neighbour
    return old == new and isinstance(old, bool) == isinstance(new, bool)  # True is not 1


def _fingerprint(*, must_match: Facts, under_test: Facts) -> Fingerprint:
    return Fingerprint(must_match=tuple(sorted(must_match.items())), under_test=tuple(sorted(under_test.items())))


def _scalar(value: Setting) -> Scalar:
    return json.dumps(value) if isinstance(value, tuple) else value


def _spoken(value: Scalar) -> str:
    return "not known" if value is None else str(value)
