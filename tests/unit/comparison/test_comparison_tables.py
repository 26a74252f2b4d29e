"""A comparison as people see it: tables, Markdown, HTML and JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pytest_thor.comparison.contrast import Comparison, Contrast, contrast
from pytest_thor.comparison.matching import By, match
from pytest_thor.comparison.source import Source, of_report
from pytest_thor.comparison.tables import page, to_json
from pytest_thor.report.sheets import Page, html, markdown
from pytest_thor.verdict import Verdict
from tests.unit.comparison.compared_documents import measured, published
from tests.unit.report.report_documents import GOLDEN, HOSTILE, document, hostile, skipped

QUANTS = document(
    *(
        measured(workload, (speed, speed * 1.002, speed * 0.998), quant=quant, size_bytes=size_bytes)
        for quant, size_bytes, prefill, decode in (
            ("Q4_0", 4_300_000_000, 900.0, 40.0),
            ("Q4_K_M", 5_027_784_704, 850.0, 36.0),
            ("Q8_0", 8_700_000_000, 910.0, 22.0),
        )
        for workload, speed in (("pp512", prefill), ("tg128", decode))
    )
)
BEFORE = document(measured("tg128"), measured("pp512", (900.0, 901.0, 899.0)), measured("tg64"), measured("tg8"))
AFTER = document(
    measured("pp512", (1000.0, 1001.0, 999.0), version="b8"),
    measured("tg128", (36.0, 36.1, 35.9), version="b8"),
    measured("tg64", version="b8"),
    skipped("tg8"),
)
THEIRS = document(published("tg128", 50.0, parameters={"n_gen": 128, "n_depth": 0}))


def compared(
    *sources: Source, by: By = "report", reference: str | None = None
) -> tuple[Comparison, tuple[Source, ...]]:
    subjects = [each for source in sources for each in source.subjects]
    found = match(subjects, by, columns=[source.name for source in sources] if by == "report" else ())
    return contrast(found, by, reference=reference or found.columns[0]), sources


def settled(comparison: Comparison) -> Comparison:
    """Return a comparison with intervals and verdicts by hand: what the judge says has its own tests."""

    def by_hand(each: Contrast) -> Contrast:
        if each.verdict is None or each.change is None:
            return each
        verdict = Verdict.UNCHANGED if abs(each.change) < 0.01 else each.verdict
        return replace(each, low=each.change - 0.01, high=each.change + 0.01, verdict=verdict)

    rows = tuple(
        replace(
            row,
            by_column={
                column: {key: by_hand(each) for key, each in metrics.items()}
                for column, metrics in row.by_column.items()
            },
        )
        for row in comparison.rows
    )
    return replace(comparison, rows=rows)


def settled_page(*sources: Source, by: By = "report", reference: str | None = None) -> Page:
    comparison, named = compared(*sources, by=by, reference=reference)
    return page(settled(comparison), named)


def golden(name: str, text: str) -> None:
    assert text == (GOLDEN / "comparison" / name).read_text(encoding="utf-8")


def test_two_reports_are_a_list_of_changes_the_worst_first() -> None:
    made = settled_page(of_report(BEFORE, name="before"), of_report(AFTER, name="after"))

    golden("two_reports.md", markdown(made))
    (sheet,) = made.sheets
    assert [row[0].split()[-1] for row in sheet.rows] == ["regressed", "improved", "unchanged"]


def test_quants_are_percent_of_the_reference_with_their_sizes() -> None:
    made = settled_page(of_report(QUANTS, name="quants"), by="quant", reference="Q4_0")

    golden("quants.md", markdown(made))
    (sheet,) = made.sheets
    texts = {row[0]: row[1:] for row in sheet.rows}
    assert texts["Q4_0"] == ("4.00 GiB", "900.0 tok/s", "100 %", "40.00 tok/s", "100 %")
    assert texts["Q8_0"][0] == "8.10 GiB"
    assert texts["Q8_0"][4].startswith("55.0 % (")


def test_a_published_side_says_that_it_is_and_shows_its_percent_alone() -> None:
    sources = [of_report(BEFORE, name="before"), of_report(AFTER, name="after"), of_report(THEIRS, name="theirs")]
    made = settled_page(*sources)

    golden("three_sides.md", markdown(made))
    (alone,) = page(*compared(sources[0], sources[2])).sheets
    assert [row[0] for row in alone.rows] == ["published"]
    assert alone.rows[0][6] == ""


def test_an_invalid_reference_is_marked_and_its_reason_is_told_once() -> None:
    bad = measured(quant="Q4_0", verdict="invalid", reason="Faster than the memory.")
    made = page(*compared(of_report(document(bad, measured(quant="Q8_0")), name="a"), by="quant", reference="Q4_0"))

    (sheet,) = made.sheets
    assert [row[-1] for row in sheet.rows] == ["invalid", "invalid"]
    assert [listed.lines for listed in made.lists] == [
        ("Q4_0: qwen3-8b-Q4_0-llama.cpp-tg128: Faster than the memory.",)
    ]


def test_other_work_is_shown_without_a_change_and_with_the_reason() -> None:
    sides = [of_report(document(measured(conditions={"workload.n_gen": n_gen})), name=f"{n_gen}") for n_gen in (1, 2)]
    made = page(*compared(*sides))

    (row,) = made.sheets[0].rows
    assert row[0].endswith("incomparable")
    assert row[3:7] == ("40.00 tok/s", "40.00 tok/s", "", "")
    assert "workload.n gen: 1 → 2" in made.lists[0].lines[0].replace("n_gen", "n gen")


def test_nothing_in_common_is_said() -> None:
    made = page(*compared(of_report(document(measured("tg1")), name="a"), of_report(document(measured()), name="b")))

    assert not made.sheets
    assert "there is nothing to compare" in markdown(made)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("by", ["report", "quant"])
def test_hostile_names_show_and_do_nothing(text: str, by: By) -> None:
    written = hostile(text)
    other = written.model_copy(deep=True)
    for record in other.cells:
        record.quant = f"other {text}" if by == "quant" else record.quant
    made = page(*compared(of_report(written, name=text), of_report(other, name=f"b{text}"), by=by))
    tags = _Tags()
    tags.feed(html(made))

    known = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "div", "table", "thead", "tbody"}
    assert tags.seen <= known | {"tr", "th", "td", "ul", "li", "details", "summary"}
    assert tags.attributes <= {"lang", "charset", "http-equiv", "content", "name", "class"}
    assert "http:" not in html(made).replace(text, "")
    body = markdown(made)
    assert "<script" not in body
    assert "\x1b" not in body
    assert "\x1b" not in html(made)
    assert "<!--" not in body
    assert "](" not in body


def test_json_has_every_figure_and_no_nan() -> None:
    theirs = published(parameters={"n_gen": 128})
    theirs.metrics["tg_tps"].value = math.inf
    theirs.metrics["tg_tps"].limit = math.nan
    sources = [of_report(BEFORE, name="a"), of_report(AFTER, name="b"), of_report(document(theirs), name="c")]
    data: dict[str, Any] = json.loads(json.dumps(to_json(*compared(*sources)), allow_nan=False))

    assert data["schema"] == "pytest-thor/comparison/1"
    row = next(row for row in data["rows"] if row["title"].endswith("tg128"))
    assert row["columns"]["b"]["metrics"]["tg_tps"]["verdict"] == "regressed"
    assert row["columns"]["b"]["metrics"]["tg_tps"]["change"] == pytest.approx(-0.1, abs=1e-5)
    assert row["columns"]["b"]["launches"] == 3
    assert {each["cell"] for each in data["left_out"]} == {
        "qwen3-8b-Q4_K_M-llama.cpp-tg8",
        "Qwen3 8B-Q4_K_M-llama-bench-tg128",
    }


def test_the_html_page_stands_alone() -> None:
    made = html(page(*compared(of_report(BEFORE, name="before"), of_report(AFTER, name="after"))))

    assert "default-src 'none'" in made
    assert "<script" not in made
    assert "src=" not in made
    assert "href=" not in made
    assert "-10.0 %" in made


def test_markdown_keeps_within_a_size_and_says_how_much_is_left_out() -> None:
    many = document(*(measured(f"tg{number}") for number in range(1, 101)))
    made = page(*compared(of_report(many, name="a"), of_report(many, name="b")))
    short = markdown(made, limit_bytes=4_000)

    assert len(short.encode()) <= 4_000
    left_out = 100 - sum(line.startswith("| ") and "tg_tps" in line for line in short.splitlines())
    assert f"… and {left_out} rows more" in short
    assert 0 < left_out < 100


def test_the_golden_files_are_there() -> None:
    assert {path.name for path in Path(GOLDEN / "comparison").iterdir()} == {
        "two_reports.md",
        "quants.md",
        "three_sides.md",
    }
