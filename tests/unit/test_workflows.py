"""What the workflows may do, held as rules; and every script in them, run as the runner runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_thor.report.document import write
from tests.unit.comparison.compared_documents import measured
from tests.unit.report.report_documents import document

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))
FILES = [*WORKFLOWS, *ACTIONS]
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
UNTRUSTED = re.compile(r"github\.(event\.(?!repository\b)|head_ref|ref_name)|inputs\.|matrix\.|needs\.|steps\.|env\.")
MEASURING = "thor-bench-run.yml"
MEASURE_PY = (ROOT / ".ci/measure.py").read_text(encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    return content


def jobs(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from read(path).get("jobs", {}).items()


def steps(path: Path) -> Iterator[dict[str, Any]]:
    content = read(path)
    for _, job in jobs(path):
        yield from job.get("steps", [])
    yield from content.get("runs", {}).get("steps", [])


def step(path: Path, name: str) -> dict[str, Any]:
    [found] = [one for one in steps(path) if one.get("name") == name]
    return found


def named(path: Path) -> str:
    return path.relative_to(GITHUB).as_posix()


@pytest.mark.parametrize("path", FILES, ids=named)
def test_every_action_is_of_this_commit_or_pinned_to_one(path: Path) -> None:
    used = [one["uses"] for one in steps(path) if "uses" in one]
    used += [job["uses"] for _, job in jobs(path) if "uses" in job]
    assert used or path.name == "action.yml"
    assert not [name for name in used if not (name.startswith("$/.github/") or PINNED.fullmatch(name))]
    for name in used:
        own = ROOT / name.removeprefix("$/")
        assert not name.startswith("$/") or own.is_file() or (own / "action.yml").is_file()


@pytest.mark.parametrize("path", FILES, ids=named)
def test_every_pin_says_its_version(path: Path) -> None:
    pins = [line for line in path.read_text().splitlines() if re.search(r"uses: .*@[0-9a-f]{40}", line)]
    assert all(re.search(r" # v\d+\.\d+\.\d+$", line) for line in pins)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_no_text_of_an_expression_stands_in_a_script(path: Path) -> None:
    assert not [one["name"] for one in steps(path) if EXPRESSION.search(one.get("run", ""))]


@pytest.mark.parametrize("path", FILES, ids=named)
def test_what_a_script_gets_from_outside_it_gets_as_a_variable_and_quotes(path: Path) -> None:
    for one in steps(path):
        for name, value in (one.get("env") or {}).items():
            if UNTRUSTED.search(value):
                unquoted = re.sub(r'"[^"]*"|\[\[.*?\]\]', "", one.get("run", ""))
                bare = re.findall(rf"\$\{{?{name}\b", unquoted)
                assert not bare, f"{one['name']}: {name} is not quoted"
        assert "eval" not in one.get("run", "").split()


@pytest.mark.parametrize("path", WORKFLOWS, ids=named)
def test_permissions_are_none_but_those_that_a_job_names(path: Path) -> None:
    assert read(path)["permissions"] == {}
    for name, job in jobs(path):
        writes = {scope for scope, level in job["permissions"].items() if level != "read"}
        allowed = {"comment": {"pull-requests"}, "baselines": {"contents", "pull-requests"}}
        assert writes == allowed.get(name, set()), name
        assert job.get("timeout-minutes") or "uses" in job, name


@pytest.mark.parametrize("path", WORKFLOWS, ids=named)
def test_no_privileged_event_runs_what_a_stranger_wrote(path: Path) -> None:
    triggers = set(read(path)["on"])
    assert not triggers & {"pull_request_target", "workflow_run", "issue_comment", "issues", "discussion"}
    self_hosted = [
        name for name, job in jobs(path) if re.search(r"self-hosted|inputs\.runner", str(job.get("runs-on")))
    ]
    if self_hosted or path.name == "thor-bench.yml":
        assert not triggers & {"pull_request", "pull_request_target", "merge_group"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=named)
def test_no_checkout_leaves_its_token_behind(path: Path) -> None:
    checkouts = [one for one in steps(path) if one.get("uses", "").startswith("actions/checkout@")]
    assert all(one["with"]["persist-credentials"] == "false" for one in checkouts)


def test_only_the_job_that_measures_reaches_the_device_and_nothing_cancels_it() -> None:
    everywhere = {(path.name, name): job for path in WORKFLOWS for name, job in jobs(path)}
    others = {
        key: job["runs-on"] for key, job in everywhere.items() if key != (MEASURING, "measure") and "runs-on" in job
    }
    assert all("self-hosted" not in labels and "inputs" not in labels for labels in others.values())
    measure = everywhere[MEASURING, "measure"]
    assert measure["concurrency"] == {
        "group": "pytest-thor-${{ inputs.device }}",
        "cancel-in-progress": "false",
        "queue": "max",
    }
    assert measure["strategy"]["fail-fast"] == "false"
    runner = read(GITHUB / "workflows" / MEASURING)["on"]["workflow_call"]["inputs"]["runner"]["default"]
    assert json.loads(runner) == ["self-hosted", "linux", "ARM64", "jetson-thor"]


def test_the_jobs_that_write_run_nothing_that_the_device_sent() -> None:
    written = dict(jobs(GITHUB / "workflows" / "thor-bench.yml"))
    comment = [one.get("uses", "") for one in written["comment"]["steps"]]
    assert not [name for name in comment if name.startswith(("actions/checkout", "$/"))]
    scripts = "\n".join(one.get("run", "") for name in ("comment", "baselines") for one in written[name]["steps"])
    assert re.findall(r"python3? .*", scripts) == [
        'python3 .ci/baselines.py place "$RUNNER_TEMP/thor-baselines" baselines'
    ]


def test_no_secret_is_handed_on() -> None:
    text = "\n".join(path.read_text() for path in FILES)
    assert "secrets" not in " ".join(EXPRESSION.findall(text))
    tokens = [
        (path.name, one["name"]) for path in FILES for one in steps(path) if "github.token" in str(one.get("env"))
    ]
    assert tokens == [
        ("thor-bench.yml", "Comment on the pull request, in place of the comment of the last run"),
        ("thor-bench.yml", "Propose what was stored"),
    ]


@pytest.mark.parametrize("path", ACTIONS, ids=named)
def test_an_action_asks_only_for_inputs_and_outputs_that_there_are(path: Path) -> None:
    """No linter looks into the expressions of a composite action, and GitHub takes a misspelt one for nothing."""
    content = read(path)
    known = {f"inputs.{name}" for name in content.get("inputs", {})} | {"github.action_path"}
    for one in [*content["runs"]["steps"], {"outputs": content["outputs"]}]:
        asked = re.findall(r"[a-z]+(?:\.[\w-]+)+", " ".join([*EXPRESSION.findall(str(one)), one.get("if", "")]))
        assert set(asked) <= known, one.get("name")
        if "id" in one:
            written = re.findall(r"([\w-]+)=\S.*GITHUB_OUTPUT|tell\(\"([\w-]+)\"", one.get("run", "") + MEASURE_PY)
            names = {name for pair in written for name in pair if name}
            if one.get("uses", "").startswith("$/"):
                names = set(read(ROOT / one["uses"].removeprefix("$/") / "action.yml")["outputs"])
            known |= {f"steps.{one['id']}.outputs.{name}" for name in names}


def test_every_input_of_the_action_is_an_input_of_the_workflow_that_is_called() -> None:
    called = read(GITHUB / "workflows" / MEASURING)["on"]["workflow_call"]["inputs"]
    action = read(GITHUB / "actions/thor-bench/action.yml")["inputs"]
    assert set(action) - set(called) == {"report", "lenient"}
    given = step(GITHUB / "workflows" / MEASURING, "Measure")["with"]
    assert set(given) == set(action)
    passed = {name for name, value in given.items() if value == f"${{{{ inputs.{name} }}}}"}
    assert set(action) - passed == {"arguments", "report", "lenient"}


def test_artifacts_are_told_apart_by_device_and_replaced_where_a_job_is_run_again() -> None:
    uploads = [
        one["with"] for one in steps(GITHUB / "workflows" / MEASURING) if "/upload-artifact@" in one.get("uses", "")
    ]
    assert len(uploads) == 3
    assert all("${{ inputs.device }}" in given["name"] for given in uploads)
    assert all(given["overwrite"] == "true" for given in uploads)
    downloads = [
        one["with"] for path in WORKFLOWS for one in steps(path) if "/download-artifact@" in one.get("uses", "")
    ]
    # A pattern that one artifact matches makes no folder of its name, and one that several match does; merged, neither.
    assert all(given["merge-multiple"] == "true" for given in downloads if "pattern" in given)


# ---- the scripts, as the runner runs them


def run(script: str, folder: Path, **environ: str) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
    """Run a step's script under the runner's shell; return what it did and its outputs."""
    file, output = folder / "step.sh", folder / "output"
    file.write_text(script, encoding="utf-8")
    output.unlink(missing_ok=True)
    output.touch()
    runners = {
        "RUNNER_TEMP": str(folder / "temp"),
        "GITHUB_OUTPUT": str(output),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "GITHUB_REPOSITORY": "owner/name",
        "GITHUB_RUN_ID": "42",
        "GITHUB_RUN_ATTEMPT": "1",
    }
    home = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(file)],
        cwd=folder,
        env={**home, **runners, "PYTHONDONTWRITEBYTECODE": "1", **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    pairs = (line.partition("=") for line in output.read_text(encoding="utf-8").splitlines())
    return done, {name: value for name, _, value in pairs}


HOSTILE = ["$(touch pwned)", '"; touch pwned; "']
RUN = GITHUB / "workflows" / MEASURING
BENCH = GITHUB / "workflows" / "thor-bench.yml"
MATRIX = """\
name: two
models:
  alpha: {gguf: "a-{quant}.gguf", quants: [Q8_0]}
  beta: {gguf: "b-{quant}.gguf", quants: [Q8_0]}
