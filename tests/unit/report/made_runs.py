"""Runs of any size with everything that a report may have: verdicts, histories, sweeps, energy, limits, failures.

The figures are made up, from a model's size and a device's bandwidth, with noise from a seed; nothing was measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from random import Random
from statistics import median
from typing import Any

from pytest_thor.report.document import (
    ArtifactRecord,
    CellRecord,
    EngineRecord,
    EnvironmentRecord,
    LaunchRecord,
    MatrixRecord,
    MetricRecord,
    PastRunRecord,
    ReportDocument,
    ShiftRecord,
    summarize,
)
from pytest_thor.units import format_percent, format_quantity

BENCH = EngineRecord(name="llama-bench", path="/opt/llama.cpp/bin/llama-bench", version="b7000", commit="abcdef0")
SERVER = EngineRecord(name="llama-server", path="/opt/llama.cpp/bin/llama-server", version="b7000", commit="abcdef0")
VLLM = EngineRecord(name="vllm", path="/opt/vllm/bin/python", version="0.15.1")
_SIZES = {"qwen3-0.6b": 0.6e9, "qwen3-1.7b": 1.7e9, "qwen3-4b": 4.0e9, "qwen3-8b": 8.2e9, "qwen3-14b": 14.8e9}
_BITS = {"Q4_K_M": 4.9, "Q5_K_M": 5.7, "Q6_K": 6.6, "Q8_0": 8.5, "F16": 16.0}
_BANDWIDTH = 273e9
_PEAK = 516e12
_VERDICTS = ("unchanged",) * 12 + (
    "improved",
    "inconclusive",
    "inconclusive",
    "regressed",
    "no-baseline",
    "incomparable",
)
_CHANGES = {"regressed": -0.11, "improved": 0.08, "inconclusive": -0.025}
_STARTED = datetime(2026, 1, 31, 8, 0, tzinfo=timezone.utc)
_RUNS = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a cell asks, before it is measured."""

    model: str
    quant: str
    backend: str
    engine: EngineRecord
    workload: str
    kind: str
    parameters: dict[str, Any]


def made_run(cells: int, *, seed: int = 1, text: str = "") -> ReportDocument:
    """Return a run of so many cells; ``text`` is put into every name, path, paragraph and log."""
    random = Random(seed)
    records = [_cell(asked, random, text) for asked, _ in zip(_asked(), range(cells), strict=False)]
    return ReportDocument(
        started_at=_STARTED.isoformat(),
        finished_at=(_STARTED + timedelta(hours=2, minutes=7)).isoformat(),
        environment=EnvironmentRecord(
            device=f"jetson-agx-thor{text}",
            fingerprint={"device": "jetson-agx-thor", "gpu": "Thor", "l4t": "38.4", "cuda": "13.0", "driver": None},
            power_mode=f"MAXN{text}",
            engines=[BENCH, SERVER, VLLM],
            software={"python": "3.12.3", "pytest-thor": "0.1.0", f"other{text}": None},
        ),
        matrix=[MatrixRecord(name=f"qwen3{text}", path=f"/repo/matrices/qwen3.yaml{text}", sha256="0" * 64)],
        summary=summarize(
            records,
            exit_status=1,
            environment=ShiftRecord(
                shift=-0.031, low=-0.036, high=-0.026, cells=cells, reason=f"The clock was lower than usual.{text}"
            ),
        ),
        cells=records,
    )


def _asked() -> Iterator[_Asked]:
    """Yield cells without end: every model, quant and workload, then the same of another family."""
    family = 0
    while True:
        for model in _SIZES:
            name = f"{model}-v{family}" if family else model
            for quant in _BITS:
                yield from _benched(name, quant)
                if quant in {"Q4_K_M", "Q8_0"}:
                    yield from _loaded(name, quant)
        family += 1


def _benched(model: str, quant: str) -> Iterator[_Asked]:
    for workload, kind, parameters in (
        ("pp512", "prefill", {"n_prompt": 512, "n_depth": 0}),
        ("tg128", "decode", {"n_gen": 128, "n_depth": 0}),
        ("tg64@4096", "decode", {"n_gen": 64, "n_depth": 4096}),
    ):
        for backend in ("llama.cpp", "llama.cpp-fa-off"):
            yield _Asked(
                model=model,
                quant=quant,
                backend=backend,
                engine=BENCH,
                workload=workload,
                kind=kind,
                parameters=parameters,
            )


