"""Why a cell's launches are doubted: each sentence once, with the launches that it is said of."""

from __future__ import annotations

import re

from pytest_thor.report.document import CellRecord


def doubts_of(record: CellRecord) -> tuple[str, ...]:
    """Return the sentences that the cell's reason does not tell, in the order in which they were first said.

    Each begins with the launches that it is said of: ``launches 1, 3: …``.
    """
    return tuple(
        f"{_where(of)}: {doubt}"
        for doubt, of in _said(record).items()
        if not any(map(record.reason.count, _forms(doubt)))
    )


def with_launches(reason: str, record: CellRecord) -> str:
    """Return a reason with the launches behind each doubt that it tells: ``… (launches 1, 3); …``.

    A cell of one launch needs none of it.
    """
    if len(record.launches) + len(record.reference_launches) < 2:
        return reason
    for doubt, of in _said(record).items():
        forms = "|".join(map(re.escape, _forms(doubt)))
        told = re.search(rf"(?:(?<=; )|(?<= is invalid\. ))(?:{forms})(?=; |\.|$)", reason)
        if told is not None:
            reason = f"{reason[: told.end()]} ({_where(of)}){reason[told.end() :]}"
    return reason


def _said(record: CellRecord) -> dict[str, dict[str, list[int]]]:
    """Return the numbers of the launches by role, for each sentence."""
    found: dict[str, dict[str, list[int]]] = {}
    for role, launches in (("", record.launches), ("reference ", record.reference_launches)):
        for number, launch in enumerate(launches, 1):
            for doubt in dict.fromkeys(launch.doubts):
                found.setdefault(doubt, {}).setdefault(role, []).append(number)
    return found


def _forms(doubt: str) -> tuple[str, str]:
    """Return a sentence as it stands alone and as it stands at a paragraph's beginning."""
    return doubt, doubt[:1].upper() + doubt[1:]


def _where(of: dict[str, list[int]]) -> str:
    parts = [
        f"{role}{'launch' if len(numbers) == 1 else 'launches'} {', '.join(map(str, numbers))}"
        for role, numbers in of.items()
    ]
    return " and ".join(parts)