backends:
  llama.cpp: {engine: llama-bench}
workloads:
  tg8: {kind: decode, n_gen: 8}
"""


def plan(folder: Path, **asked: str) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
    (folder / "two.yaml").write_text(MATRIX, encoding="utf-8")
    script = step(RUN, "Deal the cells out to jobs")["run"]
    given = {
        "MATRIX": "two.yaml",
        "FILTER": "",
        "SHARDS": "",
        "ARGUMENTS": "[]",
        "STORE": "",
        "PYTHON": sys.executable,
        **asked,
    }
    return run(script, folder, **given)


def test_the_plan_is_a_job_matrix(tmp_path: Path) -> None:
    done, outputs = plan(tmp_path)
    assert done.returncode == 0
    assert [job["name"] for job in json.loads(outputs["matrix"])["include"]] == ["alpha", "beta"]

    _, outputs = plan(tmp_path, SHARDS="1", FILTER="beta")
    assert [job["cells"] for job in json.loads(outputs["matrix"])["include"]] == [1]


def test_several_matrices_are_planned_together(tmp_path: Path) -> None:
    (tmp_path / "one more.yaml").write_text(MATRIX.replace("name: two", "name: more"), encoding="utf-8")
    done, outputs = plan(tmp_path, MATRIX="two.yaml\none more.yaml\n")
    assert done.returncode == 0, done.stderr
    names = [job["name"] for job in json.loads(outputs["matrix"])["include"]]
    assert names == ["two~alpha", "two~beta", "more~alpha", "more~beta"]


def test_the_plan_reads_the_store_that_it_is_told(tmp_path: Path) -> None:
    told = program(tmp_path, "python", """printf '%s\\n' "$@" >&2; echo '{}'""")
    done, _ = plan(tmp_path, PYTHON=str(told), STORE="perf/$(touch pwned) store")
    assert "--thor-baseline=perf/$(touch pwned) store" in done.stderr.splitlines()
    done, _ = plan(tmp_path, PYTHON=str(told))
    assert (done.returncode, "--thor-baseline" in done.stderr) == (0, False)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("text", HOSTILE)
def test_no_input_of_the_plan_is_run(tmp_path: Path, text: str) -> None:
    for name in ("MATRIX", "FILTER", "SHARDS"):
        done, outputs = plan(tmp_path, **{name: text})
        assert done.returncode != 0
        assert "matrix" not in outputs
    assert not (tmp_path / "pwned").exists()


def test_a_plan_without_a_cell_fails(tmp_path: Path) -> None:
    done, outputs = plan(tmp_path, FILTER="gamma")
    assert (done.returncode, outputs) == (pytest.ExitCode.NO_TESTS_COLLECTED, {})
    assert "no cell is left to measure" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "passes"),
    [
        ('["-m", "thor_cell(backend=\'vllm\')"]', False),
        ('["--thor-strict","-ktg8"]', False),
        ('["--thor-strict", "--maxfail=1", "-n", "auto"]', True),
    ],
)
def test_cells_are_selected_before_they_are_dealt_out(tmp_path: Path, arguments: str, passes: bool) -> None:
    done, outputs = plan(tmp_path, ARGUMENTS=arguments)
    assert (done.returncode == 0, "matrix" in outputs) == (passes, passes)
    assert passes or "select cells with filter" in done.stderr


@pytest.mark.parametrize(
    ("given", "store", "joined"),
    [
        ("", "", ["-m", "x"]),
        ('["-k", "$(touch pwned)"]', "", ["-m", "x", "-k", "$(touch pwned)"]),
        ('["--thor-strict"]', "baselines/thor-5", ["-m", "x", "--thor-baseline=baselines/thor-5", "--thor-strict"]),
        ("[]", "\"$(touch pwned)'", ["-m", "x", "--thor-baseline=\"$(touch pwned)'"]),
    ],
)
def test_a_jobs_cells_and_the_store_stand_before_the_callers_arguments(
    tmp_path: Path, given: str, store: str, joined: list[str]
) -> None:
    script = step(RUN, "Put this job's cells and the store before the caller's arguments")["run"]
    done, outputs = run(script, tmp_path, OWN='[\n  "-m",\n  "x"\n]', GIVEN=given, STORE=store)
    assert done.returncode == 0
    assert json.loads(outputs["joined"]) == joined
    assert not (tmp_path / "pwned").exists()


def join(folder: Path, *, planned: str) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
    script = step(RUN, "Join the shards, and show the report")["run"]
    return run(script, folder, PYTHON=sys.executable, PLANNED=planned, STORE="baselines", PYTHONPATH=str(ROOT))


def test_a_lost_shard_is_told_and_fails_the_run_whatever_the_others_say(tmp_path: Path) -> None:
    kept = measured("tg1")
    plan_of = [(name, f"thor_cell(workload='{word}')") for name, word in (("alpha", "tg1"), ("beta", "tg2"))]
    jobs = [{"name": name, "argv": ["-m", selected], "cells": 1} for name, selected in plan_of]
    planned = json.dumps({"include": jobs})

    done, outputs = join(tmp_path, planned=planned)
    assert (done.returncode, outputs) == (1, {})
    assert "no job left a report" in done.stderr

    write(document(kept), tmp_path / "temp/shards/alpha/report.json")
    (tmp_path / "temp/shards/beta").mkdir()
    (tmp_path / "temp/shards/beta/journal.jsonl").touch()  # it was killed before it could report
    done, outputs = join(tmp_path, planned=planned)
    assert (done.returncode, outputs) == (0, {"status": "8"})
    told = ("1 of 2 shards left no report: no report of beta", "1 of 2 cells are in no report: 1 of beta")
    for name in ("report.md", "comment.md", "report.html"):
        shown = (tmp_path / "temp/thor-report" / name).read_text(encoding="utf-8")
        assert [sentence in shown for sentence in told] == [True, True], name
    assert f"> [!WARNING]\n> - {told[0]}\n> - {told[1]}\n" in (tmp_path / "temp/thor-report/comment.md").read_text()


def test_reports_that_cannot_be_one_make_none(tmp_path: Path) -> None:
    for name, version in (("alpha", "b7"), ("beta", "b8")):
        write(document(measured(version=version)), tmp_path / f"temp/shards/{name}/report.json")
    done, outputs = join(tmp_path, planned="2")
    assert (done.returncode, outputs) == (1, {})
    assert "measured by several shards under different conditions" in done.stderr


@pytest.mark.parametrize(
    ("status", "measured", "code"), [("0", "success", 0), ("0", "failure", 1), ("1", "failure", 1), ("8", "success", 8)]
)
def test_the_last_job_ends_as_all_shards_together_do(tmp_path: Path, status: str, measured: str, code: int) -> None:
    done, _ = run(step(RUN, "Judge")["run"], tmp_path, STATUS=status, MEASURED=measured)
    assert done.returncode == code


@pytest.mark.parametrize(("status", "passes"), [(0, True), (1, True), (2, False)])
def test_only_a_machine_that_cannot_measure_ends_the_job_early(tmp_path: Path, status: int, passes: bool) -> None:
    python = program(tmp_path, "doctor", f"exit {status}")
    done, _ = run(
        step(GITHUB / "actions/thor-bench/action.yml", "Look over the machine")["run"], tmp_path, PYTHON=str(python)
    )
    assert (done.returncode == 0) is passes


def test_the_engine_build_is_named_by_what_shapes_it(tmp_path: Path) -> None:
    script = step(
        GITHUB / "actions/thor-bench/action.yml", "Name the engine build by its version, flags, compiler and processor"
    )
    keys = []
    for arch, release, against in [("", "", ""), ("110", "", ""), ("", "0.3.35", "0.3.30")]:
        given = {"SOURCE": str(ROOT), "CUDA_ARCH": arch, "LLAMA_CPP": release, "AGAINST": against}
        done, outputs = run(script["run"], tmp_path, **given, THOR_CACHE=str(tmp_path / "cache"))
        if arch and done.returncode:  # no nvcc here: told before anything is cached
            assert "nvcc" in done.stderr
            continue
        keys += [value for name, value in outputs.items() if name.endswith("key")]
    assert len(keys) == len(set(keys)) >= 3
    done, _ = run(script["run"], tmp_path, SOURCE=str(ROOT), CUDA_ARCH="", LLAMA_CPP="0.3; touch pwned", AGAINST="")
    assert done.returncode == 2


# ---- the comment


def program(folder: Path, name: str, script: str) -> Path:
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def comment(folder: Path, text: str, *, before: str = "", **environ: str) -> tuple[int, list[str]]:
    (folder / "thor-report").mkdir(exist_ok=True)
    (folder / "thor-report" / "comment.md").write_text(text, encoding="utf-8")
    log = folder / "gh.log"
    gh = program(
        folder, "gh", f'printf "%s\\n" "$*" >> "{log}"\n[[ "$*" == *--paginate* ]] && printf "{before}"\nexit 0'
    )
    script = step(BENCH, "Comment on the pull request, in place of the comment of the last run")["run"]
    given = {"GIVEN": "", "BRANCH": "main", "GH_TOKEN": "token", **environ}
    done, _ = run(script, folder, **given, PATH=f"{gh.parent}:{os.environ['PATH']}")
    return done.returncode, log.read_text().splitlines() if log.exists() else []


MARKED = "<!-- pytest-thor:qwen3+jetson-thor -->\n## Fine\n"


def test_the_first_comment_is_posted_and_the_next_replaces_it(tmp_path: Path) -> None:
    status, calls = comment(tmp_path, MARKED, GIVEN="12")
    assert status == 0
    assert calls[-1] == "api --silent --method POST repos/owner/name/issues/12/comments --field body=@body.md"

    status, calls = comment(tmp_path, MARKED, before="77\\n" + "78\\n" * 30_000, BRANCH="bench/pr-12")
    assert status == 0
    assert calls[-1] == "api --silent --method PATCH repos/owner/name/issues/comments/77 --field body=@body.md"


@pytest.mark.parametrize("number", ["0", "-1", "1/../2", "main", "1 2", "$(touch pwned)", "1\n2", "9999999999"])
def test_what_is_no_number_of_a_pull_request_is_refused(tmp_path: Path, number: str) -> None:
    status, calls = comment(tmp_path, MARKED, GIVEN=number)
    assert (status, calls) == (1, [])
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "text", ["", "no mark\n", "<!-- pytest-thor:$(touch pwned) -->\n", "<!-- pytest-thor: --> x\n"]
)
def test_a_text_without_the_mark_is_not_posted(tmp_path: Path, text: str) -> None:
    status, calls = comment(tmp_path, text, GIVEN="12")
    assert (status, calls) == (1, [])


def test_a_long_text_is_cut_to_what_a_comment_may_hold(tmp_path: Path) -> None:
    status, _ = comment(tmp_path, MARKED + "x" * 100_000, GIVEN="12")
    assert status == 0
    assert (tmp_path / "body.md").stat().st_size == 65_000


# ---- the baselines


def git(folder: Path, *words: str) -> str:
    identity = (
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "-c",
        "commit.gpgsign=false",
        "-c",
        "init.defaultBranch=main",
    )
    done = subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone that has the project's script and one baseline; where it was cloned from is ``owner/name`` beside it."""
    origin, work = tmp_path / "owner" / "name", tmp_path / "work"
    origin.mkdir(parents=True)
    git(origin, "init", "--bare", "--quiet")
    git(tmp_path, "clone", "--quiet", str(origin), str(work))
    for name, text in {
        ".ci/baselines.py": (ROOT / ".ci/baselines.py").read_text(),
        "baselines/thor/m/a.json": "1\n",
    }.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--message", "first")
    return work


