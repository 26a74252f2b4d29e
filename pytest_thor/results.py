"""The whole run, gathered where pytest reports: every cell's record, the exit status, and the report."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from platform import python_version

import pytest

from pytest_thor.bounds import advice_on
from pytest_thor.cell import Scalar
from pytest_thor.collection import LoadedMatrix
from pytest_thor.host.device import identify
from pytest_thor.host.part import Part
from pytest_thor.judge.drift import common_shift
from pytest_thor.merging.judging import judgement_of, with_q_values
from pytest_thor.preparation import machine_facts
from pytest_thor.report.document import (
    CellRecord,
    EnvironmentRecord,
    MatrixRecord,
    PolicyRecord,
    ReportDocument,
    ShiftRecord,
    engines_of,
    summarize,
)

COULD_NOT_MEASURE = 8
"""Exit status: nothing regressed, but something could not be measured."""
ALL_SKIPPED = 9
"""Exit status: every cell was skipped."""


class Results:
    """What the tests of this run reported; under pytest-xdist, of all workers."""

    def __init__(self) -> None:
        self._started_at = now()
        self._records: dict[tuple[str, str], CellRecord] = {}
        self._other_failures = 0
        self._other_passes = 0

    @property
    def records(self) -> list[CellRecord]:
        """Every cell that a test asked for, in the order of the tests."""
        return list(self._records.values())

    def add(self, report: pytest.TestReport) -> CellRecord | None:
        """Take what a test's report carries; return its cell's record, or None where it measured none."""
        content = getattr(report, "thor", None)
        if content is None:
            self._other_failures += report.failed
            self._other_passes += report.passed and report.when == "call"
            return None
        record = CellRecord.model_validate(content)
        known = self._records.get((record.matrix, record.id))
        if known is None or known.outcome == "error":  # what a lost worker could not measure, the next one may
            self._records[record.matrix, record.id] = record
        # A user's own assertion may fail where the cell is fine.
        self._other_failures += report.failed and record.outcome not in {"failed", "error"}
        return record

    def conclude(self) -> None:
        """Add to each cell what only the others tell: its q-values, and that it is far behind those like it."""
        self._records = dict(zip(self._records, with_q_values(self.records), strict=True))
        for of, sentence in advice_on(self.records).items():
            record = self._records[of]
            self._records[of] = record.model_copy(update={"advice": [*record.advice, sentence]})

    def exit_status(self, status: int) -> int:
        """Return pytest's exit status, told apart by what happened to the cells."""
        if status not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
            return status
        outcomes = {record.outcome for record in self._records.values()}
        if self._other_failures or "failed" in outcomes:
            return status
        if "error" in outcomes or any(record.left_over for record in self._records.values()):
            return COULD_NOT_MEASURE
        if outcomes == {"skipped"} and not self._other_passes:
            return ALL_SKIPPED
        return status

    def environment(self, *, relative: bool, canaries: Sequence[str]) -> ShiftRecord | None:
        """Return how far all cells of a device moved together, or None where no machine changed.

        Of several devices that which moved farthest is returned, with the others in its reason.
        """
        devices = sorted({record.device for record in self.records})
        told = [
            (device, shift)
            for device in devices
            if (shift := self._shift_on(device, relative=relative, canaries=canaries)) is not None
        ]
        if len(devices) == 1 or not told:
            return told[0][1] if told else None
        told.sort(key=lambda item: -abs(item[1].shift))
        reason = "; ".join(f"{device}: {shift.reason}" for device, shift in told)
        return told[0][1].model_copy(update={"reason": reason})

    def _shift_on(self, device: str, *, relative: bool, canaries: Sequence[str]) -> ShiftRecord | None:
        found = {record.id: (record, judgement_of(record)) for record in self.records if record.device == device}
        judged = {name: judgement for name, (_, judgement) in found.items() if judgement is not None}
        records = [found[name][0] for name in judged]
        canary = next((name for name in canaries if name in judged), None)
        shared = set.intersection(*(set(record.differences) for record in records)) if records else set()
        shift = common_shift(judged, canary=canary, also_changed=sorted(shared))
        if shift is None:
            return None
        return ShiftRecord(
            shift=shift.shift,
            low=shift.low,
            high=shift.high,
            cells=shift.cells,
            canary=shift.canary,
            judged_relative=relative and canary is not None,
            reason=shift.reason,
        )

    def document(
        self,
        matrices: Sequence[LoadedMatrix],
        *,
        environment: ShiftRecord | None,
        exit_status: int,
        policy: PolicyRecord,
        part: Part | None = None,
        reference_quant: str | None = None,
        notes: Sequence[str] = (),
    ) -> ReportDocument:
        """Return the report of this run; ``part`` is that of this machine which measured, where one process did all.

        ``notes`` are what a reader must know beside the cells.
        """
        device = identify(part=part)
        devices = sorted({record.device for record in self.records}) or [device.slug]
        facts = dict(machine_facts(device))
        if devices != [device.slug]:
            facts = _facts_of(self.records, {*facts, "part", "memory_gib"} - {"memory_bytes"})
        return ReportDocument(
            started_at=self._started_at,
            finished_at=now(),
            environment=EnvironmentRecord(
                device=", ".join(devices),
                fingerprint=dict(facts),
                power_mode=None if (mode := facts.get("power_mode")) is None else str(mode),
                engines=engines_of(self.records),
                software={
                    "python": python_version(),
                    "platform": sys.platform,
                    **{name: version(name) for name in ("pytest", "pytest-thor")},
                },
            ),
            matrix=[MatrixRecord(name=m.name, path=str(m.path), sha256=m.sha256) for m in matrices],
            summary=summarize(self.records, environment=environment, exit_status=exit_status, policy=policy),
            reference_quant=reference_quant,
            notes=list(notes),
            cells=self.records,
        )


def _facts_of(records: Sequence[CellRecord], names: Collection[str]) -> dict[str, Scalar]:
    """Return the facts of the machines that measured, elsewhere too: those in which all agree."""
    tables = [
        {**record.fingerprint.get("must_match", {}), **record.fingerprint.get("under_test", {})}
        for record in records
        if record.fingerprint
    ]
    if not tables:
        return {}
    return {
        name: value
        for name, value in tables[0].items()
        if name in names and all(table.get(name) == value for table in tables)
    }


def now() -> str:
    """Return the time in UTC, to the millisecond, as ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
