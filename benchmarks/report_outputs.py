"""Time and memory of writing a report of 10,000 cells in every format; no engine is needed.

    python benchmarks/report_outputs.py [CELLS] [FORMAT]

Each format in a process of its own; the memory is that process's peak, the document's own included. Targets for 10,000
cells: report.json within 2 s and 300 MiB, Markdown within 1 s.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pytest_thor.report.document import (
    CellRecord,
    EngineRecord,
    EnvironmentRecord,
    LaunchRecord,
    MatrixRecord,
    MetricRecord,
    ReportDocument,
    summarize,
    write,
)
from pytest_thor.report.markdown import STEP_SUMMARY_BYTES, markdown
from pytest_thor.report.outputs import FORMATS
from pytest_thor.report.reading import read

_ENGINE = EngineRecord(name="llama-bench", path="/opt/llama.cpp/bin/llama-bench", version="b7000", commit="abcdef0")
_VERDICTS = ("unchanged", "unchanged", "unchanged", "unchanged", "improved", "inconclusive", "regressed", "no-baseline")
_EVIDENCE = {
    "build_commit": "abcdef0",
    "build_number": 7000,
    "cpu_info": "ARMv9",
    "gpu_info": "Thor",
    "backends": "CUDA",
    "model_type": "qwen3 8B Q4_K - Medium",
    "model_size": 5027784704,
    "model_n_params": 8190735360,
    "n_batch": 2048,
    "n_ubatch": 512,
    "n_threads": 14,
    "type_k": "f16",
    "type_v": "f16",
    "n_gpu_layers": 99,
    "flash_attn": 1,
    "test_time": "2026-01-01T00:00:00Z",
    "tensor_split": "0.00",
    "split_mode": "layer",
}


def synthetic(cells: int) -> ReportDocument:
    """Return a run of so many cells, three launches with five samples each; every eighth is a load of 100 requests."""
    records = [_load(number) if number % 8 == 7 else _bench(number) for number in range(cells)]
    return ReportDocument(
        started_at="2026-01-01T00:00:00.000+00:00",
        finished_at="2026-01-02T00:00:00.000+00:00",
        environment=EnvironmentRecord(device="jetson-agx-thor", fingerprint={}, engines=[_ENGINE]),
        matrix=[MatrixRecord(name="large", path="/repo/matrices/large.yaml", sha256="0" * 64)],
        summary=summarize(records, exit_status=1),
        cells=records,
    )


def _bench(number: int) -> CellRecord:
    speed = 40 + number % 17 / 10
    samples = [speed * (1 + repetition / 1000) for repetition in range(5)]
    launches = [_launch({"tg_tps": samples}, _EVIDENCE) for _ in range(3)]
    return _cell(number, "decode", f"tg{number}", launches, {"tg_tps": _metric(number, "tok/s", speed)})


def _load(number: int) -> CellRecord:
    requests = {name: [80 + request / 10 for request in range(100)] for name in ("ttft_ms", "tpot_ms", "e2el_ms")}
    launches = [_launch({**requests, "output_tps": [82.0]}, {}) for _ in range(3)]
    metrics = {"output_tps": _metric(number, "tok/s", 82.0)}
    metrics |= {f"{name}.{part}": _metric(number, "ms", 85.0) for name in requests for part in ("median", "p99")}
    return _cell(number, "serving", f"load-{number}", launches, metrics)


def _launch(samples: dict[str, list[float]], evidence: dict[str, object]) -> LaunchRecord:
    started_at = "2026-01-01T00:00:00.000+00:00"
    return LaunchRecord(started_at=started_at, duration_s=9.0, engine=_ENGINE, samples=samples, evidence=evidence)


def _metric(number: int, unit: str, value: float) -> MetricRecord:
    return MetricRecord.model_validate(
        {
            "unit": unit,
            "better": "lower" if unit == "ms" else "higher",
            "value": value,
            "ci_low": value * 0.99,
            "ci_high": value * 1.01,
            "baseline": value * 1.02,
            "change": -0.02,
            "change_low": -0.03,
            "change_high": -0.01,
            "threshold": 0.03,
            "verdict": _VERDICTS[number % len(_VERDICTS)],
            "reason": "Decode speed fell 2.0 %.",
        }
    )


def _cell(
    number: int, kind: str, workload: str, launches: list[LaunchRecord], metrics: dict[str, MetricRecord]
) -> CellRecord:
    verdict = _VERDICTS[number % len(_VERDICTS)]
    model = f"qwen3-8b_{number}"
    return CellRecord.model_validate(
        {
            "id": f"{model}-Q4_K_M-llama.cpp-{workload}",
            "matrix": "large",
            "model": model,
            "quant": "Q4_K_M",
            "backend": "llama.cpp",
            "engine": "llama-bench",
            "workload": workload,
            "kind": kind,
            "device": "jetson-agx-thor",
            "location": "/repo/matrices/large.yaml:14",
            "verdict": verdict,
            "outcome": "failed" if verdict == "regressed" else "passed",
            "reason": (
                f"{model}-Q4_K_M-llama.cpp-{workload} is {verdict}. Decode speed fell 2.0 % (95 % interval 1.0 to "
                "3.0 %), from 40.8 to 40.0 tok/s; threshold 3.0 %; detectable with these launches: 2.1 %."
            ),
            "parameters": {"n_gen": 128},
            "launches": launches,
            "metrics": metrics,
        }
    )


def measure(cells: int, name: str) -> None:
    """Print one row: the time of writing, the process's peak memory, the size of the file."""
    document = synthetic(cells)
    path = Path(tempfile.mkdtemp()) / "file"
    started, worked = time.perf_counter(), time.process_time()
    if name == "report.json":
        write(document, path)
    elif name == "step summary":
        path.write_text(markdown(document, limit_bytes=STEP_SUMMARY_BYTES), encoding="utf-8")
    elif name == "read report.json":
        write(document, path)
        del document
        started, worked = time.perf_counter(), time.process_time()
        read(path)
    else:
        path.write_bytes(FORMATS[name].content(document))
    spent = {"s": time.perf_counter() - started, "cpu_s": time.process_time() - worked}
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"name": name, **spent, "peak": peak_bytes, "size": path.stat().st_size}))


def main() -> None:
    """Print the table."""
    cells = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    if len(sys.argv) > 2:
        measure(cells, sys.argv[2])
        return
    print(f"{f'{cells} cells':<18}   seconds  CPU seconds   peak MiB   file MiB")
    for name in ("report.json", "read report.json", "step summary", *FORMATS):
        command = [sys.executable, __file__, str(cells), name]
        row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        times = f"{row['s']:>9.2f} {row['cpu_s']:>12.2f}"
        print(f"{name:<18} {times} {row['peak'] / 2**20:>10.0f} {row['size'] / 2**20:>10.1f}")


if __name__ == "__main__":
    main()