def propose(
    clone: Path, files: Mapping[str, str], *, job: str = "thor~m/baselines"
) -> subprocess.CompletedProcess[str]:
    """Run the proposing step on ``files`` by path, in a job's store."""
    sent = clone / "temp" / "thor-baselines" / job
    for name, text in files.items():
        (sent / name).parent.mkdir(parents=True, exist_ok=True)
        (sent / name).write_text(text)
    gh = program(clone.parent, "gh", f'printf "%s\\n" "$*" >> "{clone.parent}/gh.log"')
    script = step(BENCH, "Propose what was stored")["run"]
    environ = {"GH_TOKEN": "t", "BASE": "main", "SERVER": f"file://{clone.parent}"}
    done, _ = run(script, clone, **environ, PATH=f"{gh.parent}:{os.environ['PATH']}")
    return done


def test_what_was_stored_becomes_a_branch_and_a_pull_request(clone: Path) -> None:
    files = {
        "thor/m/a.json": "2\n",
        "thor/m/b.json": "3\n",
        "thor/m/b.history.jsonl": "{}\n",
        ".gitattributes": "* x\n",
    }
    done = propose(clone, files)
    assert done.returncode == 0, done.stderr
    origin = clone.parent / "owner" / "name"
    changed = git(origin, "show", "--name-only", "--format=", "baselines/run-42-1").split()
    assert changed == [
        f"baselines/{name}" for name in (".gitattributes", "thor/m/a.json", "thor/m/b.history.jsonl", "thor/m/b.json")
    ]
    assert git(origin, "show", "baselines/run-42-1:baselines/.gitattributes") == "*.history.jsonl merge=union\n"
    assert "pr create --base main --head baselines/run-42-1" in (clone.parent / "gh.log").read_text()


