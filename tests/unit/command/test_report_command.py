"""``pytest-thor report`` renders a finished run again."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pytest_thor.command import main
from pytest_thor.report.document import write
from pytest_thor.report.markdown import markdown
from pytest_thor.report.outputs import FORMATS
from tests.unit.report.report_documents import cell, document, regressed

REPORT = document(cell(), regressed("tg8"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(REPORT, tmp_path / "report.json")
    return tmp_path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


def test_markdown_goes_to_the_terminal_unless_something_else_is_asked_for(folder: Path) -> None:
    assert run(folder / "report.json").stdout == markdown(REPORT)
    assert run(folder).stdout == markdown(REPORT)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_what_a_run_would_have_written(folder: Path, name: str) -> None:
    result = run(folder, "--format", name, "-o", folder / "out" / "file")

    assert result.exit_code == 0
    assert result.stdout == ""
    assert (folder / "out" / "file").read_bytes() == FORMATS[name].content(REPORT)
    if name != "sqlite":
        assert run(folder, "--format", name).stdout_bytes == FORMATS[name].content(REPORT)


def test_a_database_is_one(folder: Path) -> None:
    run(folder, "--format", "sqlite", "-o", folder / "x.sqlite")

    assert sqlite3.connect(folder / "x.sqlite").execute("SELECT COUNT(*) FROM llama_bench").fetchone() == (4,)


def test_what_is_no_report_ends_with_one_line_and_status_2(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text('{"schema": "pytest-thor/report/9"}', encoding="utf-8")
    result = run(tmp_path)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert "a report of another version: 'pytest-thor/report/9'" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_unknown_format_is_told_with_those_there_are(folder: Path) -> None:
    result = run(folder, "--format", "pdf")

    assert result.exit_code == 2
    assert "'llama-bench'" in result.stderr


def test_its_help_explains_every_format() -> None:
    result = run("--help")

    assert all(chosen.help in result.stdout for chosen in FORMATS.values())
