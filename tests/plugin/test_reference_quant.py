"""``--thor-reference-quant``, and what else of a run's options its report keeps."""

from __future__ import annotations

from tests.plugin.project import MATRIX, Project


def test_the_report_keeps_the_quant_that_the_others_are_percent_of(project: Project) -> None:
    matrix = MATRIX.replace("quants: [F16]", "quants: {F16: {file: F16}, Q8_0: {file: F16x}}").replace(
        "tiny-{quant}", "tiny-{file}"
    )
    project.matrix.write_text(matrix, encoding="utf-8")
    (project.model.parent / "tiny-F16x.gguf").hardlink_to(project.model)

    project.run("--thor-reference-quant=q8_0")
    assert project.report["reference_quant"] == "q8_0"
    assert "% of Q8_0" in (project.root / "thor-report" / "report.md").read_text(encoding="utf-8")

    project.run()
    assert project.report["reference_quant"] is None


def test_a_quant_that_no_cell_has_is_refused_before_anything_is_measured(project: Project) -> None:
    result = project.run("--thor-reference-quant=F61")

    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--thor-reference-quant F61: no cell has this quant; did you mean F16[?]"])


def test_the_report_keeps_the_policy_that_its_outcomes_follow_from(project: Project) -> None:
    project.run("--thor-inconclusive=fail", "--thor-strict")

    assert project.report["summary"]["policy"] == {"inconclusive": "fail", "invalid": "fail", "strict": True}
    assert project.report["notes"] == []
