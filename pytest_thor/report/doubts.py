"""Why a cell's launches are doubted: each sentence once, with the launches that it is said of."""

from __future__ import annotations

from pytest_thor.report.document import CellRecord


def doubts_of(record: CellRecord) -> tuple[str, ...]:
    """Return the sentences in the order in which they were first said: ``launches 1, 3: …``."""
    found: dict[str, dict[str, list[int]]] = {}
    for role, launches in (("", record.launches), ("reference ", record.reference_launches)):
        for number, launch in enumerate(launches, 1):
            for doubt in dict.fromkeys(launch.doubts):
                found.setdefault(doubt, {}).setdefault(role, []).append(number)
    return tuple(f"{_where(of)}: {doubt}" for doubt, of in found.items())


def _where(of: dict[str, list[int]]) -> str:
    parts = [
        f"{role}{'launch' if len(numbers) == 1 else 'launches'} {', '.join(map(str, numbers))}"
        for role, numbers in of.items()
    ]
    return " and ".join(parts)