def _loaded(model: str, quant: str) -> Iterator[_Asked]:
    for backend, engine in (("llama-server", SERVER), ("vllm", VLLM)):
        for users in (1, 2, 4, 8, 16):
            load = {"input_len": 2048, "output_len": 128, "num_prompts": 8 * users, "max_concurrency": users}
            parameters = {**load, "request_rate": None, "sweep": "max_concurrency"}
            yield _Asked(
                model=model,
                quant=quant,
                backend=backend,
                engine=engine,
                workload=f"load@c{users}",
                kind="serving",
                parameters=parameters,
            )


def _cell(asked: _Asked, random: Random, text: str) -> CellRecord:
    name = f"{asked.model}-{asked.quant}-{asked.backend}-{asked.workload}"
    fate = random.random()
    common: dict[str, Any] = {
        "id": name + text,
        "matrix": f"qwen3{text}",
        "model": asked.model + text,
        "quant": asked.quant + text,
        "backend": asked.backend + text,
        "engine": asked.engine.name + text,
        "workload": asked.workload + text,
        "kind": asked.kind,
        "device": f"jetson-agx-thor{text}",
        "location": f"/repo/matrices/qwen3.yaml{text}:14",
        "parameters": {**asked.parameters, "note": text},
        "settings": {"n_gpu_layers": 99, "extra_args": [text]},
        "artifact": _artifact(asked, text),
        "fingerprint": {"must_match": {"gpu": "Thor", f"x{text}": text}, "under_test": {"engine.version": "b7000"}},
    }
    if fate < 0.02:
        return CellRecord(**common, outcome="skipped", reason=f"no file {name}.gguf in /models{text}")
    if fate < 0.04:
        log = f"ggml_cuda: out of memory{text}\nllama_init: failed"
        reason = f"{name} could not be measured: it crashed{text}\n\nThe end of the log:\n{log}"
        gone = LaunchRecord(
            started_at=_STARTED.isoformat(),
            duration_s=3.0,
            engine=asked.engine,
            failure=f"it crashed{text}",
            log_tail=log,
        )
        return CellRecord(**common, outcome="error", reason=reason, launches=[gone])
    return _measured(asked, common, random, text)


def _measured(asked: _Asked, common: dict[str, Any], random: Random, text: str) -> CellRecord:
    verdict = "invalid" if random.random() < 0.01 else random.choice(_VERDICTS)
    change = _CHANGES.get(verdict, 0.0) * random.uniform(0.5, 1.5) + random.gauss(0, 0.004)
    speeds = _speeds(asked)
    levels = {
        key: level * (1 + (change if unit.endswith("/s") else -change)) for key, (level, unit, _) in speeds.items()
    }
    launches = [_launch(asked, levels, random, text) for _ in range(3)]
    known = verdict != "no-baseline"
    metrics = {}
    for key, (_, unit, limit) in speeds.items():
        better = "higher" if unit.endswith("/s") else "lower"
        summaries = [""] if key.endswith("_tps") or "energy" in key else [".median", ".p99"]
        for summary in summaries:
            pooled = sorted(value for launch in launches for value in launch.samples[key])
            value = pooled[int(0.99 * (len(pooled) - 1))] if summary == ".p99" else median(pooled)
            moved = value / (median(pooled) / (1 + change)) - 1 if not summary else -change
            judged = key in {"pp_tps", "tg_tps", "output_tps"} or summary == ".median"
            metrics[key + summary] = MetricRecord(
                unit=unit,
                better="higher" if better == "higher" else "lower",
                value=value,
                ci_low=value * 0.993,
                ci_high=value * 1.008,
                baseline=value / (1 + moved) if known and judged else None,
                change=moved if known and judged else None,
                change_low=moved - 0.011 if known and judged else None,
                change_high=moved + 0.012 if known and judged else None,
                threshold=0.03 if judged else None,
                verdict=verdict if judged and (key.endswith("_tps") or verdict == "unchanged") else None,
                minimum_detectable_effect=0.021 if known and judged else None,
                limit=limit,
                efficiency=value / limit if limit and better == "higher" else None,
            )
    first = next(iter(metrics))
    shown = metrics[first]
    figure = format_quantity(shown.value or 0, shown.unit)
    moved_by = format_percent(change, signed=True)
    reason = (
        f"{common['id']} is {verdict}. {first} is {figure}, {moved_by} against its baseline; threshold 3.0 %.{text}"
    )
    failing = {"regressed": "failed", "invalid": "failed", "inconclusive": "warned", "incomparable": "warned"}
    return CellRecord(
        **common,
        outcome=failing.get(verdict, "passed"),
        verdict=verdict,
        reason=reason,
        differences=[f"power mode: MAXN, was 120W{text}"] if verdict == "incomparable" else [],
        advice=[f"far behind the other quants{text}"] if random.random() < 0.02 else [],
        launches=launches,
        history=_history(first, (shown.value or 0) / (1 + change), random) if known else [],
        metrics=metrics,
    )


