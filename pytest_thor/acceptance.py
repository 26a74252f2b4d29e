"""What was measured becomes the baseline, where the user asked for that and nothing speaks against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pytest_thor.baseline import store
from pytest_thor.baseline.entry import BaselineEntry, StoredLaunch
from pytest_thor.baseline.fingerprint import from_json
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
) -> list[Path]:
    """Store the records that may be stored; return the files written.

    ``cells`` are by matrix name and id, ``roots`` by matrix path.

    Raises:
        BaselineError: a file cannot be written, or stands there and is refused.
    """
    written = []
    for record in records:
        if record.verdict is None:
            continue
        cell = cells[record.matrix, record.id]
        root = roots[cell.matrix_path]
        existing = store.load(root, record.device, cell)
        verdicts = [Verdict(record.verdict), *(Verdict(m.verdict) for m in record.metrics.values() if m.verdict)]
        if store.may_store(mode=mode, existing=existing, verdicts=verdicts):
            written.append(store.save(root, record.device, cell, _entry(record, cell, accepted_at)))
    return written


def _entry(record: CellRecord, cell: Cell, accepted_at: str) -> BaselineEntry:
    return BaselineEntry(
        device=record.device,
        cell=cell.fields,
        accepted_at=accepted_at,
        fingerprint=from_json(record.fingerprint),
        launches=tuple(
            StoredLaunch(
                started_at=launch.started_at,
                engine=launch.engine.name,
                version=launch.engine.version,
                commit=launch.engine.commit,
                samples={name: tuple(samples) for name, samples in launch.samples.items()},
            )
            for launch in record.launches
        ),
    )
