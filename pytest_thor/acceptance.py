"""What was measured becomes the baseline, where the user asked for that and nothing speaks against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pytest_thor.baseline import history, store
from pytest_thor.baseline.entry import BaselineEntry, StoredLaunch
from pytest_thor.baseline.fingerprint import conditions, from_json
from pytest_thor.baseline.history import StoredRun
from pytest_thor.cell import Cell
from pytest_thor.judge.history import launch_values
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
    """Store the records that may be stored, and add every valid one to its cell's history; return the baselines.

    ``cells`` are by matrix name and id, ``roots`` by matrix path. What was held against a reference engine in an A/B
    run is no baseline's business.

    Raises:
        BaselineError: a file cannot be written, or stands there and is refused.
    """
    written = []
    for record in records:
        if record.verdict is None or record.reference_launches:
            continue
        cell = cells[record.matrix, record.id]
        root = roots[cell.matrix_path]
        existing = store.load(root, record.device, cell)
        verdicts = [Verdict(record.verdict), *(Verdict(m.verdict) for m in record.metrics.values() if m.verdict)]
        if store.may_store(mode=mode, existing=existing, verdicts=verdicts):
            written.append(store.save(root, record.device, cell, _entry(record, cell, accepted_at)))
        if Verdict.INVALID not in verdicts:
            history.append(root, record.device, cell, _run(record, accepted_at))
    return written


def _run(record: CellRecord, finished_at: str) -> StoredRun:
    engine = record.launches[-1].engine
    return StoredRun(
        finished_at=finished_at,
        verdict=record.verdict,
        version=engine.version,
        commit=engine.commit,
        conditions=conditions(from_json(record.fingerprint)),
        values=tuple(
            launch_values({name: tuple(samples) for name, samples in launch.samples.items()})
            for launch in record.launches
        ),
    )


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
