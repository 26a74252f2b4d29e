"""From the records of measuring and judging to the report's: one function per record."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from pytest_thor.baseline.fingerprint import Fingerprint
from pytest_thor.cell import Cell
from pytest_thor.host.device import Device
from pytest_thor.judge.describe import describe
from pytest_thor.measure import Measured, Reference
from pytest_thor.measurement import EngineBuild, Launch
from pytest_thor.preparation import Prepared
from pytest_thor.report.document import CellRecord, EngineRecord, LaunchRecord, MetricRecord, Outcome
from pytest_thor.verdict import Judgement, MetricJudgement, Verdict


def engine_record(build: EngineBuild) -> EngineRecord:
    """Return a build as the report has it."""
    return EngineRecord(name=build.name, path=build.path, version=build.version, commit=build.commit)


def launch_record(launch: Launch) -> LaunchRecord:
    """Return a launch as the report and the journal have it."""
    return LaunchRecord(
        started_at=launch.started_at,
        duration_s=launch.duration_s,
        engine=engine_record(launch.engine),
        samples={name: list(samples) for name, samples in launch.samples.items()},
        telemetry=dict(launch.telemetry) if launch.telemetry is not None else None,
        failure=launch.failure,
        log_tail=launch.log_tail,
        doubts=list(launch.doubts),
        evidence=dict(launch.evidence),
    )


def metric_record(judgement: MetricJudgement) -> MetricRecord:
    """Return a metric's judgement as the report has it."""
    fields = asdict(judgement)
    del fields["metric"]
    return MetricRecord(**{**fields, "verdict": judgement.verdict.value})


def metric_records(measured: Measured) -> dict[str, MetricRecord]:
    """Return every metric of a cell: first those that were judged, then what else was measured."""
    if measured.judgement is None:
        return {}
    judged = {metric.metric: metric_record(metric) for metric in measured.judgement.metrics}
    others = {
        plain.metric: MetricRecord(
            unit=plain.unit, better=plain.better, value=plain.value, ci_low=plain.ci_low, ci_high=plain.ci_high
        )
        for plain in describe([launch.samples for launch in measured.launches])
        if plain.metric not in judged
    }
    return {**judged, **others}


def unmeasured_record(cell: Cell, *, device: Device, outcome: Literal["error", "skipped"], reason: str) -> CellRecord:
    """Return the record of a cell that was not launched."""
    return CellRecord(
        id=cell.id,
        matrix=cell.matrix,
        model=cell.model.name,
        quant=cell.quant,
        backend=cell.backend.name,
        engine=cell.backend.engine,
        workload=cell.workload.name,
        kind=cell.kind,
        device=device.slug,
        location=f"{cell.matrix_path}:{cell.line}",
        outcome=outcome,
        reason=reason,
        parameters=dict(cell.workload.parameters),
        settings=dict(cell.backend.settings),
    )


def cell_record(
    cell: Cell,
    *,
    device: Device,
    prepared: Prepared,
    fingerprint: Fingerprint,
    reference: Reference,
    measured: Measured,
    outcome: Outcome,
) -> CellRecord:
    """Return the record of a cell that was launched."""
    judgement = measured.judgement
    bare = unmeasured_record(cell, device=device, outcome="error", reason="")
    return bare.model_copy(
        update={
            "outcome": outcome,
            "verdict": judgement.verdict.value if judgement else None,
            "reason": _reason(cell, measured, reference),
            "artifact": prepared.artifact,
            "fingerprint": fingerprint.to_json(),
            "differences": [*reference.blocking, *reference.named],
            "launches": [launch_record(launch) for launch in measured.launches],
            "metrics": metric_records(measured),
        }
    )


def _reason(cell: Cell, measured: Measured, reference: Reference) -> str:
    """Return the paragraph of a cell: its verdict's, and what is under test and differs from the baseline."""
    if measured.judgement is None:
        return _failure(cell, measured)
    return measured.judgement.reason + _changed(measured.judgement, reference)


def _changed(judgement: Judgement, reference: Reference) -> str:
    if not reference.named or judgement.verdict in {Verdict.NO_BASELINE, Verdict.UNCHANGED}:
        return ""
    return f" Since the baseline: {'; '.join(reference.named)}."


def _failure(cell: Cell, measured: Measured) -> str:
    launch = measured.launches[-1]
    text = f"{cell.id} could not be measured: {launch.failure}"
    if launch.log_tail:
        text += f"\n\nThe end of {launch.engine.name}'s log:\n{launch.log_tail.rstrip()}"
    return text
