"""Tables of foreign text as Markdown and HTML."""

from __future__ import annotations

import pytest

from pytest_thor.plain_text import one_line
from pytest_thor.report.sheets import Column, Enumeration, Page, Sheet, html, markdown, shortened
from tests.unit.report.report_documents import HOSTILE


def made(text: str, rows: int = 1) -> Page:
    columns = (Column(title=text), Column(title="value", right=True))
    sheet = Sheet(title=text, columns=columns, rows=tuple((text, str(number)) for number in range(rows)))
    return Page(title=text, said=(text,), sheets=(sheet,), lists=(Enumeration(title=text, lines=(text,)),))


def test_a_page_has_what_is_said_the_tables_and_the_lists_in_this_order() -> None:
    text = markdown(made("a"))

    assert text == (
        "## a\n\n- a\n\n### a\n\n| a | value |\n|---|--:|\n| a | 0 |\n\n"
        "<details><summary>a</summary>\n\n- a\n\n</details>\n"
    )
    page = html(made("a"))
    assert page.index("<h1>a") < page.index("<li>a") < page.index("<td>a") < page.index("<details>")
    assert "<td class=right>0</td>" in page


@pytest.mark.parametrize("text", HOSTILE)
def test_foreign_text_stays_text(text: str) -> None:
    page = html(made(text))

    assert page.count("<table>") == page.count("</table>") == 1
    assert page.count("<details>") == page.count("</details>") == 1
    assert page.count("<script") == page.count("<b>") == 0
    assert "\x1b" not in page + markdown(made(text)) + one_line(text)
    assert len([line for line in markdown(made(text)).splitlines() if line.startswith("|")]) == 3
    assert "\n" not in one_line(text)


def test_a_long_list_says_how_much_is_left_out() -> None:
    lines = list(shortened(Enumeration(title="t", lines=tuple(map(str, range(60))))))

    assert len(lines) == 51
    assert lines[-1] == "… and 10 more"


@pytest.mark.parametrize("limit", [500, 1_000, 5_000])
def test_markdown_keeps_below_a_size(limit: int) -> None:
    text = markdown(made("a", rows=2_000), limit_bytes=limit)

    assert len(text.encode()) <= limit
    assert "rows more, left out for size" in text or "… and " in text