def _artifact(asked: _Asked, text: str) -> ArtifactRecord:
    return ArtifactRecord(
        path=f"/models/{asked.model}-{asked.quant}.gguf{text}",
        format="gguf",
        size_bytes=int(_size(asked) * 1.01),
        parameters=int(_parameters(asked)),
        tensor_bytes=int(_size(asked)),
    )


def _parameters(asked: _Asked) -> float:
    return next(size for name, size in _SIZES.items() if asked.model.startswith(name))


def _size(asked: _Asked) -> float:
    return _parameters(asked) * _BITS[asked.quant] / 8


def _speeds(asked: _Asked) -> dict[str, tuple[float, str, float | None]]:
    """Return level, unit and limit of each metric that a cell's samples have."""
    slower = 0.9 if asked.backend.endswith("off") else 1.0
    decode_limit = _BANDWIDTH / _size(asked)
    prefill_limit = _PEAK / (2 * _parameters(asked))
    if asked.kind == "prefill":
        return {
            "pp_tps": (prefill_limit * 0.18 * slower, "tok/s", prefill_limit),
            "energy_j_per_token": (_size(asked) / 2e11, "J/tok", None),
        }
    if asked.kind == "decode":
        return {
            "tg_tps": (decode_limit * 0.72 * slower, "tok/s", decode_limit),
            "energy_j_per_token": (_size(asked) / 4.1e9, "J/tok", None),
        }
    users = asked.parameters["max_concurrency"]
    together = decode_limit * users / (1 + users / 24) * (0.6 if asked.backend == "vllm" else 0.5)
    return {
        "output_tps": (together, "tok/s", decode_limit * users),
        "ttft_ms": (2048e3 / (prefill_limit * 0.2) * (1 + users / 3), "ms", None),
        "tpot_ms": (1e3 * users / together, "ms", None),
        "e2el_ms": (1e3 * users / together * 128, "ms", None),
    }


def _launch(asked: _Asked, levels: dict[str, float], random: Random, text: str) -> LaunchRecord:
    apart = random.gauss(1, 0.003)
    samples = {}
    for name, level in levels.items():
        many = asked.parameters["num_prompts"] if name.endswith("_ms") else 5 if name != "output_tps" else 1
        spread = 0.12 if name.endswith("_ms") else 0.004
        samples[name] = [level * apart * random.lognormvariate(0, spread) for _ in range(many)]
    return LaunchRecord(
        started_at=_STARTED.isoformat(),
        duration_s=12.25,
        engine=asked.engine,
        samples=samples,
        telemetry={"temperature_c": {"gpu": {"min": 51.0, "mean": 54.2, "max": 57.5}}, "note": text},
        evidence={"backends": f"CUDA{text}", "n_batch": 2048, "n_ubatch": 512, "flash_attn": 1, "type_k": "f16"},
    )


def _history(metric: str, level: float, random: Random) -> list[PastRunRecord]:
    return [
        PastRunRecord(
            finished_at=(_STARTED - timedelta(days=_RUNS - run)).isoformat(),
            verdict=None if not run else random.choice(("unchanged",) * 9 + ("inconclusive",)),
            version=f"b{6900 + 7 * run}",
            values={metric: [level * random.gauss(1, 0.006) for _ in range(3)]},
        )
        for run in range(_RUNS)
    ]
