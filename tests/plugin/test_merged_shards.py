"""A run in shards, merged: the same report and the same exit status as the whole run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pytest_thor.command import main
from tests.plugin.project import FAST, SLOW_TG16, TG16, Project


@pytest.fixture(autouse=True)
def _outside_github(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)


def shard(project: Project, name: str, *arguments: str, script: Mapping[str, object] = FAST) -> Path:
    project.run(*arguments, f"--thor-report={name}", script=script)
    return project.root / name


def merged(project: Project, *reports: Path, expect: str | None = None) -> Result:
    arguments = [str(report) for report in reports]
    arguments += ["-o", str(project.root / "merged"), "--baseline", str(project.root / "baselines")]
    return CliRunner().invoke(main, ["merge", *arguments, *(["--expect", expect] if expect else [])])


def report(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return content


def test_shards_say_together_what_the_whole_run_says(project: Project) -> None:
    project.run("--thor-update-baseline=missing")
    whole = shard(project, "whole", script=SLOW_TG16)
    parts = [
        shard(project, "slow", "-k", "tg16", script=SLOW_TG16),
        shard(project, "rest", "-k", "not tg16", script=SLOW_TG16),
    ]
    result = merged(project, *parts, expect="2")

    assert result.exit_code == report(whole)["summary"]["exit_status"] == 1
    together = report(project.root / "merged")
    verdicts = {cell["id"]: cell["verdict"] for cell in report(whole)["cells"]}
    assert {cell["id"]: cell["verdict"] for cell in together["cells"]} == verdicts
    assert together["summary"]["verdicts"] == report(whole)["summary"]["verdicts"]
    compared = CliRunner().invoke(main, ["compare", str(whole), str(project.root / "merged"), "--json"])
    assert json.loads(compared.stdout)["differences"] == []
    assert len(json.loads(compared.stdout)["rows"]) == 3


def test_a_cell_of_two_shards_is_judged_again_by_all_of_its_launches(project: Project) -> None:
    project.run("--thor-update-baseline=missing")
    parts = [shard(project, name, "-k", "tg16", script=SLOW_TG16) for name in ("one", "two")]
    launches = [len(report(part)["cells"][0]["launches"]) for part in parts]
    result = merged(project, *parts)

    assert result.exit_code == 1
    (cell,) = report(project.root / "merged")["cells"]
    assert cell["id"] == TG16
    assert len(cell["launches"]) == sum(launches)
    assert cell["verdict"] == "regressed"
    (alone,) = report(parts[0])["cells"]
    assert cell["metrics"]["tg_tps"]["baseline"] == pytest.approx(alone["metrics"]["tg_tps"]["baseline"])


def test_what_a_busy_machine_slowed_in_every_shard_is_no_regression_of_all_of_them(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run("--thor-update-baseline=missing")
    with monkeypatch.context() as busy:
        busy.setattr("pytest_thor.beside.Beside.slowing", lambda _, launches: "busy" if launches else None)
        slowed = [shard(project, name, "-k", "tg16", script=SLOW_TG16) for name in ("one", "two")]
    quiet = [shard(project, name, "-k", "tg16", script=SLOW_TG16) for name in ("a", "b", "c")]

    assert merged(project, *slowed).exit_code == 0
    (cell,) = report(project.root / "merged")["cells"]
    assert (cell["verdict"], cell["outcome"], cell["slowing"]) == ("inconclusive", "warned", "busy")
    assert merged(project, *slowed, *quiet).exit_code == 1
    (cell,) = report(project.root / "merged")["cells"]
    assert (cell["verdict"], cell["slowing"]) == ("regressed", None)


def test_a_shard_with_another_engine_is_refused_by_the_cells_name(project: Project) -> None:
    first = shard(project, "one", "-k", "tg16")
    another = project.engine.read_text(encoding="utf-8").replace("(build 7,", "(build 8,")
    project.engine.write_text(another.replace('"build_number": 7', '"build_number": 8'), encoding="utf-8")
    parts = [first, shard(project, "two", "-k", "tg16")]
    builds = {launch["engine"]["version"] for part in parts for launch in report(part)["cells"][0]["launches"]}
    result = merged(project, *parts)

    assert len(builds) == 2
    assert result.exit_code == 2
    assert TG16 in result.stderr
    assert "engine.version" in result.stderr
