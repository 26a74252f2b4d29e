"""A project with a matrix, a model that is really there, and an engine whose speed a test decides."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from pytest_thor.host.device import identify

STUB = Path(__file__).parents[1] / "fakes" / "stub_llama_bench.py"
MATRIX = """\
name: small
models:
  tiny:
    gguf: tiny/tiny-{quant}.gguf
    quants: [F16]
backends:
  llama.cpp: {engine: llama-bench, settings: {threads: 2}}
workloads:
  pp64: {kind: prefill, n_prompt: 64, repetitions: 3}
  tg8: {kind: decode, n_gen: 8, repetitions: 3}
  tg16: {kind: decode, n_gen: 16, repetitions: 3}
"""
TWO_MODELS = """\
name: two
models:
  alpha:
    gguf: alpha/alpha-{quant}.gguf
    quants: [Q4_K_M, Q8_0]
  beta:
    gguf: beta/beta-{quant}.gguf
    quants: [Q8_0]
backends:
  llama.cpp: {engine: llama-bench}
  in-process: {engine: llama-cpp-python}
workloads:
  pp64: {kind: prefill, n_prompt: 64}
  tg8: {kind: decode, n_gen: 8}
"""
"""A matrix to be listed, not run."""
PP64 = "tiny-F16-llama.cpp-pp64"
TG8 = "tiny-F16-llama.cpp-tg8"
TG16 = "tiny-F16-llama.cpp-tg16"
FAST = {"pp_tps": 1000.0, "tg_tps": {"8": 100.0, "16": 90.0}}
SLOW_TG16 = {"pp_tps": 1000.0, "tg_tps": {"8": 100.0, "16": 70.0}}


class Project:
    """Someone's repository: ``matrices/small.yaml``, a model folder, and a scripted llama-bench."""

    def __init__(self, pytester: pytest.Pytester, model: Path) -> None:
        self.pytester = pytester
        self.root = pytester.path
        (self.root / "pyproject.toml").write_text("[project]\nname = 'someones'\n", encoding="utf-8")
        self.matrix = self.root / "matrices" / "small.yaml"
        self.matrix.parent.mkdir()
        self.matrix.write_text(MATRIX, encoding="utf-8")
        self.model = self.root / "models" / "tiny" / "tiny-F16.gguf"
        self.model.parent.mkdir(parents=True)
        os.link(model, self.model)
        self.engine = self.root / "bin" / "llama-bench"
        self.engine.parent.mkdir()
        shutil.copy(STUB, self.engine)
        self.engine.chmod(0o755)
        self.script(**FAST)

    def script(self, **behaviour: object) -> None:
        """Say how the engine behaves from now on."""
        self.engine.with_name("llama-bench.json").write_text(json.dumps(behaviour), encoding="utf-8")

    @property
    def arguments(self) -> list[str]:
        return [
            *("--thor-matrix", "matrices/small.yaml"),
            *("--thor-models", "models"),
            *("--thor-engine", f"llama-bench={self.engine}"),
            *("--thor-launches", "2:3"),
        ]

    def run(self, *arguments: str, script: Mapping[str, object] | None = None) -> pytest.RunResult:
        if script is not None:
            self.script(**script)
        return self.pytester.runpytest(*self.arguments, *arguments)

    def measured(self, *arguments: str) -> pytest.RunResult:
        """Run with a baseline that was stored from the same engine just before."""
        result = self.run("--thor-update-baseline=missing")
        assert result.ret == 0
        return self.run(*arguments)

    @property
    def report(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.root / "thor-report" / "report.json").read_text())
        return content

    def cell(self, cell_id: str) -> dict[str, Any]:
        [cell] = [cell for cell in self.report["cells"] if cell["id"] == cell_id]
        assert isinstance(cell, dict)
        return cell

    def verdicts(self) -> dict[str, str | None]:
        return {cell["workload"]: cell["verdict"] for cell in self.report["cells"]}

    @property
    def journal(self) -> list[dict[str, Any]]:
        lines = (self.root / "thor-report" / "journal.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def baseline_file(self, cell_id: str) -> Path:
        return self.root / "baselines" / identify().slug / "small" / f"{cell_id}.json"

    def engine_processes(self) -> list[psutil.Process]:
        """Every engine process that was ever started here and still lives."""
        pids = self.engine.with_name("llama-bench.pids")
        started = [int(line) for line in pids.read_text().split()] if pids.exists() else []
        return [psutil.Process(pid) for pid in started if psutil.pid_exists(pid)]
