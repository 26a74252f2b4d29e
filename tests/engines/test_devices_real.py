"""Two CPU sets side by side, with the real engines: each bound to its own, with threads for it and no more."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.engine

CPUS = sorted(os.sched_getaffinity(0))
MATRIX = """\
name: sets
models:
  tiny: {synthetic: qwen3-tiny, quants: [F16, Q8_0]}
backends:
  llama.cpp: {engine: llama-bench}
  in-process: {engine: llama-cpp-python}
workloads:
  pp64: {kind: prefill, n_prompt: 64, repetitions: 2}
"""


@pytest.mark.skipif(len(CPUS) < 2, reason="two CPU sets need two CPUs that this process may run on")
def test_each_set_has_threads_for_itself(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THOR_CACHE", str(pytester.path / "cache"))
    (pytester.path / "pyproject.toml").write_text("")
    (pytester.path / "sets.yaml").write_text(MATRIX)
    devices = ("--thor-device", f"left=cpus:{CPUS[0]}", "--thor-device", f"right=cpus:{CPUS[-1]}")

    result = pytester.runpytest_subprocess("--thor-matrix", "sets.yaml", "--thor-launches=1", "-n", "auto", *devices)

    result.assert_outcomes(passed=4)
    lines = (pytester.path / "thor-report" / "journal.jsonl").read_text().splitlines()
    entries: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert {entry["device"] for entry in entries} == {"left", "right"}
    assert {entry["launch"]["evidence"]["n_threads"] for entry in entries} == {1}
    report = json.loads(Path(pytester.path, "thor-report", "report.json").read_text())
    assert report["environment"]["device"] == "left, right"