def test_where_nothing_changed_nothing_is_proposed(clone: Path) -> None:
    assert propose(clone, {"thor/m/a.json": "1\n"}).returncode == 0
    assert propose(clone, {}).returncode == 0
    assert not (clone.parent / "gh.log").exists()


@pytest.mark.parametrize(
    "name",
    [
        "evil.py",
        "board/thor/m/deeper/a.json",
        "thor/m/a.sh",
        ".github/workflows/ci.yml",
        "thor/m/.gitattributes",
        "thor/m\n::error::x/a.json",
    ],
)
def test_what_is_no_file_of_a_store_stops_everything(clone: Path, name: str) -> None:
    done = propose(clone, {"thor/m/a.json": "2\n", name: "x\n"})
    assert done.returncode == 1
    assert "nothing was copied" in done.stderr
    assert "\n::" not in done.stderr + done.stdout
    assert (clone / "baselines/thor/m/a.json").read_text() == "1\n"


def test_a_link_is_no_baseline(clone: Path) -> None:
    sent = clone / "temp" / "thor-baselines" / "thor~m" / "baselines"
    (sent / "thor" / "m").mkdir(parents=True)
    (sent / "thor" / "m" / "a.json").symlink_to("/etc/passwd")
    assert "is no file of a baseline store" in propose(clone, {}).stderr
    (sent / "thor" / "m" / "a.json").unlink()
    (sent / "thor" / "n").symlink_to("/etc")
    assert "is no file of a baseline store" in propose(clone, {}).stderr


