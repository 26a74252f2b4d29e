"""What a run leaves, at a desk and in GitHub Actions."""

from __future__ import annotations

from pathlib import Path

from pytest_thor.report.published_figure import PublishedFigure
from pytest_thor.report.publishing import publish
from tests.unit.report.report_documents import cell, document, regressed


def test_published_figures_are_in_the_page_beside_ours(tmp_path: Path) -> None:
    report = document(cell())
    figure = PublishedFigure(metric="tg_tps", value=41.5, unit="tok/s", source="guide.md:42")

    publish(report, folder=tmp_path, formats=[], environ={}, published={report.cells[0].place: [figure]})

    assert "guide.md:42" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "guide.md:42" not in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_at_a_desk_there_are_files_and_nothing_is_said(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    elsewhere = {"GITHUB_STEP_SUMMARY": str(summary)}  # set, but this is no run of GitHub's

    assert publish(document(regressed()), folder=tmp_path / "out", formats=["csv"], environ=elsewhere) == []
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.html", "report.md", "samples.csv"]
    assert not summary.exists()


def test_in_github_actions_the_summary_has_the_report_and_the_cells_are_annotated(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_WORKSPACE": "/repo"}

    lines = publish(document(regressed()), folder=tmp_path / "out", formats=[], environ=environ)

    assert summary.read_text(encoding="utf-8").startswith("## pytest-thor: qwen3\n")
    assert [line.partition(",title=")[0] for line in lines] == ["::error file=matrices/qwen3.yaml,line=14"]
