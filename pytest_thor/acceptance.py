"""What was measured becomes the baseline, where the user asked for that and nothing speaks against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pytest_thor.anchors import entry_of, run_of, verdicts_of
from pytest_thor.baseline import history, store
from pytest_thor.cell import Cell
from pytest_thor.report.document import CellRecord
from pytest_thor.verdict import Verdict


def update_baselines(
    records: Iterable[CellRecord],
    *,
    cells: Mapping[tuple[str, str], Cell],
    roots: Mapping[str, Path],
    mode: Literal["missing", "accept"],
    accepted_at: str,
) -> dict[Path, CellRecord]:
    """Store the records that may be stored, and add every valid one to its cell's history; return the baselines.

    ``cells`` are by matrix name and id, ``roots`` by matrix path. What was held against a reference engine in an A/B
    run is no baseline's business.

    Raises:
        BaselineError: a file cannot be written, or stands there and is refused.
    """
    written = {}
    for record in records:
        if record.verdict is None or record.reference_launches:
            continue
        cell = cells[record.matrix, record.id]
        root = roots[cell.matrix_path]
        existing = store.load(root, record.device, cell)
        verdicts = verdicts_of(record)
        if store.may_store(mode=mode, existing=existing, verdicts=verdicts):
            entry = entry_of(record, accepted_at=accepted_at, replacing=existing)
            written[store.save(root, record.device, cell, entry)] = record
        if Verdict.INVALID not in verdicts:
            history.append(root, record.device, cell, run_of(record))
    return written
