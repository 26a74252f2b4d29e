"""The GitHub workflows that docs show: whole with what stands around them, asking only for inputs that there are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_thor.report.document import write
from pytest_thor.report.markdown import marker
from tests.docs.documented import ROOT, Block, of_kind
from tests.unit.report.report_documents import cell, document, regressed

SHOWN = of_kind("workflow")
OWN = re.compile(r"OWNER/pytest-thor/(?P<path>[\w./-]+)@COMMIT")
JOB_KEYS = frozenset({"name", "needs", "if", "permissions", "uses", "with", "strategy", "runs-on", "steps", "env"})
STEP_KEYS = frozenset({"name", "id", "if", "uses", "with", "env", "run", "shell"})


def place(block: Block) -> str:
    return block.place


def read(text: str) -> Any:
    return yaml.load(text, Loader=yaml.BaseLoader)


def jobs(content: Any) -> Iterator[dict[str, Any]]:
    """Yield the jobs of a workflow, a job's parts or a list of steps, each as a job."""
    if isinstance(content, list):
        yield {"steps": content}
    elif "jobs" in content:
        yield from content["jobs"].values()
    else:
        yield content


@pytest.mark.parametrize("block", SHOWN, ids=place)
def test_it_is_a_workflow_or_a_part_of_one(block: Block) -> None:
    for job in jobs(read(block.text)):
        assert set(job) <= JOB_KEYS
        for step in job.get("steps", ()):
            assert set(step) <= STEP_KEYS
            assert ("uses" in step) is not ("run" in step)
            checked = subprocess.run(["bash", "-n"], input=step.get("run", ""), text=True, check=False)
            assert checked.returncode == 0
    assert block.text.count("${{") == len(re.findall(r"\$\{\{[^{}]+\}\}", block.text))


@pytest.mark.parametrize("block", [block for block in SHOWN if OWN.search(block.text)], ids=place)
def test_it_asks_for_inputs_that_there_are_and_for_all_that_must_be_given(block: Block) -> None:
    calls = [
        (match["path"], call.get("with", {}))
        for job in jobs(read(block.text))
        for call in (job, *job.get("steps", ()))
        if (match := OWN.fullmatch(call.get("uses", "")))
    ]
    assert calls
    for path, given in calls:
        inputs = inputs_of(ROOT / path)
        assert set(given) <= set(inputs)
        assert {name for name, one in inputs.items() if one.get("required") == "true"} <= set(given)


def inputs_of(path: Path) -> dict[str, dict[str, str]]:
    """Return what an action or a workflow that can be called takes."""
    content = read((path if path.suffix else path / "action.yml").read_text(encoding="utf-8"))
    inputs: dict[str, dict[str, str]] = (content["on"]["workflow_call"] if "on" in content else content)["inputs"]
    return inputs


def tables(heading: str) -> Iterator[list[list[str]]]:
    """Yield the tables of a section of docs/ci.md, without their heads, as cells of text."""
    section = (
        (ROOT / "docs" / "ci.md").read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    )
    for table in re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE):
        yield [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]


def documented_inputs(heading: str) -> dict[str, str]:
    """Return the inputs that a section's first table tells, each with its default as it is written there."""
    rows = next(tables(heading))
    return {name: default.strip("`") for names, default, _ in rows for name in re.findall(r"`([\w-]+)`", names)}


def test_every_input_is_told_with_its_default_and_no_other() -> None:
    action = inputs_of(ROOT / ".github" / "actions" / "thor-bench")
    told = documented_inputs("One job on a machine of yours")
    assert told == {name: one.get("default", "") for name, one in action.items()}

    called = inputs_of(ROOT / ".github" / "workflows" / "thor-bench-run.yml")
    also = documented_inputs("Plan, measure, report")
    same = {name: one for name, one in told.items() if name in called} | {"cuda-arch": "110"}
    assert {**same, **also} == {name: one.get("default", "") for name, one in called.items()}
    assert not set(also) & set(told)


def test_every_artifact_is_told_and_no_other() -> None:
    workflow = read((ROOT / ".github" / "workflows" / "thor-bench-run.yml").read_text(encoding="utf-8"))
    uploads = [
        step["with"]["name"] for job in jobs(workflow) for step in job["steps"] if "/upload-a" in step.get("uses", "")
    ]
    kept = {re.sub(r"\$\{\{ \w+\.(?P<of>\w+) \}\}", lambda match: match["of"], name) for name in uploads}
    [_, told] = tables("Plan, measure, report")
    assert {row[0].strip("`") for row in told} == {
        name.replace("device", "DEVICE").replace("name", "JOB") for name in kept
    }


def test_what_a_user_replaces_is_two_words_said_in_one_place() -> None:
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    placeholders = set(
        re.findall(r"(?<![-~`\w])[A-Z]{4,}(?![-\w])", "".join(block.text for block in SHOWN if OWN.search(block.text)))
    )
    assert placeholders == {"OWNER", "COMMIT"}
    assert page.count("**What you replace**") == 1


def test_a_part_of_a_call_asks_for_inputs_of_the_workflow_that_is_called() -> None:
    [block] = [block for block in SHOWN if "strategy:" in block.text and "jobs:" not in block.text]
    assert set(read(block.text)["with"]) <= set(inputs_of(ROOT / ".github" / "workflows" / "thor-bench-run.yml"))


@pytest.mark.parametrize(
    ("before", "last"),
    [
        ("", "api repos/owner/name/issues/12/comments -F body=@comment.md"),
        ("77", "api -X PATCH repos/owner/name/issues/comments/77 -F body=@comment.md"),
    ],
)
def test_the_step_that_comments_posts_once_and_replaces_after(tmp_path: Path, before: str, last: str) -> None:
    [step] = [
        step
        for block in SHOWN
        for job in jobs(read(block.text))
        for step in job.get("steps", ())
        if "gh api" in step.get("run", "")
    ]
    report = document(cell(), regressed("tg8"))
    (tmp_path / "thor-report").mkdir()
    write(report, tmp_path / "thor-report" / "report.json")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, script in {
        "gh": (
            'printf "%s\\n" "$*" >> calls; env | grep ^MARKER= > marker; '
            f'case "$*" in *--paginate*) echo "{before}";; esac'
        ),
        "pytest-thor": f'exec "{sys.executable}" -m pytest_thor.command "$@"',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)

    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=tmp_path,
        env={
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PR": "12",
            "GITHUB_REPOSITORY": "owner/name",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "calls").read_text().splitlines()[-1] == last
    assert (tmp_path / "marker").read_text() == f"MARKER={marker(report)}\n"
