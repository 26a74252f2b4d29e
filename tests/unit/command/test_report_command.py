"""``pytest-thor report`` renders a finished run again."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pytest_thor.command import main
from pytest_thor.report.document import ReportDocument, summarize, write
from pytest_thor.report.markdown import markdown
from pytest_thor.report.outputs import FORMATS
from tests.unit.report.report_documents import cell, document, metric, regressed

REFERENCES = Path(__file__).parents[3] / "baselines" / "published"

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


def stored(folder: Path, report: ReportDocument) -> Path:
    write(report, folder / "report.json")
    return folder


@pytest.mark.parametrize("references", [REFERENCES, REFERENCES / "llama-cpp-on-jetson-thor.json"], ids=["all", "one"])
def test_published_figures_are_shown_beside_those_of_a_stored_report(tmp_path: Path, references: Path) -> None:
    folder = stored(tmp_path, document(cell(architecture="qwen3-8b", weights=8_190_735_360)))
    told = "40.07 tok/s (Jetson Thor, llama-bench, llama-cpp-on-jetson-thor.md:423, 2025-10-15T08:00:00+08:00)"

    markdown = run(folder, "--published", references).stdout.replace("&#58;", ":")
    assert f"- published: <code>tg_tps</code> {told}" in markdown
    page = run(folder, "--published", references, "--format", "html").stdout
    assert '"llama-cpp-on-jetson-thor.md:423"' in page
    assert "published:" not in run(folder).stdout.replace("&#58;", ":")


def test_what_is_no_published_reference_is_told(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path, told in (
        (tmp_path / "empty", "no published reference is in it"),
        (tmp_path / "gone", "cannot read it"),
        (folder / "report.json", "its schema is 'pytest-thor/report/1'"),
    ):
        result = run(folder, "--published", path)
        assert result.exit_code == 2
        assert told in result.stderr


def test_the_quants_can_be_told_as_percent_of_another(tmp_path: Path) -> None:
    quants = [
        cell(id=name, quant=name, bits_per_weight=bits, metrics={"tg_tps": metric(value=speed)})
        for name, bits, speed in (("Q4_K_M", 4.9, 60.0), ("Q8_0", 8.5, 36.0))
    ]
    folder = stored(tmp_path, document(*quants))

    assert "% of Q8&#95;0" in run(folder).stdout or "% of Q8_0" in run(folder).stdout
    assert "| 60.00 tok/s | 166.7 % |" in run(folder).stdout
    assert "| 36.00 tok/s | 60.0 % |" in run(folder, "--reference-quant", "q4_k_m").stdout
    result = run(folder, "--reference-quant", "Q8_1")
    assert result.exit_code == 2
    assert "did you mean Q8_0?" in result.stderr


@pytest.mark.parametrize("status", [0, 1, 2, 8, 9])
def test_it_ends_with_the_status_of_the_run_where_that_is_asked_for(tmp_path: Path, status: int) -> None:
    folder = stored(tmp_path, document(cell(), summary=summarize([cell()], exit_status=status)))

    assert run(folder).exit_code == 0
    assert run(folder, "--exit-status").exit_code == status
    assert run(folder, "--exit-status", "-o", tmp_path / "report.md").exit_code == status


def test_the_status_of_a_report_that_has_none_follows_from_its_cells(tmp_path: Path) -> None:
    folder = stored(tmp_path, document(regressed(), summary=summarize([regressed()], exit_status=None)))
    assert run(folder, "--exit-status").exit_code == 1
