"""Annotations that point at the matrix and nothing else, and the summary of the job."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_thor.errors import ReportError
from pytest_thor.report.github import annotation_lines, append_step_summary
from pytest_thor.report.markdown import STEP_SUMMARY_BYTES, markdown
from tests.unit.report.report_documents import HOSTILE, cell, document, failed, hostile, regressed, skipped

REPO = Path("/repo")


def test_the_worst_cells_are_annotated_at_their_line_of_the_matrix() -> None:
    noisy = cell(
        "tg8", outcome="warned", verdict="inconclusive", reason="tg8 is too noisy: 5 %,\nsay more.", metrics={}
    )
    report = document(cell(), skipped("pp1"), noisy, failed("tg64"), regressed())

    place, name = "file=matrices/qwen3.yaml,line=14", "qwen3-8b-Q4_K_M-llama.cpp"
    assert annotation_lines(report, root=REPO) == [
        f"::error {place},title={name}-tg128%3A regressed -12.4 %25::tg128 regressed. Decode speed fell.",
        f"::error {place},title={name}-tg64%3A error::tg64 could not be measured: it crashed",
        f"::warning {place},title={name}-tg8%3A inconclusive::tg8 is too noisy: 5 %25,%0Asay more.",
    ]


def test_at_most_ten_of_a_kind_and_the_last_counts_the_rest() -> None:
    ten = annotation_lines(document(*[regressed(f"tg{n}") for n in range(1, 11)]), root=REPO)
    many = annotation_lines(document(*[regressed(f"tg{n}", -n / 100) for n in range(1, 31)]), root=REPO)

    assert len(ten) == len(many) == 10
    assert "tg30" in many[0]
    assert many[-1].startswith("::error title=pytest-thor%3A 21 more cells::")
    assert "tg21" in many[-1]
    assert "tg22" in many[-2]


@pytest.mark.parametrize("text", HOSTILE)
def test_foreign_text_cannot_end_a_command_or_begin_another(text: str) -> None:
    for line in annotation_lines(hostile(text), root=REPO):
        kind, properties, message = line[2:].split(" ", 1)[0], *line[2:].split(" ", 1)[1].split("::", 1)
        assert line.splitlines() == [line]
        assert kind in {"error", "warning"}
        assert {entry.partition("=")[0] for entry in properties.split(",")} <= {"file", "line", "title"}
        assert "%" not in message.replace("%25", "").replace("%0A", "").replace("%0D", "")
        assert "\x1b" not in line


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ("/repo/matrices/a,b:c.yaml:7", "file=matrices/a%2Cb%3Ac.yaml,line=7,"),
        ("matrices/qwen3.yaml:7", "file=matrices/qwen3.yaml,line=7,"),
        ("/elsewhere/qwen3.yaml:7", ""),
        ("no line", ""),
        ("", ""),
    ],
)
def test_what_is_not_in_the_checkout_has_no_place_there(location: str, place: str) -> None:
    [line] = annotation_lines(document(regressed(location=location)), root=REPO)

    assert line.startswith(f"::error {place}title=")


def test_the_summary_joins_what_the_step_has_already_written(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("# Before\n", encoding="utf-8")
    report = document(regressed())

    assert append_step_summary(report, path)

    assert path.read_text(encoding="utf-8") == f"# Before\n\n{markdown(report)}\n"


@pytest.mark.parametrize(("before", "fits"), [(0, True), (700_000, True), (STEP_SUMMARY_BYTES - 100, False)])
def test_the_summary_stays_within_what_github_shows(tmp_path: Path, before: int, fits: bool) -> None:
    path = tmp_path / "summary.md"
    path.write_text("x" * before, encoding="utf-8")
    report = document(*[regressed(f"tg{n}", reason="é" * 2000) for n in range(600)])

    assert append_step_summary(report, path) == fits
    assert before <= path.stat().st_size <= STEP_SUMMARY_BYTES
    assert (path.stat().st_size > before) == fits


def test_a_summary_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="cannot write the job summary"):
        append_step_summary(document(), tmp_path)
