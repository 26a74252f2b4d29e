"""From the records of measuring and judging to the report's: one function per record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Literal

from pytest_thor.baseline.fingerprint import conditions
from pytest_thor.baseline.history import StoredRun
from pytest_thor.bounds import with_limits
from pytest_thor.cell import Cell
from pytest_thor.host.device import Device
from pytest_thor.judge.describe import describe
from pytest_thor.judge.spread import Spread
from pytest_thor.measure import Reference, Trial
from pytest_thor.measurement import GATED, EngineBuild, Launch
from pytest_thor.past import advice as past_advice
from pytest_thor.past import comparable_runs
from pytest_thor.plain_text import printable
from pytest_thor.preparation import Prepared, Stored
from pytest_thor.report.document import (
    CellRecord,
    EngineRecord,
    LaunchRecord,
    MetricRecord,
    Outcome,
    PastRunRecord,
    RecentRecord,
)
from pytest_thor.report.doubts import with_launches
from pytest_thor.verdict import Judgement, MetricJudgement, Verdict
from pytest_thor.weights import weights_of

_SHOWN_RUNS = 50
"""A report shows so many of a cell's stored runs, the latest."""


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


def launch_of(record: LaunchRecord) -> Launch:
    """Return the launch that a record was made of."""
    return Launch(
        started_at=record.started_at,
        duration_s=record.duration_s,
        engine=EngineBuild(**record.engine.model_dump()),
        samples={name: tuple(samples) for name, samples in record.samples.items()},
        telemetry=record.telemetry,
        failure=record.failure,
        log_tail=record.log_tail,
        doubts=tuple(record.doubts),
        evidence=record.evidence,
    )


def metric_record(judgement: MetricJudgement) -> MetricRecord:
    """Return a metric's judgement as the report has it."""
    fields = asdict(judgement)
    del fields["metric"]
    recent = judgement.recent
    return MetricRecord(
        **{
            **fields,
            "verdict": judgement.verdict.value,
            "recent": RecentRecord(**{**asdict(recent), "verdict": recent.verdict.value}) if recent else None,
        }
    )


def metric_records(trial: Trial, spreads: Mapping[str, Spread]) -> dict[str, MetricRecord]:
    """Return every metric of a cell: first those that were judged, then what else was measured."""
    if trial.judgement is None:
        return {}
    judged = {metric.metric: metric_record(metric) for metric in trial.judgement.metrics}
    others = {
        plain.metric: MetricRecord(
            unit=plain.unit, better=plain.better, value=plain.value, ci_low=plain.ci_low, ci_high=plain.ci_high
        )
        for plain in describe([launch.samples for launch in trial.launches], spreads)
        if plain.metric not in judged
    }
    return {**judged, **others}


def unmeasured_record(cell: Cell, *, device: str, outcome: Literal["error", "skipped"], reason: str) -> CellRecord:
    """Return the record of a cell that was not launched on a device, named by its slug."""
    weights = weights_of(cell)
    return CellRecord(
        id=cell.id,
        matrix=cell.matrix,
        model=cell.model.name,
        quant=cell.quant,
        backend=cell.backend.name,
        engine=cell.backend.engine,
        workload=cell.workload.name,
        kind=cell.kind,
        architecture=weights.architecture,
        weights=weights.count,
        bits_per_weight=weights.bits,
        device=device,
        location=f"{cell.matrix_path}:{cell.line}",
        outcome=outcome,
        reason=printable(reason),
        parameters=dict(cell.workload.parameters),
        settings=dict(cell.backend.settings),
    )


def past_run_record(run: StoredRun) -> PastRunRecord:
    """Return a stored run as the report has it."""
    values: dict[str, list[float]] = {}
    for launch in run.values:
        for key, value in launch.items():
            values.setdefault(key, []).append(value)
    return PastRunRecord(
        finished_at=run.finished_at,
        verdict=Verdict(run.verdict).value if run.verdict else None,
        version=run.version,
        values=values,
    )


def cell_record(
    trial: Trial,
    *,
    device: Device,
    prepared: Prepared,
    outcome: Outcome,
    past: Stored,
    spreads: Mapping[str, Spread],
    note: str | None = None,
) -> CellRecord:
    """Return the record of a cell that was launched; ``note`` ends its paragraph."""
    judgement = trial.judgement
    weights = weights_of(trial.cell, prepared.artifact)
    bare = unmeasured_record(trial.cell, device=device.slug, outcome="error", reason="")
    record = bare.model_copy(
        update={
            "outcome": outcome,
            "verdict": judgement.verdict.value if judgement else None,
            "architecture": weights.architecture,
            "weights": weights.count,
            "bits_per_weight": weights.bits,
            "artifact": prepared.artifact,
            "fingerprint": trial.fingerprint.to_json(),
            "differences": [*trial.reference.blocking, *trial.reference.named],
            "launches": [launch_record(launch) for launch in trial.launches],
            "reference_launches": [launch_record(launch) for launch in trial.reference_launches],
            "history": [past_run_record(run) for run in past.runs[-_SHOWN_RUNS:]],
            "advice": [*trial.advice, *_turns(trial, past)],
            "slowing": trial.slowing,
            "metrics": with_limits(metric_records(trial, spreads), trial.bounds),
        }
    )
    reason = with_launches(_reason(trial), record)
    return record.model_copy(update={"reason": printable(" ".join(filter(None, [reason, note])))})


def _turns(trial: Trial, past: Stored) -> list[str]:
    """Return where the cell's speed changed its level in the stored runs that compare with this one."""
    like = comparable_runs(past.runs, conditions(trial.fingerprint))
    return [sentence for key in GATED[trial.cell.kind] for sentence in past_advice(like, key)]


def _reason(trial: Trial) -> str:
    """Return the paragraph of a cell: its verdict's, and what is under test and differs from the baseline."""
    if trial.judgement is None:
        return _failure(trial)
    return trial.judgement.reason + _changed(trial.judgement, trial.reference)


def _changed(judgement: Judgement, reference: Reference) -> str:
    if not reference.named or judgement.verdict in {Verdict.NO_BASELINE, Verdict.UNCHANGED}:
        return ""
    since = "Beside the reference" if reference.against else "Since the baseline"
    return f" {since}: {'; '.join(reference.named)}."


def _failure(trial: Trial) -> str:
    launch = trial.failure
    assert launch is not None  # without a failure there is a judgement
    of_reference = any(launch is other for other in trial.reference_launches)
    subject = f"{trial.cell.id}'s reference" if of_reference else trial.cell.id
    text = f"{subject} could not be measured: {launch.failure}"
    if launch.log_tail:
        text += f"\n\nThe end of {launch.engine.name}'s log:\n{launch.log_tail.rstrip()}"
    return text
