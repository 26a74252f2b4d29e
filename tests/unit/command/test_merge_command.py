"""``pytest-thor merge``: shards in, one report out, and a status to gate on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pytest_thor.command import main
from pytest_thor.report.document import CellRecord, summarize, write
from pytest_thor.report.reading import read
from tests.unit.comparison.compared_documents import measured
from tests.unit.report.report_documents import document, regressed


@pytest.fixture(autouse=True)
def _outside_github(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.chdir(tmp_path)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["merge", *map(str, arguments)])


def report(folder: Path, *cells: CellRecord, status: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write(document(*cells, summary=summarize(cells, exit_status=status)), folder / "report.json")
    return folder


def test_reports_become_one_with_the_usual_files(tmp_path: Path) -> None:
    shards = [report(tmp_path / "1-of-2", measured()), report(tmp_path / "2-of-2", measured("tg9"))]
    result = run(*shards, "-o", tmp_path / "out", "--export", "csv")

    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'out' / 'report.json'}\n"
    assert len(read(tmp_path / "out").cells) == 2
    assert (tmp_path / "out" / "report.md").exists()
    assert (tmp_path / "out" / "samples.csv").exists()
    assert result.stderr == "2 cells: 2 no-baseline\n"


def test_the_status_is_that_of_the_whole_run(tmp_path: Path) -> None:
    bad = report(tmp_path / "b", regressed("tg9"), status=1)
    cut = report(tmp_path / "c", measured("tg8"), status=2)
    good = report(tmp_path / "a", measured())

    assert run(good, bad, "-o", tmp_path / "out").exit_code == 1
    result = run(good, bad, cut, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "c was interrupted" in result.stderr
    assert read(tmp_path / "out").summary.exit_status == 2


def test_missing_shards_are_noticed(tmp_path: Path) -> None:
    jobs = {
        "include": [
            {"name": f"{number}-of-3", "argv": ["-m", f"thor_cell(workload='tg{number}')"], "cells": 1}
            for number in (1, 2, 3)
        ]
    }
    shards = [report(tmp_path / f"report-{number}-of-3", measured(f"tg{number}")) for number in (1, 3)]
    result = run(*shards, "-o", tmp_path / "out", "--expect", json.dumps(jobs))

    assert result.exit_code == 8
    assert "no report of 2-of-3" in result.stderr
    assert run(*shards, "-o", tmp_path / "out", "--expect", "2").exit_code == 0
    assert run(*shards, "-o", tmp_path / "out", "--expect", "3").exit_code == 8


def test_what_cannot_be_joined_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    shards = [report(tmp_path / "a", measured()), report(tmp_path / "b", measured(version="b8", second=9))]
    result = run(*shards, "-o", tmp_path / "out")

    assert result.exit_code == 2
    assert "qwen3-8b-Q4_K_M-llama.cpp-tg128" in result.stderr
    assert "b7 → b8" in result.stderr or "b8 → b7" in result.stderr
    assert not (tmp_path / "out").exists()


def test_the_summary_of_a_job_gets_the_whole_and_the_log_no_annotation_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    result = run(report(tmp_path / "a", regressed(), status=1), "-o", tmp_path / "out")

    assert "regressed" in (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert "::error" not in result.output
