"""Reports to render: small ones by hand, of any size, and with whatever foreign text a test wants in them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pytest_thor.report.document import (
    ArtifactRecord,
    CellRecord,
    EngineRecord,
    EnvironmentRecord,
    LaunchRecord,
    MatrixRecord,
    MetricRecord,
    ReportDocument,
    ShardRecord,
    summarize,
)

GOLDEN = Path(__file__).parents[2] / "golden"
ENGINE = EngineRecord(name="llama-bench", path="/opt/bin/llama-bench", version="b7", commit="abcdef0")
EVIDENCE: dict[str, Any] = {
    "build_commit": "abcdef0",
    "build_number": 7,
    "backends": "CUDA",
    "model_type": "qwen3 8B Q4_K - Medium",
    "model_size": 5_027_784_704,
    "model_n_params": 8_190_735_360,
    "n_gpu_layers": 99,
    "n_threads": 14,
    "test_time": "2026-01-01T00:00:00Z",
}
HOSTILE = (
    "<script>alert(1)</script>",
    "a|b`c`*d*_e_[f](javascript:g)![h](i)",
    "</details></summary></pre></code>",
    "line\nbreak\r\nand --> comment <!-- ",
    "\x1b[31mred\x1b[0m\x07\x00 \u202eabc",
    "::error::stop %0A::set-output name=x::y",
    "@someone #1 $x$ ~~no~~ www.example.org https://example.org",
    "# heading\n- list\n1. one\n> quote\n```\nfence",
    "&lt;b&gt; &amp; \\<b> \\| \\`",
)


def metric(**fields: Any) -> MetricRecord:
    return MetricRecord(**{"unit": "tok/s", "better": "higher", **fields})


def judged(value: float = 40.0, change: float = 0.0, verdict: str = "unchanged", **fields: Any) -> MetricRecord:
    bounds = {"change_low": change - 0.01, "change_high": change + 0.01, "threshold": 0.03}
    measured = {"value": value, "ci_low": value - 0.5, "ci_high": value + 0.5, "baseline": value / (1 + change)}
    return metric(**{**measured, "change": change, **bounds, "verdict": verdict, **fields})


def launch(samples: dict[str, list[float]] | None = None, **fields: Any) -> LaunchRecord:
    start = {"started_at": "2026-01-01T00:00:00.000+00:00", "duration_s": 2.0, "engine": ENGINE}
    return LaunchRecord(**{**start, "samples": samples or {}, "evidence": EVIDENCE, **fields})


def cell(workload: str = "tg128", **fields: Any) -> CellRecord:
    kind = "prefill" if workload.startswith("pp") else "decode" if workload.startswith("tg") else "serving"
    digits = re.match(r"[a-z]+([0-9]+)", workload)
    count = int(digits[1]) if digits else 1
    name = "pp_tps" if kind == "prefill" else "tg_tps" if kind == "decode" else "output_tps"
    known = {
        "id": f"qwen3-8b-Q4_K_M-llama.cpp-{workload}",
        "matrix": "qwen3",
        "model": "qwen3-8b",
        "quant": "Q4_K_M",
        "backend": "llama.cpp",
        "engine": "llama-bench",
        "workload": workload,
        "kind": kind,
        "device": "jetson-agx-thor",
        "location": "/repo/matrices/qwen3.yaml:14",
        "outcome": "passed",
        "verdict": "unchanged",
        "reason": f"{workload} is unchanged.",
        "parameters": {"n_prompt": count} if kind == "prefill" else {"n_gen": count},
        "artifact": ArtifactRecord(path="Qwen3-8B-Q4_K_M.gguf", format="gguf"),
        "launches": [launch({name: [39.0, 41.0]}), launch({name: [40.0, 40.0]})],
        "metrics": {name: judged()},
    }
    return CellRecord(**{**known, **fields})


def regressed(workload: str = "tg128", change: float = -0.124, **fields: Any) -> CellRecord:
    reason = f"{workload} regressed. Decode speed fell."
    metrics = {"tg_tps": judged(35.0, change, "regressed")}
    return cell(
        workload, **{"outcome": "failed", "verdict": "regressed", "reason": reason, "metrics": metrics, **fields}
    )


def skipped(workload: str = "tg128", **fields: Any) -> CellRecord:
    none: dict[str, Any] = {"outcome": "skipped", "verdict": None, "launches": [], "metrics": {}, "artifact": None}
    return cell(workload, **{**none, "reason": "no GGUF file", **fields})


def failed(workload: str = "tg128", **fields: Any) -> CellRecord:
    reason = f"{workload} could not be measured: it crashed\n\nThe end of llama-bench's log:\nggml: <oom>\nCUDA error"
    none: dict[str, Any] = {"outcome": "error", "verdict": None, "metrics": {}, "reason": reason}
    return cell(workload, **{**none, "launches": [launch(failure="it crashed", log_tail="CUDA error")], **fields})


def document(*cells: CellRecord, **fields: Any) -> ReportDocument:
    environment = EnvironmentRecord(
        device="jetson-agx-thor", fingerprint={}, power_mode="MAXN", engines=[ENGINE], software={}
    )
    known = {
        "started_at": "2026-01-01T00:00:00.000+00:00",
        "finished_at": "2026-01-01T01:03:00.000+00:00",
        "environment": environment,
        "matrix": [MatrixRecord(name="qwen3", path="/repo/matrices/qwen3.yaml", sha256="0" * 64)],
        "summary": summarize(cells, exit_status=0),
        "cells": list(cells),
    }
    return ReportDocument(**{**known, **fields})


def hostile(text: str) -> ReportDocument:
    """Return a report that has a text wherever text from outside can stand."""
    names: dict[str, Any] = dict.fromkeys(("id", "matrix", "model", "quant", "backend", "engine", "workload"), text)
    said = {**names, "device": text, "location": f"{text}:3", "reason": f"{text}\n\n{text}", "advice": [text]}
    said |= {"architecture": text, "shards": [text]}
    engine = EngineRecord(name=text, path=text, version=text, commit=text)
    evidence = {**EVIDENCE, "model_type": text, "backends": text, "build_commit": text, "n_threads": text}
    launches = [
        launch({"tg_tps": [40.0]}, engine=engine, evidence=evidence),
        launch(engine=engine, failure=f"other {text}", log_tail=text, doubts=[text]),
    ]
    metrics = {text: judged(), "tg_tps": judged(unit=text)}
    bad = cell(**{**said, "kind": "decode", "launches": launches, "metrics": metrics, "differences": [text]})
    serving = cell(**{**said, "kind": "serving", "launches": launches, "metrics": metrics})
    bad.outcome, bad.verdict = "failed", "regressed"
    written = document(bad, serving, skipped(**{**said, "reason": text}), failed(**said))
    written.environment.device = written.environment.power_mode = text
    written.environment.engines = [engine]
    written.matrix[0].name = text
    written.notes = [text]
    written.shards = [ShardRecord(name=text, device=text, started_at=text, finished_at=text, cells=4, notes=[text])]
    return written


def golden_rows(name: str, **fields: Any) -> ReportDocument:
    """Return the report of what a real llama-bench printed as jsonl, one cell a row."""
    cells = []
    for line in (GOLDEN / "llama_bench" / name).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        tokens = row["n_prompt"] + row["n_gen"]
        speeds_tps = [tokens * 1e9 / sample_ns for sample_ns in row.pop("samples_ns")]
        row.pop("samples_ts")
        kind, word, metric_name = ("prefill", "pp", "pp_tps") if row["n_prompt"] else ("decode", "tg", "tg_tps")
        parameters = {name: row[name] for name in ("n_prompt", "n_gen", "n_depth") if row[name]}
        cells.append(
            cell(
                f"{word}{tokens}@{row['n_depth']}",
                kind=kind,
                parameters=parameters,
                launches=[launch({metric_name: speeds_tps}, evidence=row)],
                **fields,
            )
        )
    return document(*cells)


def published_load() -> dict[str, Any]:
    """The evidence of the high load that was published of a Jetson Thor (``vllm_bench_serve_high_load.txt``)."""
    return {
        "duration_s": 150.59,
        "max_concurrency": 8,
        "request_rate": None,
        "requests": {"sent": 100, "failed": 0},
        "tokens": {"prompt": 204169, "output": 12419},
        "throughput": {"request_rps": 0.66, "output_tps": 82.47, "total_tps": 1438.24},
        "latency": {
            "ttft_ms": {"mean": 974.57, "median": 959.99, "p99": 2200.61},
            "tpot_ms": {"mean": 85.33, "median": 86.05, "p99": 90.57},
            "itl_ms": {"mean": 85.33, "median": 72.52, "p99": 361.74},
        },
    }
