"""What goes wrong is contained in its cell, told in a sentence, and leaves nothing behind."""

from __future__ import annotations

import json
import re

import pytest

from tests.plugin.project import FAST, PP64, TG8, TG16, Project

VLLM = """\
name: elsewhere
models: {tiny: {hf: tiny, quants: {BF16: {}}}}
backends: {vllm: {engine: vllm}}
workloads: {load: {kind: serving, input_len: 8, output_len: 8, num_prompts: 2, max_concurrency: 1}}
"""


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("exit", "exit status 1"),
        ("killed", "SIGKILL"),
        ("crash", "SIGSEGV"),
        ("garbage", "could not be measured"),
        ("half a line", "could not be measured"),
        ("quit early", "could not be measured"),
    ],
)
def test_an_engine_that_fails_costs_only_the_cells_it_had_not_measured(project: Project, fault: str, said: str) -> None:
    result = project.run(script={**FAST, "fault": fault, "after": 1})

    result.assert_outcomes(passed=1, failed=2)
    assert result.ret == 8
    assert project.verdicts() == {"pp64": "no-baseline", "tg8": None, "tg16": None}
    assert said in project.cell(TG8)["reason"]
    assert project.cell(TG8)["launches"][-1]["failure"]
    assert "Traceback" not in result.stdout.str()
    assert "def test_decode" not in result.stdout.str()
    assert project.engine_processes() == []


def test_the_end_of_the_engines_log_is_shown(project: Project) -> None:
    result = project.run(script={**FAST, "fault": "exit"})

    result.stdout.fnmatch_lines(["The end of llama-bench's log:", "*stub: error: out of luck*"])
    assert "out of luck" in project.cell(PP64)["launches"][0]["log_tail"]


@pytest.mark.parametrize("fault", ["hang", "ignore sigterm", "flood"])
def test_an_engine_that_never_ends_is_ended_with_everything_it_started(project: Project, fault: str) -> None:
    text = project.matrix.read_text().replace("settings:", "timeout: 1s, settings:")
    project.matrix.write_text(text)

    result = project.run(script={**FAST, "fault": fault, "after": 1})

    assert result.ret == 8
    assert re.search(r"1\.0 s|1 s", project.cell(TG16)["reason"])
    assert project.engine_processes() == []


def test_a_missing_model_is_skipped_with_the_places_that_were_searched(project: Project) -> None:
    project.model.rename(project.model.with_name("tiny-F61.gguf"))

    result = project.run("-rs")

    result.assert_outcomes(skipped=3)
    assert result.ret == 9
    result.stdout.fnmatch_lines(["*tiny-F16.gguf*tiny-F61.gguf*"])


def test_a_missing_engine_is_skipped_with_what_to_do(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THOR_VLLM", "")
    monkeypatch.setenv("PATH", str(project.root))
    project.matrix.write_text(VLLM)

    result = project.run()

    result.assert_outcomes(skipped=1)
    assert result.ret == 9
    result.stdout.fnmatch_lines(["*skipped: 1 cell: *vllm*"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("llama-bnch=/bin/true", "there is no engine or backend 'llama-bnch'; did you mean llama-bench?"),
        ("llama-bench=/nowhere/llama-bench", "there is nothing at this path"),
    ],
)
def test_an_engine_that_was_asked_for_is_never_replaced_by_another(project: Project, given: str, said: str) -> None:
    result = project.run("--thor-engine", given)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{said}*"])


def test_an_option_that_the_build_lacks_is_named_with_the_build(project: Project) -> None:
    result = project.run(script={**FAST, "lacks": ["--threads", "-t"]})

    assert result.ret == 9
    assert "threads" in result.stdout.str()
    assert "build 7" in result.stdout.str() or "b7" in result.stdout.str() or "abcdef0" in result.stdout.str()


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[:1000], lambda data: b"PK\x03\x04" + data[4:], lambda _: b""],
    ids=["cut", "foreign", "empty"],
)
def test_a_damaged_model_is_refused_before_any_engine_starts(project: Project, damage: object) -> None:
    data = project.model.read_bytes()
    project.model.unlink()  # it is a link to the model of all tests
    assert callable(damage)
    project.model.write_bytes(damage(data))

    result = project.run()

    result.assert_outcomes(failed=3)
    assert result.ret == 8
    assert "tiny-F16.gguf" in project.cell(PP64)["reason"]
    assert project.cell(PP64)["launches"] == []


@pytest.mark.parametrize(
    "content",
    ["{", '{"schema": "pytest-thor/baseline/99"}', '{"schema": "someone-elses/1"}', "\0\1\2"],
    ids=["corrupt", "newer", "foreign", "binary"],
)
def test_a_baseline_that_cannot_be_read_is_refused_named_and_left_untouched(project: Project, content: str) -> None:
    project.run("--thor-update-baseline=missing")
    file = project.baseline_file(TG8)
    file.write_text(content)

    result = project.run("--thor-update-baseline=accept")

    assert result.ret == 8
    result.assert_outcomes(passed=2, failed=1)
    assert str(file) in project.cell(TG8)["reason"]
    assert file.read_text() == content
    assert project.verdicts()["tg16"] == "unchanged"


def test_a_report_folder_that_cannot_be_written_is_told_before_anything_is_measured(project: Project) -> None:
    (project.root / "occupied").write_text("a file")

    result = project.run("--thor-report", "occupied")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*occupied: the report folder cannot be written*--thor-report DIR*"])
    assert not project.engine.with_name("llama-bench.pids").exists()


def test_collecting_starts_no_engine_and_opens_no_model(project: Project) -> None:
    project.model.unlink()

    result = project.run("--collect-only", "-q")

    assert result.ret == 0
    assert not project.engine.with_name("llama-bench.pids").exists()
    assert not (project.root / "thor-report").exists()


def test_a_journal_keeps_every_finished_launch(project: Project) -> None:
    project.run("--thor-launches=2", script={**FAST, "fault": "exit", "after": 2})

    kept = [(entry["cell"], entry["number"], entry["launch"]["failure"] is None) for entry in project.journal]
    assert kept == [(PP64, 1, True), (TG8, 1, True), (TG16, 1, False), (PP64, 2, True), (TG8, 2, True)]
    assert all(json.dumps(entry) for entry in project.journal)
