"""Where the cells of a merged report come from: each shard with its machine, and what shards have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_thor.report.document import EnvironmentRecord, MatrixRecord, ReportDocument, ShiftRecord, engines_of

SHARDS = "shards"
"""Under this name the fingerprint of a merged report's environment keeps those of its shards."""


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


def shard_facts(shard: Shard) -> list[dict[str, Any]]:
    """Return what a merged report keeps of a shard; of one that is merged itself, what it keeps."""
    environment = shard.document.environment
    kept = environment.fingerprint.get(SHARDS)
    if isinstance(kept, list):
        return kept
    summary = shard.document.summary
    return [
        {
            "name": shard.name,
            "device": environment.device,
            "power_mode": environment.power_mode,
            "started_at": shard.document.started_at,
            "finished_at": shard.document.finished_at,
            "exit_status": summary.exit_status,
            "cells": summary.cells,
            "fingerprint": environment.fingerprint,
            "software": environment.software,
            "shift": summary.environment.model_dump(mode="json") if summary.environment else None,
        }
    ]


def environment_of(shards: Sequence[Shard], engines_of_cells: Sequence[Any]) -> EnvironmentRecord:
    """Return the environment of all: what is the same everywhere, every device's name, and each shard's own."""
    environments = [shard.document.environment for shard in shards]
    modes = {environment.power_mode for environment in environments}
    facts = [fact for shard in shards for fact in shard_facts(shard)]
    unique = {str(fact): fact for fact in facts}
    return EnvironmentRecord(
        device=", ".join(dict.fromkeys(sorted(name for each in environments for name in each.device.split(", ")))),
        fingerprint={
            **_common([environment.fingerprint for environment in environments]),
            SHARDS: sorted(unique.values(), key=lambda fact: (str(fact.get("started_at")), str(fact))),
        },
        power_mode=modes.pop() if len(modes) == 1 else None,
        engines=engines_of(engines_of_cells),
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
        if name != SHARDS and all(name in other and other[name] == value for other in others)
    }
