"""Beside pytest-benchmark: its table, JSON, comparison, saved runs and histogram have every cell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.plugin.project import SLOW_TG16, Project

pytest.importorskip("pytest_benchmark")

BRIDGE = """
import pytest
from pytest_thor.options import read_options

@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    if config.pluginmanager.has_plugin("benchmark") and not config.pluginmanager.has_plugin("thor-benchmark"):
        from pytest_thor.benchmark_bridge import BenchmarkBridge
        accepts = read_options(config).update_baseline == "accept"
        config.pluginmanager.register(BenchmarkBridge(config, accepts=accepts), "thor-benchmark")
"""


@pytest.fixture
def bridged(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    # By this variable pytest-benchmark takes a run that a test of a worker starts for a worker's own.
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    project.pytester.makeconftest(BRIDGE)
    return project


def run(project: Project, *arguments: str, script: dict[str, object] | None = None) -> pytest.RunResult:
    """Run in a process of its own: pytest-benchmark keeps state in the process."""
    if script is not None:
        project.script(**script)
    return project.pytester.runpytest_subprocess(*project.arguments, *arguments)


def saved(project: Project) -> list[dict[str, dict[str, Any]]]:
    """Return what pytest-benchmark saved, oldest first, each by the cell's workload."""
    files = sorted((project.root / ".benchmarks").rglob("*.json"))
    return [by_workload(file) for file in files]


def by_workload(file: Path) -> dict[str, dict[str, Any]]:
    content = json.loads(file.read_text(encoding="utf-8"))
    return {entry["params"]["workload"]: entry for entry in content["benchmarks"]}


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_every_cell_is_in_its_table_and_json_with_the_true_samples(
    bridged: Project, arguments: tuple[str, ...]
) -> None:
    result = run(bridged, "--benchmark-json=out.json", "--thor-launches=2", *arguments)

    assert result.ret == 0
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
    result.stdout.fnmatch_lines(["*benchmark 'decode time per token': 2 tests*", "*OPS*", "*test_decode*tg16*"])
    entries = by_workload(bridged.root / "out.json")
    assert sorted(entries) == ["pp64", "tg16", "tg8"]
    launches = bridged.cell("tiny-F16-llama.cpp-tg8")["launches"]
    samples_tps = [sample for launch in launches for sample in launch["samples"]["tg_tps"]]
    stats = entries["tg8"]["stats"]
    assert stats["rounds"] == len(samples_tps) == 6
    assert stats["data"] == pytest.approx([1 / sample for sample in samples_tps])
    assert stats["ops"] == pytest.approx(len(samples_tps) / sum(1 / sample for sample in samples_tps))
    assert stats["ops"] == pytest.approx(99.9, rel=1e-3)
    assert entries["tg8"]["options"]["timer"] == "virtual_clock"
    assert entries["tg8"]["fullname"] == "matrices/small.yaml::test_decode[tiny-F16-llama.cpp-tg8]"
    assert entries["tg8"]["extra_info"]["verdict"] == "no-baseline"


def test_a_regressed_cell_is_shown_and_compared_but_stays_out_of_what_it_saves(bridged: Project) -> None:
    run(bridged, "--thor-update-baseline=missing", "--benchmark-autosave")

    result = run(
        bridged,
        *("--benchmark-autosave", "--benchmark-compare", "--benchmark-json=out.json", "--benchmark-histogram=picture"),
        script=SLOW_TG16,
    )

    assert result.ret == 1
    assert bridged.verdicts() == {"pp64": "unchanged", "tg8": "unchanged", "tg16": "regressed"}
    result.stdout.fnmatch_lines(["*tg16*(0001_*)*", "*tg16*(NOW)*"])
    assert sorted(by_workload(bridged.root / "out.json")) == ["pp64", "tg16", "tg8"]
    assert [sorted(entries) for entries in saved(bridged)] == [["pp64", "tg16", "tg8"], ["pp64", "tg8"]]
    pictures = list(bridged.root.glob("picture*.svg"))
    assert len(pictures) == 2
    assert any("tg16" in picture.read_text(encoding="utf-8") for picture in pictures)


def test_a_regression_that_the_user_accepts_is_saved(bridged: Project) -> None:
    run(bridged, "--thor-update-baseline=missing")

    run(bridged, "--thor-update-baseline=accept", "--benchmark-autosave", script=SLOW_TG16)

    assert [sorted(entries) for entries in saved(bridged)] == [["pp64", "tg16", "tg8"]]


def test_a_figure_that_is_no_time_is_in_no_file_of_its(bridged: Project) -> None:
    negative = {"samples_ns": [-1, -1, -1], "samples_ts": None}

    run(bridged, "--benchmark-json=out.json", "--benchmark-autosave", script={"edits": [{}, negative]})

    believed = [workload for workload, verdict in bridged.verdicts().items() if verdict == "no-baseline"]
    assert bridged.verdicts()["tg8"] == "invalid"
    assert "pp64" in believed
    assert sorted(by_workload(bridged.root / "out.json")) == sorted(believed)
    assert [sorted(entries) for entries in saved(bridged)] == [sorted(believed)]


@pytest.mark.parametrize("argument", ["--benchmark-disable", "-pno:benchmark"])
def test_where_it_is_switched_off_or_absent_nothing_is_different(bridged: Project, argument: str) -> None:
    result = run(bridged, argument)

    assert result.ret == 0
    result.assert_outcomes(passed=3)
    assert "time per token" not in result.stdout.str()


def test_cells_are_benchmarks_to_its_selection(bridged: Project) -> None:
    bridged.pytester.makepyfile(test_other="def test_other(): ...")

    only = run(bridged, "--benchmark-only", "matrices/small.yaml", "test_other.py")
    skip = run(bridged, "--benchmark-skip", "matrices/small.yaml", "test_other.py")

    only.assert_outcomes(passed=3, skipped=1)
    skip.assert_outcomes(passed=1, skipped=3)


def test_a_test_with_both_fixtures_is_in_the_table_once(bridged: Project) -> None:
    bridged.pytester.makepyfile(
        test_own="def test_own(thor_cell, thor_run, benchmark):\n    thor_run()\n    benchmark(lambda: None)\n"
    )

    result = run(bridged, "--benchmark-json=out.json", "test_own.py", "-k", "tg8")

    assert result.ret == 0
    assert len(json.loads((bridged.root / "out.json").read_text())["benchmarks"]) == 1


def test_another_inside_of_it_costs_its_table_and_nothing_else(bridged: Project) -> None:
    bridged.pytester.makeconftest(BRIDGE + "\nimport pytest_benchmark.stats\ndel pytest_benchmark.stats.Metadata\n")

    result = run(bridged)

    assert result.ret == 0
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["pytest-thor: cells are not in pytest-benchmark's table*Metadata*"])