@pytest.mark.parametrize("job", ["thor~m/src", "thor~m", ".github~m/baselines", "thor~m/baselines2"])
def test_what_lies_outside_of_a_jobs_store_stops_everything(clone: Path, job: str) -> None:
    done = propose(clone, {"thor/m/a.json": "2\n"}, job=job)
    assert (done.returncode, "nothing was copied" in done.stderr) == (1, True)
    assert git(clone, "status", "--porcelain", "baselines") == ""


def test_boards_that_stored_different_figures_in_one_place_are_both_named_and_nothing_is_proposed(clone: Path) -> None:
    assert propose(clone, {"thor/m/a.json": "1\n"}, job="thor-1~m/baselines").returncode == 0
    done = propose(clone, {"thor/m/a.json": "3\n", "thor/m/b.json": "4\n"}, job="thor-2~m/baselines")
    assert done.returncode == 1
    assert "thor/m/a.json: thor-1 (job m) and thor-2 (job m) sent different baselines" in done.stderr
    assert "Give each board a store of its own, baselines: baselines/DEVICE" in done.stderr
    assert git(clone, "status", "--porcelain", "baselines") == ""
    assert not (clone.parent / "gh.log").exists()


def test_boards_with_stores_of_their_own_are_proposed_together(clone: Path) -> None:
    sent = clone / "temp" / "thor-baselines"
    for number in (1, 2):
        path = sent / f"thor-{number}~m" / f"baselines/thor-{number}" / "thor/m/a.json"
        path.parent.mkdir(parents=True)
        path.write_text(f"{number}\n")
    done = propose(clone, {"thor/m/c.json": "3\n"}, job="thor-3~m/baselines")
    assert done.returncode == 0, done.stderr
    origin = clone.parent / "owner" / "name"
    assert git(origin, "show", "--name-only", "--format=", "baselines/run-42-1").split() == [
        "baselines/thor-1/thor/m/a.json",
        "baselines/thor-2/thor/m/a.json",
        "baselines/thor/m/c.json",
    ]


