"""Markdown: worst first, everything escaped, within a size; read by a Markdown parser that is not ours."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pytest_thor.plain_text import cleaned
from pytest_thor.report import gfm
from pytest_thor.report.document import RecentRecord, ReportDocument, ShiftRecord
from pytest_thor.report.markdown import COMMENT_BYTES, LEAST_BYTES, STEP_SUMMARY_BYTES, comment, markdown, marker
from tests.unit.report.report_documents import (
    GOLDEN,
    HOSTILE,
    cell,
    document,
    failed,
    hostile,
    judged,
    metric,
    regressed,
    skipped,
)

RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
OURS = {
    *("h2", "h3", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "code", "pre"),
    *("ul", "li", "sub", "blockquote", "hr"),
}
MENTION = re.compile(r"(?<![A-Za-z0-9])@[A-Za-z0-9]|#[0-9]|(?<![A-Za-z0-9])GH-[0-9]", re.IGNORECASE)
"""What GitHub makes a link of, and somebody's notification, in text that is no code."""
FOREIGN = st.text(
    alphabet=st.one_of(st.sampled_from("<>&|`*_[](){}~\\#@$!:=+-.\"'\n\r\t\x1b 019aw/gGhH"), st.characters()),
    max_size=40,
)


class Page(HTMLParser):
    """The elements of a page, the text of each kind, and what is wrong with their nesting."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[str] = []
        self.attributes: list[str] = []
        self.unbalanced: list[str] = []
        self.comments: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(RENDERER.render(text))
        self.close()
        self.unbalanced += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [name for name, value in attrs if not str(value).startswith("text-align:")]
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def text_of(self, tag: str) -> str:
        return "".join(text for where, text in self.texts if where == tag)


def whole_run() -> ReportDocument:
    recent = RecentRecord(
        runs=5, launches=15, baseline=36.0, change=-0.02, change_low=-0.03, change_high=-0.01, verdict="unchanged"
    )
    slow = judged(35.0, -0.124, "regressed", minimum_detectable_effect=0.021, efficiency=0.61, recent=recent)
    return document(
        cell("pp512", metrics={"pp_tps": judged(1257.3, 0.004)}),
        regressed("tg32", -0.05),
        regressed(
            metrics={"tg_tps": slow, "peak_memory_bytes": metric(unit="B", better="lower", value=5.5e9)},
            advice=["The machine ran at 90 W."],
            differences=["engine build: b6 → b7"],
        ),
        failed("tg64"),
        skipped("pp1"),
        skipped("pp2"),
        skipped("pp3", reason="llama-bench is not installed"),
        cell("load", outcome="warned", verdict="inconclusive", reason="load is too noisy to tell."),
    )


@pytest.mark.parametrize(("render", "name"), [(markdown, "report.md"), (comment, "comment.md")])
def test_a_whole_run_reads_as_the_golden_one(render: object, name: str) -> None:
    assert callable(render)
    assert render(whole_run()) == (GOLDEN / "report" / name).read_text(encoding="utf-8")


def test_every_cell_has_its_paragraph_and_the_worst_comes_first() -> None:
    report = whole_run()
    page = Page(markdown(report))

    text = "".join(text for _, text in page.texts)
    for record in report.cells:
        assert record.reason.partition("\n")[0] in text
    summaries = re.findall(r"<summary>(.*?)</summary>", markdown(report))
    assert ["tg128" in summaries[0], "tg32" in summaries[1], "tg64" in summaries[2]] == [True] * 3
    assert "2 cells: no GGUF file" in text
    assert page.unbalanced == []


def test_a_cell_that_a_strict_policy_fails_wants_attention_whatever_its_word_is() -> None:
    strict = skipped("pp1", outcome="error", reason="no GGUF file")
    fresh = cell("tg8", verdict="no-baseline", outcome="failed", reason="tg8 has no baseline.")
    report = document(cell("tg16", verdict="no-baseline"), cell("tg128"), fresh, strict)
    attention, _, folded = markdown(report).partition("<details><summary>🔵 no-baseline: 1 cell</summary>")

    assert "tg8</code> |" in attention
    assert "pp1</code> |" in attention
    assert "tg16" in folded
    assert "tg16" not in attention
    assert "tg8 has no baseline." in comment(report)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("render", [markdown, comment])
def test_foreign_text_shows_as_it_is_and_does_nothing(render: object, text: str) -> None:
    assert callable(render)
    page = Page(render(hostile(text)))

    assert set(page.elements) <= OURS
    assert page.attributes == []
    assert page.unbalanced == []
    assert page.comments in ([], [page.comments[0]] if page.comments else [])
    shown = " ".join(cleaned(text).split())
    assert shown in page.text_of("code")
    assert shown in page.text_of("p").replace("\u2060", "")
    assert not MENTION.search("".join(said for where, said in page.texts if where not in {"code", "pre"}))
    assert cleaned(text) in page.text_of("pre")


@given(FOREIGN)
def test_any_text_in_a_paragraph_is_one_paragraph_of_that_text(text: str) -> None:
    page = Page(f"{gfm.text(text)}\n\n")
    shown = " ".join(cleaned(text).split())

    assert page.elements == (["p"] if shown else [])
    assert page.text_of("p").replace("\u2060", "") == shown.replace("\u2060", "")
    assert not MENTION.search(page.text_of("p"))


@pytest.mark.parametrize(
    "text", ["@someone", "(@some-one)", "#12", "owner/repo#12", "a #1 b", "GH-7", "see gh-7.", "x@y #3"]
)
def test_nobody_is_called_and_no_issue_told(text: str) -> None:
    page = Page(f"{gfm.text(text)}\n")

    assert MENTION.search(text)
    assert not MENTION.search(page.text_of("p"))
    assert page.text_of("p").replace("\u2060", "") == text


@given(FOREIGN, FOREIGN)
def test_any_text_in_a_table_stays_in_its_cell(one: str, other: str) -> None:
    page = Page(f"| a | b | c |\n|---|---|---|\n{gfm.row([gfm.text(one), gfm.code(other), gfm.text(one)])}")

    assert page.elements.count("td") == 3
    assert set(page.elements) <= {"table", "thead", "tbody", "tr", "th", "td", "code"}
    assert page.text_of("code") == " ".join(cleaned(other).split())


@given(FOREIGN)
def test_any_log_is_one_block_of_its_lines(text: str) -> None:
    page = Page(f"{gfm.details('log', gfm.pre(text))}after\n")

    assert page.elements == ["details", "summary", "pre", "p"]
    assert page.unbalanced == []
    assert page.text_of("pre").strip("\n") == cleaned(text).strip("\n")


@pytest.mark.parametrize("figure", [float("nan"), float("inf"), float("-inf"), -40.0, 0.0])
def test_figures_that_cannot_be_are_shown_as_they_are(figure: float) -> None:
    fields = {"ci_low": figure, "ci_high": figure, "baseline": figure, "threshold": 0.03}
    metrics = {
        "tg_tps": judged(figure or 1.0, figure, "invalid", **fields),
        "peak_memory_bytes": metric(unit="B", better="lower", value=figure),
    }
    text = markdown(document(cell(verdict="invalid", outcome="failed", metrics=metrics)))

    assert Page(text).unbalanced == []
    assert (f"{figure}" if figure not in {-40.0, 0.0} else f"{figure:.0f}") in text


def test_a_report_of_nothing_says_so() -> None:
    assert "no cell was measured" in markdown(document())


def test_a_machine_that_changed_is_told_before_the_cells() -> None:
    report = document(regressed())
    report.summary.environment = ShiftRecord(
        shift=-0.04, low=-0.05, high=-0.03, cells=62, judged_relative=True, reason="The canary <b> lost as much."
    )
    text = markdown(report)

    assert "The cells moved together by -4.0 % (-5.0 to -3.0 %); the verdicts leave it out." in text
    assert text.index("moved together") < text.index("What wants attention")
    assert "<b>" not in text


@pytest.mark.parametrize("limit_bytes", [LEAST_BYTES, 100_000, STEP_SUMMARY_BYTES])
def test_a_size_is_kept_by_leaving_out_the_best_cells_and_saying_how_many(limit_bytes: int) -> None:
    losses = [-0.001 * number for number in range(1, 601)]
    cells = [regressed(f"tg{n}", loss, reason="é" * 900) for n, loss in enumerate(losses, 1)]
    report = document(*cells, *[cell(f"pp{n}", reason="ö" * 900) for n in range(1, 601)])
    text = markdown(report, limit_bytes=limit_bytes)

    assert len(text.encode()) <= limit_bytes
    assert Page(text).unbalanced == []
    assert "tg600" in text
    assert "tg1</code>" not in text or limit_bytes == STEP_SUMMARY_BYTES
    told = re.search(r"(\d+) more paragraphs left out", text)
    shown = text.count("é" * 900) + text.count("ö" * 900)
    assert told is not None
    assert int(told[1]) + shown == 1200


def test_the_whole_report_leaves_nothing_out() -> None:
    text = markdown(document(*[cell(f"pp{n}", reason=f"cell {n} of many.") for n in range(3000)]))

    assert text.count("of many.") == 3000
    assert "left out" not in text


@pytest.mark.parametrize("count", [1, 500])
def test_a_comment_stays_below_what_github_takes(count: int) -> None:
    text = comment(document(*[regressed(f"tg{n}", reason="<&é" * 500) for n in range(count)]))

    assert len(text.encode()) <= COMMENT_BYTES < 64 * 1024
    assert Page(text).unbalanced == []
    assert ("left out for size" in text) == (count > 1)
    assert ("… and 460 cells more." in text) == (count > 1)


def test_a_limit_that_holds_no_heading_is_refused() -> None:
    with pytest.raises(ValueError, match="16384 bytes"):
        markdown(document(), limit_bytes=100)


def test_a_comment_is_found_again_whatever_was_measured() -> None:
    first, second = document(cell()), document(regressed())

    assert comment(first).startswith(f"{marker(first)}\n")
    assert marker(first) == marker(second) == "<!-- pytest-thor:qwen3+jetson-agx-thor -->"


@settings(max_examples=50)
@given(FOREIGN)
def test_a_marker_is_one_comment_of_html_whatever_the_names_are(name: str) -> None:
    report = document()
    report.matrix[0].name = name

    assert re.fullmatch(r"<!-- pytest-thor:(?!.*--.*-->)[A-Za-z0-9.+-]* -->", marker(report))


@settings(max_examples=40, deadline=None)
@given(FOREIGN)
def test_any_text_anywhere_leaves_the_page_whole(text: str) -> None:
    page = Page(markdown(hostile(text)))

    assert set(page.elements) <= OURS
    assert page.unbalanced == []
