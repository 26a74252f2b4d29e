"""The launches of prefill and decode cells as rows of llama-bench: the fields that ``llama-bench -o sql`` writes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pytest_thor.report.document import CellRecord, LaunchRecord, ReportDocument
from pytest_thor.report.naming import naming_of

METRICS: Mapping[str, str] = MappingProxyType({"prefill": "pp_tps", "decode": "tg_tps"})
"""The metric that llama-bench's t/s is, by kind."""
_SCHEMA = (
    "build_commit TEXT, build_number INTEGER, cpu_info TEXT, gpu_info TEXT, backends TEXT, model_filename TEXT, "
    "model_type TEXT, model_size INTEGER, model_n_params INTEGER, n_batch INTEGER, n_ubatch INTEGER, n_threads "
    "INTEGER, cpu_mask TEXT, cpu_strict INTEGER, poll INTEGER, type_k TEXT, type_v TEXT, n_gpu_layers INTEGER, "
    "n_cpu_moe INTEGER, split_mode TEXT, main_gpu INTEGER, no_kv_offload INTEGER, flash_attn INTEGER, devices "
    "TEXT, tensor_split TEXT, tensor_buft_overrides TEXT, load_mode TEXT, lazy_mode TEXT, embeddings INTEGER, "
    "no_op_offload INTEGER, no_host INTEGER, repack INTEGER, fit_target INTEGER, fit_min_ctx INTEGER, n_prompt "
    "INTEGER, n_gen INTEGER, n_depth INTEGER, test_time TEXT, avg_ns INTEGER, stddev_ns INTEGER, avg_ts REAL, "
    "stddev_ts REAL"
)
FIELDS: Mapping[str, str] = MappingProxyType(
    {name: kind for name, _, kind in (column.partition(" ") for column in _SCHEMA.split(", "))}
)
"""Every column in llama-bench's order with its SQL type, as of llama.cpp in llama-cpp-python 0.3.36."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRow:
    """One launch of one cell: llama-bench's fields as the engine reported them, None where it did not.

    ``is_reference`` where the launch is of the engine that --thor-against names.
    """

    cell: CellRecord
    is_reference: bool
    fields: Mapping[str, Any]
    speeds_tps: tuple[float, ...]


def bench_rows(document: ReportDocument) -> Iterator[BenchRow]:
    """Yield a row per measured launch of every prefill and decode cell, those of a reference engine included.

    Of several devices ``cpu_info`` names each row's: a reader that joins rows of equal settings must not mix them.
    A launch that failed has no row, nor has one of an invalid cell: its figure cannot be what it claims.
    """
    naming = naming_of(document.cells)
    for cell in document.cells:
        metric = METRICS.get(cell.kind)
        if metric is None or cell.verdict == "invalid":
            continue
        for is_reference, launches in ((True, cell.reference_launches), (False, cell.launches)):
            for launch in launches:
                speeds_tps = tuple(launch.samples.get(metric, ()))
                if launch.failure is None and speeds_tps and all(_is_speed(speed) for speed in speeds_tps):
                    fields = _fields(cell, launch, speeds_tps)
                    if naming.devices:
                        fields["cpu_info"] = f"{fields['cpu_info'] or ''} ({cell.device})".lstrip()
                    yield BenchRow(cell=cell, is_reference=is_reference, fields=fields, speeds_tps=speeds_tps)


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and sample standard deviation as llama-bench has them; that of one value is 0."""
    mean = math.fsum(values) / len(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return mean, math.sqrt(squares / (len(values) - 1)) if len(values) > 1 else 0.0


def _fields(cell: CellRecord, launch: LaunchRecord, speeds_tps: Sequence[float]) -> dict[str, Any]:
    said = launch.evidence
    artifact = cell.artifact
    n_prompt = _count(cell, "n_prompt") if cell.kind == "prefill" else 0
    n_gen = _count(cell, "n_gen") if cell.kind == "decode" else 0
    durations_ns = [(n_prompt + n_gen) * 1e9 / speed for speed in speeds_tps]
    (avg_ts, stddev_ts), (avg_ns, stddev_ns) = spread(speeds_tps), spread(durations_ns)
    known = {
        "build_commit": launch.engine.commit,
        "model_filename": artifact.path if artifact else None,
        "model_type": f"{cell.model} {cell.quant}",
        "model_size": artifact.tensor_bytes if artifact else None,
        "model_n_params": artifact.parameters if artifact else None,
        "test_time": launch.started_at,
    }
    reported = {name: said[name] for name in FIELDS if said.get(name) is not None}
    measured = {
        "n_prompt": n_prompt,
        "n_gen": n_gen,
        "n_depth": _count(cell, "n_depth"),
        "avg_ns": round(avg_ns),
        "stddev_ns": round(stddev_ns),
        "avg_ts": avg_ts,
        "stddev_ts": stddev_ts,
    }
    row = {**dict.fromkeys(FIELDS), **known, **reported, **measured}
    return {name: int(value) if isinstance(value, bool) else value for name, value in row.items()}


def _count(cell: CellRecord, name: str) -> int:
    value = cell.parameters.get(name, 0)
    return value if isinstance(value, int) and 0 <= value < 2**31 else 0


def _is_speed(value: float) -> bool:
    """Say whether a figure could be one at all; what lies beyond would overflow its own standard deviation."""
    return 1e-12 < value < 1e15