def test_jobs_that_send_the_same_file_agree(clone: Path) -> None:
    other = clone / "temp" / "thor-baselines" / "thor-1~m" / "baselines/thor/m/a.json"
    other.parent.mkdir(parents=True)
    other.write_text("2\n")
    done = propose(clone, {"thor/m/a.json": "2\n"}, job="thor-2~m/baselines")
    assert done.returncode == 0, done.stderr


def test_the_device_gathers_what_git_sees_as_changed(clone: Path) -> None:
    store = clone / "baselines" / "thor" / "m"
    (store / "a.json").write_text("2\n")
    (store / "new.history.jsonl").write_text("{}\n")
    script = step(RUN, "Gather the baselines that changed")["run"]
    done, _ = run(script, clone, STORE="baselines", SOURCE=str(ROOT), JOB="thor-1~m")
    assert done.returncode == 0
    target = clone / "temp" / "thor-baselines"
    found = sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file())
    assert found == [f"thor-1~m/baselines/thor/m/{name}" for name in ("a.json", "new.history.jsonl")]
    done, _ = run(script, clone, STORE="elsewhere", SOURCE=str(ROOT), JOB="thor-1~m")
    assert done.returncode == 0
    done, _ = run(script, clone, STORE="../elsewhere", SOURCE=str(ROOT), JOB="thor-1~m")
    assert (done.returncode, "is outside of the repository" in done.stderr) == (1, True)


def test_the_store_reaches_every_job_and_no_default_hides_the_ini_file() -> None:
    assert read(RUN)["on"]["workflow_call"]["inputs"]["baselines"]["default"] == ""
    given = {one["name"]: one["env"]["STORE"] for one in steps(RUN) if "STORE" in one.get("env", {})}
    asked, kept = "${{ inputs.baselines }}", "${{ inputs.baselines || 'baselines' }}"
    assert given == {
        "Deal the cells out to jobs": asked,
        "Put this job's cells and the store before the caller's arguments": asked,
        "Gather the baselines that changed": kept,
        "Join the shards, and show the report": kept,
    }
