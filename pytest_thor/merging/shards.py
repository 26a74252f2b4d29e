"""Where the cells of a merged report come from: each shard with its machine, and what shards have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from pytest_thor.report.document import (
    CellRecord,
    EnvironmentRecord,
    MatrixRecord,
    PolicyRecord,
    ReportDocument,
    ShardRecord,
    ShiftRecord,
    engines_of,
)

_KEPT_BEFORE = "shards"
"""Under this name the fingerprint of a merged report's environment kept its shards, before they had a field."""
_INCONCLUSIVE = ("pass", "warn", "fail")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A report that is to be joined with others, under the name that messages give it."""

    name: str
    document: ReportDocument


def in_order(shards: Iterable[Shard]) -> list[Shard]:
    """Return shards as they began, whatever their order was, and each report once."""
    unique = {shard.document.model_dump_json(): shard for shard in sorted(shards, key=lambda shard: shard.name)}
    order = sorted(unique, key=lambda text: (unique[text].document.started_at, unique[text].document.finished_at, text))
    return [unique[text] for text in order]


def records_of(shard: Shard) -> list[ShardRecord]:
    """Return what a merged report keeps of a shard; of one that is merged itself, what it keeps."""
    document = shard.document
    environment, summary = document.environment, document.summary
    if document.shards:
        return document.shards
    kept = environment.fingerprint.get(_KEPT_BEFORE)
    if isinstance(kept, list):
        try:
            return [ShardRecord.model_validate(fact) for fact in kept]
        except ValidationError:
            pass  # a fact of a machine that bears this name
    return [
        ShardRecord(
            name=shard.name,
            device=environment.device,
            power_mode=environment.power_mode,
            started_at=document.started_at,
            finished_at=document.finished_at,
            exit_status=summary.exit_status,
            cells=summary.cells,
            fingerprint=environment.fingerprint,
            software=environment.software,
            shift=summary.environment,
            policy=summary.policy,
            notes=document.notes,
        )
    ]


def records_of_all(shards: Sequence[Shard]) -> list[ShardRecord]:
    """Return what is kept of every shard, each once, in the order of their start."""
    unique = {record.model_dump_json(): record for shard in shards for record in records_of(shard)}
    return [unique[text] for text in sorted(unique, key=lambda text: (unique[text].started_at, text))]


def cells_of(shard: Shard) -> list[CellRecord]:
    """Return the cells of a shard, each with the shard's name; of one that is merged itself, with those it has."""
    return [
        record if record.shards else record.model_copy(update={"shards": [shard.name]})
        for record in shard.document.cells
    ]


def policy_of(shards: Sequence[Shard]) -> tuple[PolicyRecord | None, list[str]]:
    """Return the strictest of the shards' policies, None where none is known, and a sentence where they differ."""
    policies = [policy for shard in shards if (policy := shard.document.summary.policy) is not None]
    if not policies:
        return None, []
    strictest = PolicyRecord(
        inconclusive=max((policy.inconclusive for policy in policies), key=_INCONCLUSIVE.index),
        invalid=max((policy.invalid for policy in policies), key=_INCONCLUSIVE.index),
        strict=any(policy.strict for policy in policies),
    )
    differ = any(policy != strictest for policy in policies)
    return strictest, ["the shards ran under different policies; the strictest counts"] if differ else []


def environment_of(shards: Sequence[Shard], cells: Sequence[CellRecord]) -> EnvironmentRecord:
    """Return the environment of all: what is the same everywhere, and every device's name."""
    environments = [shard.document.environment for shard in shards]
    modes = {environment.power_mode for environment in environments}
    return EnvironmentRecord(
        device=", ".join(dict.fromkeys(sorted(name for each in environments for name in each.device.split(", ")))),
        fingerprint=_common([environment.fingerprint for environment in environments]),
        power_mode=modes.pop() if len(modes) == 1 else None,
        engines=engines_of(cells),
        software=_common([environment.software for environment in environments]),
    )


def matrices_of(shards: Sequence[Shard]) -> tuple[list[MatrixRecord], list[str]]:
    """Return every matrix once by name and content, and a sentence for each name that has several contents."""
    found: dict[tuple[str, str], MatrixRecord] = {}
    records = (matrix for shard in shards for matrix in shard.document.matrix)
    for matrix in sorted(records, key=lambda matrix: (matrix.name, matrix.path)):
        found.setdefault((matrix.name, matrix.sha256), matrix)
    names = [name for name, _ in found]
    return list(found.values()), [
        f"the shards ran {names.count(name)} different versions of the matrix {name}"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]


def builds_of(shards: Sequence[Shard]) -> list[str]:
    """Return a sentence for each engine of which the shards ran different builds on one device: two runs, not one."""
    found: dict[tuple[str, str], set[frozenset[str]]] = {}
    for shard in shards:
        own: dict[tuple[str, str], set[str]] = {}
        for record in cells_of(shard):
            for engine in (launch.engine for launch in record.launches):
                build = " ".join(filter(None, (engine.version, engine.commit))) or "unknown"
                own.setdefault((record.device, engine.name), set()).add(build)
        for place, builds in own.items():
            found.setdefault(place, set()).add(frozenset(builds))
    return [
        f"on {device} the shards ran different builds of {engine}: {', '.join(sorted(frozenset().union(*each)))}"
        for (device, engine), each in sorted(found.items())
        if len(each) > 1
    ]


def shift_of(shards: Sequence[Shard]) -> ShiftRecord | None:
    """Return the largest common shift that a shard tells, with those of the others in its reason.

    A shift is one session's: cells of several sessions do not move together, so that none is looked for anew.
    """
    told = [(shard.name, shift) for shard in shards if (shift := shard.document.summary.environment) is not None]
    if not told:
        return None
    told.sort(key=lambda item: (-abs(item[1].shift), item[0], item[1].reason))
    reasons = [f"{name}: {shift.reason}" for name, shift in told]
    return told[0][1].model_copy(update={"reason": "; ".join(reasons)})


def _common(tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
    first, *others = tables
    return {
        name: value
        for name, value in first.items()
        if name != _KEPT_BEFORE and all(name in other and other[name] == value for other in others)
    }
