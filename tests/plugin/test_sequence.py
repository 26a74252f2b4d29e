"""Launches in sequence: cells in doubt come back at the end, suspicions are confirmed, a budget ends in order."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.plugin.project import FAST, PP64, SLOW_TG16, TG8, TG16, Project

NOISY_TG8 = {"pp_tps": 1000.0, "tg_tps": {"8": [96.8, 99.0, 98.2, 99.6], "16": 90.0}}
OTHER_BACKEND = "  other: {engine: llama-bench, settings: {threads: 1}}\nworkloads:"


def launches(project: Project) -> list[str]:
    """Which cell each finished launch was of, in order."""
    return [entry["cell"] for entry in project.journal]


@pytest.fixture
def stored(project: Project) -> Project:
    """A project whose cells have a baseline of six launches."""
    assert project.run("--thor-launches", "1:6", "--thor-update-baseline").ret == 0
    (project.engine.with_name("llama-bench.launches")).unlink()
    return project


def test_a_cell_without_baseline_takes_all_launches_at_once(project: Project) -> None:
    project.run("--thor-launches", "1:4")

    assert launches(project) == [PP64, TG8, TG16] * 4


def test_what_is_clear_takes_one_launch(stored: Project) -> None:
    result = stored.run("--thor-launches", "1:6")

    assert result.ret == 0
    assert launches(stored) == [PP64, TG8, TG16]
    assert stored.verdicts() == {"pp64": "unchanged", "tg8": "unchanged", "tg16": "unchanged"}


def test_a_cell_in_doubt_comes_back_after_the_others(stored: Project) -> None:
    result = stored.run("--thor-launches", "1:6", "--junitxml", "junit.xml", script=NOISY_TG8)

    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        [f"  {PP64} *unchanged", f"  {TG8} *in doubt: launched again later", f"  {TG16} *unchanged"]
    )
    assert launches(stored)[:3] == [PP64, TG8, TG16]
    assert set(launches(stored)[3:]) == {TG8}
    cases = ET.parse(stored.root / "junit.xml").iter("testcase")
    assert sorted(case.get("name", "") for case in cases) == sorted(
        [f"test_prefill[{PP64}]", f"test_decode[{TG8}]", f"test_decode[{TG16}]"]
    )


def test_a_suspected_regression_is_confirmed_by_a_fresh_launch(stored: Project) -> None:
    slow_once = {"pp_tps": 1000.0, "tg_tps": {"8": [50.0] + [100.0] * 9, "16": 60.0}}

    result = stored.run("--thor-launches", "1:6", script=slow_once)

    assert result.ret == 1
    assert len(stored.cell(TG16)["launches"]) == 2
    assert len(stored.cell(TG8)["launches"]) > 1
    assert stored.verdicts() == {"pp64": "unchanged", "tg8": "inconclusive", "tg16": "regressed"}


def test_verbose_output_names_each_test_that_is_put_off(stored: Project) -> None:
    result = stored.run("--thor-launches", "1:6", "-v", script=NOISY_TG8)

    result.stdout.fnmatch_lines(
        [f"*test_decode*{TG8}* in doubt: launched again later", f"*test_decode*{TG8}*INCONCLUSIVE*"]
    )


def test_a_budget_ends_in_order_and_says_what_is_left(project: Project) -> None:
    project.matrix.write_text(project.matrix.read_text().replace("workloads:", OTHER_BACKEND))

    result = project.run("--thor-budget", "1ms")

    assert result.ret == 8
    left = [cell for cell in project.report["cells"] if cell["left_over"]]
    assert {cell["backend"] for cell in left} == {"other"}
    assert len(project.cell(PP64)["launches"]) == 1
    assert all(cell["outcome"] == "skipped" and "The budget of 0.0 s was used up" in cell["reason"] for cell in left)


def test_a_budget_that_ends_in_doubt_says_so(stored: Project) -> None:
    result = stored.run("--thor-launches", "1:6", "--thor-budget", "1ms", script=NOISY_TG8)

    assert len(stored.cell(TG8)["launches"]) == 1
    assert stored.verdicts()["tg8"] == "inconclusive"
    assert "before another launch could tell more" in stored.cell(TG8)["reason"]
    assert result.ret == 0


def reference_engine(project: Project, **script: object) -> Path:
    """Install another llama-bench beside the project's, with a speed of its own."""
    folder = project.root / "reference"
    folder.mkdir()
    for name in ("llama-bench", "llama-bench.json"):
        shutil.copy(project.engine.with_name(name), folder / name)
    return folder / "llama-bench"


def test_two_builds_alternate_and_are_judged_in_pairs_without_a_baseline(project: Project) -> None:
    reference = reference_engine(project)
    project.script(pp_tps=1000.0, tg_tps={"8": 100.0, "16": 70.0})

    result = project.run("--thor-launches", "2:6", "--thor-against", f"llama-bench={reference}")

    assert result.ret == 1
    assert project.verdicts() == {"pp64": "unchanged", "tg8": "unchanged", "tg16": "regressed"}
    cell = project.cell(TG16)
    assert len(cell["launches"]) == len(cell["reference_launches"])
    assert [entry.get("reference", False) for entry in project.journal[:12:3]] == [True, False, False, True]
    assert not (project.root / "baselines").exists()


def test_one_backend_may_be_pinned_to_a_program_of_its_own(project: Project) -> None:
    reference = reference_engine(project)
    project.script(**FAST)
    project.matrix.write_text(project.matrix.read_text().replace("workloads:", OTHER_BACKEND))

    project.run("--thor-launches", "1", "--thor-engine", f"other={reference}")

    paths = {cell["backend"]: cell["launches"][0]["engine"]["path"] for cell in project.report["cells"]}
    assert paths == {"llama.cpp": str(project.engine), "other": str(reference)}


def test_every_comparison_is_told_with_its_q_value_among_all(stored: Project) -> None:
    stored.run("--thor-launches", "1:6", script=SLOW_TG16)

    metrics = [metric for cell in stored.report["cells"] for metric in cell["metrics"].values() if metric["verdict"]]
    p_values = sorted(metric["p_value"] for metric in metrics)
    by_hand = {p: min(p_values[rank] * 3 / (rank + 1) for rank in range(p_values.index(p), 3)) for p in p_values}
    assert [metric["q_value"] for metric in metrics] == pytest.approx([by_hand[m["p_value"]] for m in metrics])
