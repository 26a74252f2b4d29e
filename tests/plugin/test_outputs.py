"""What a run leaves beside report.json: report.md, report.html, exports, JUnit properties, and GitHub Actions' own."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from tests.plugin.project import SLOW_TG16, TG16, Project


def test_every_run_leaves_markdown_a_page_and_the_exports_that_were_asked_for(project: Project) -> None:
    result = project.run("--thor-export=csv", "--thor-export=sqlite")

    assert result.ret == 0
    assert {path.name for path in (project.root / "thor-report").iterdir()} == {
        *("journal.jsonl", "report.json", "report.md", "report.html", "samples.csv", "llama-bench.sqlite")
    }
    assert TG16 in (project.root / "thor-report" / "report.md").read_text(encoding="utf-8")


def test_exports_can_stand_in_the_ini_file(project: Project) -> None:
    project.pytester.makeini("[pytest]\nthor_export =\n    bencher\n    comment\n")

    project.run()

    assert (project.root / "thor-report" / "bencher.json").exists()
    assert (project.root / "thor-report" / "comment.md").exists()


def test_an_unknown_export_is_refused_before_anything_is_measured(project: Project) -> None:
    result = project.run("--thor-export=pdf")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--thor-export 'pdf' is no format of a report: expected one of markdown, *"])
    assert not (project.root / "thor-report").exists()


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_junit_has_the_verdict_and_the_figures_of_every_cell_once(project: Project, arguments: tuple[str, ...]) -> None:
    project.run("--thor-update-baseline=missing")
    project.script(**SLOW_TG16)

    project.pytester.runpytest_subprocess(*project.arguments, "--junitxml=out.xml", *arguments)

    cases = ET.parse(project.root / "out.xml").iter("testcase")
    told = {
        case.attrib["name"]: [(entry.attrib["name"], entry.attrib["value"]) for entry in case.iter("property")]
        for case in cases
    }
    slow = told[f"test_decode[{TG16}]"]
    assert len(told) == 3
    assert len(slow) == len(dict(slow))
    assert dict(slow)["thor.verdict"] == "regressed"
    assert float(dict(slow)["thor.tg_tps.change"]) == pytest.approx(-0.222, abs=0.001)


def test_github_actions_gets_a_summary_and_annotations(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = project.root / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(project.root))
    project.run("--thor-update-baseline=missing")

    result = project.run(script=SLOW_TG16)

    [line] = [line for line in result.outlines if line.startswith("::")]
    assert line.startswith(
        f"::error file=matrices/small.yaml,line=3,title={TG16}%3A regressed -22.2 %25::{TG16} regressed."
    )
    assert summary.read_text(encoding="utf-8").count("## pytest-thor: small") == 2
