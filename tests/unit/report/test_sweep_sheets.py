"""A sweep as a table, in Markdown and on the page."""

from __future__ import annotations

from pytest_thor.report.html.page import render
from pytest_thor.report.markdown import markdown
from pytest_thor.report.naming import Naming
from pytest_thor.report.saturation import sweeps_of
from pytest_thor.report.sweep_sheets import sweep_sheet
from tests.unit.report.report_documents import document
from tests.unit.report.test_saturation import KNEE, LOADS, point

CELLS = [point(load, tps) for load, tps in zip(LOADS, KNEE, strict=True)]


def test_a_row_per_load_in_rising_order_with_the_point_at_which_it_saturates() -> None:
    [sweep] = sweeps_of(reversed([*CELLS, point(128, None, verdict=None)]))
    sheet = sweep_sheet(sweep, Naming())

    assert [column.title for column in sheet.columns] == [
        *("max_concurrency", "output", "TTFT median", "TTFT p99", "TPOT median", "")
    ]
    assert [row[0] for row in sheet.rows] == ["1", "2", "4", "8", "16", "32", "64", "128"]
    assert [row[-1] for row in sheet.rows] == ["", "", "", "", "saturation", "", "", "not used"]
    assert sheet.rows[4][1] == "420.0 tok/s"


def test_markdown_has_the_table_and_the_sentence() -> None:
    text = markdown(document(*CELLS))

    assert "<summary>Sweeps</summary>" in text
    assert "| 16 | 420.0 tok/s | 1600 ms | 3200 ms | 38.10 ms | saturation |" in text
    assert "saturates at max_concurrency 16: +100.0 % of load bring +7.1 % of output throughput" in text
    assert "Sweeps" not in markdown(document())


def test_the_page_has_it_too_and_marks_the_point_in_its_pictures() -> None:
    page = render(document(*CELLS))

    assert "saturates at max_concurrency 16" in page
    assert page.count('"saturates":true') == 1
