"""Measured cells to compare and to merge: launches first, and what a run concluded of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_thor.judge.compare import judge_cell
from pytest_thor.record import metric_record
from pytest_thor.report.document import ArtifactRecord, CellRecord, EngineRecord, LaunchRecord, MetricRecord
from tests.unit.report.report_documents import cell

DEVICE = "jetson-agx-thor"


def taken(speed: float, *, metric: str = "tg_tps", second: int = 0, version: str = "b7") -> LaunchRecord:
    return LaunchRecord(
        started_at=f"2026-01-01T00:00:{second:02}.000+00:00",
        duration_s=2.0,
        engine=EngineRecord(name="llama-bench", path="/opt/bin/llama-bench", version=version),
        samples={metric: [speed, speed * 1.001, speed * 0.999]},
    )


def measured(
    workload: str = "tg128",
    speeds: Sequence[float] = (40.0, 40.1, 39.9),
    *,
    quant: str = "Q4_K_M",
    model: str = "qwen3-8b",
    backend: str = "llama.cpp",
    device: str = DEVICE,
    version: str = "b7",
    size_bytes: int | None = None,
    second: int = 0,
    facts: dict[str, Any] | None = None,
    conditions: dict[str, Any] | None = None,
    **fields: Any,
) -> CellRecord:
    """Return a measured cell without a baseline; a speed a launch."""
    metric = "pp_tps" if workload.startswith("pp") else "tg_tps"
    launches = [
        taken(speed, metric=metric, second=second + index, version=version) for index, speed in enumerate(speeds)
    ]
    known: dict[str, Any] = {
        "id": f"{model}-{quant}-{backend}-{workload}",
        "model": model,
        "quant": quant,
        "backend": backend,
        "device": device,
        "verdict": "no-baseline",
        "reason": "nothing is stored",
        "fingerprint": {
            "must_match": {
                "device": device,
                "model.size_bytes": size_bytes,
                "workload.name": workload,
                **(conditions or {}),
            },
            "under_test": {"engine.version": version, **(facts or {})},
        },
        "artifact": ArtifactRecord(path="x.gguf", format="gguf", size_bytes=size_bytes),
        "launches": launches,
        "metrics": judged_alone(launches, metric),
    }
    return cell(workload, **{**known, **fields})


def judged_alone(launches: Sequence[LaunchRecord], metric: str = "tg_tps") -> dict[str, MetricRecord]:
    judgement = judge_cell(
        title="it",
        kind="prefill" if metric == "pp_tps" else "decode",
        thresholds={metric: 0.03},
        baseline=(),
        launches=[{name: tuple(values) for name, values in launch.samples.items()} for launch in launches],
    )
    return {each.metric: metric_record(each) for each in judgement.metrics}


def published(
    workload: str = "tg128", speed: float = 36.0, *, model: str = "Qwen3 8B", quant: str = "Q4_K_M", **fields: Any
) -> CellRecord:
    """Return a figure without launches, as pytest-thor import makes it; it names the model in its own way."""
    name = "pp_tps" if workload.startswith("pp") else "tg_tps"
    metric = MetricRecord(unit="tok/s", better="higher", value=speed)
    known: dict[str, Any] = {
        "id": f"{model}-{quant}-llama-bench-{workload}",
        "matrix": "page.md",
        "model": model,
        "quant": quant,
        "backend": "CUDA",
        "verdict": "no-baseline",
        "artifact": None,
        "launches": [],
        "metrics": {name: metric},
    }
    return cell(workload, **{**known, **fields})
