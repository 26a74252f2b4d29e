"""The report as one HTML page: what is in it, and that no text from outside can do anything."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_thor.plain_text import cleaned
from pytest_thor.report.html.details import CHUNK_BYTES, record_json
from pytest_thor.report.html.page import LIBRARIES, SCRIPTS, render
from pytest_thor.report.html.rows import FIELDS, SHARES, script_json
from pytest_thor.report.published_figure import PublishedFigure
from tests.unit.report.made_runs import made_run
from tests.unit.report.report_documents import (
    HOSTILE,
    cell,
    document,
    failed,
    hostile,
    judged,
    launch,
    regressed,
    skipped,
)

ELEMENTS_OF_OUR_OWN = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "div",
        "p",
        "h1",
        "h2",
        "h3",
        "span",
        "time",
        "b",
        "i",
    ),
    *("button", "main", "section", "article", "strong", "code", "pre", "footer", "a", "details", "summary", "noscript"),
    *("form", "input", "output", "table", "thead", "tbody", "dl", "dt", "dd", "br", "small", "script"),
}


class Parsed(HTMLParser):
    """Every element of a page with its attributes, the text outside scripts, and the scripts."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self._in: str = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._in = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the parser's own signature
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        elif self._in != "style":
            self.text += data

    def data(self) -> Any:
        return json.loads(next(text for attributes, text in self.scripts if attributes.get("id") == "data"))

    def records(self) -> list[Any]:
        packed = [text for attributes, text in self.scripts if "data-first" in attributes]
        return [record for text in packed for record in json.loads(gzip.decompress(base64.b64decode(text)))]


def test_what_changed_comes_first_the_worst_on_top_and_each_with_its_paragraph() -> None:
    better = cell("tg1", verdict="improved", reason="tg1 improved. Decode speed rose.")
    page = Parsed(render(document(cell(), better, failed("tg64"), regressed("tg8", -0.05), regressed("tg9", -0.2))))

    places = [
        page.text.index(text) for text in ("tg9 regressed. ", "tg8 regressed. ", "tg64 could not", "tg1 improved. ")
    ]
    assert places == sorted(places)
    assert places[-1] < page.text.index("Pictures")
    assert "tg128 is unchanged" not in page.text
    assert "CUDA error" in page.text


def test_a_calm_run_says_so_and_one_without_baselines_does_not_claim_that_nothing_changed() -> None:
    first = cell(verdict="no-baseline")

    assert "Nothing changed, and nothing wants attention." in render(document(cell()))
    assert "There is no baseline yet" in render(document(first, skipped("tg8")))
    assert "Nothing changed" not in render(document(first))
    assert "Nothing was measured." in render(document(skipped()))
    assert "Nothing was measured." in render(document())


def test_that_the_whole_machine_moved_is_told_before_what_changed() -> None:
    page = Parsed(render(made_run(20)))

    assert "The cells moved together by -3.1 %" in page.text
    assert page.text.index("The machine changed") < page.text.index("What changed")


def test_skipped_cells_are_told_once_for_each_reason() -> None:
    page = Parsed(render(document(skipped("tg1"), skipped("tg2"), skipped("tg3", reason="no engine"))))

    assert "2 skipped: no GGUF file" in page.text
    assert "1 skipped: no engine" in page.text


def test_facts_of_the_machine_are_written_for_people() -> None:
    report = document(cell())
    facts = {"memory_bytes": 25276514304, "virtual": True, "gpu": "none", "power_mode": None, "logical_cpus": 2}
    environment = report.environment.model_copy(update={"fingerprint": facts})

    shown = re.findall(
        r"<dt>(\w+)</dt><dd>([^<]*)</dd>", render(report.model_copy(update={"environment": environment}))
    )

    assert shown[:5] == [
        ("memory_bytes", "23.54 GiB"),
        ("virtual", "yes"),
        ("gpu", "none"),
        ("power_mode", "unknown"),
        ("logical_cpus", "2"),
    ]


def test_every_cell_is_in_the_page_with_all_that_report_json_has() -> None:
    report = made_run(60)
    page = Parsed(render(report))

    records = page.records()
    assert sorted(record["id"] for record in records) == sorted(record.id for record in report.cells)
    assert [row["id"] for row in page.data()["cells"]] == [record["id"] for record in records]
    whole = {record.id: json.loads(record.model_dump_json()) for record in report.cells}
    assert all(record == whole[record["id"]] for record in records)


def test_chunks_hold_a_few_cells_each_and_know_their_first() -> None:
    page = Parsed(render(made_run(60)))

    firsts, sizes = [], []
    for attributes, text in page.scripts:
        if "data-first" in attributes:
            firsts.append(int(attributes["data-first"] or ""))
            sizes.append(json.loads(gzip.decompress(base64.b64decode(text))))
    assert len(firsts) > 1
    assert firsts == [sum(len(chunk) for chunk in sizes[:place]) for place in range(len(sizes))]
    assert all(len(json.dumps(chunk[:-1])) < 1.2 * CHUNK_BYTES for chunk in sizes)


def test_a_row_has_the_deciding_metric_and_the_quantiles_of_all_requests() -> None:
    launches = [
        launch({"ttft_ms": [30.0, 10.0]}),
        launch({"ttft_ms": [20.0]}),
        launch({"ttft_ms": [9e9]}, failure="no"),
    ]
    load = cell("load", launches=launches, metrics={"extra": judged(7.0, -0.2, "regressed"), "tg_tps": judged()})
    row = Parsed(render(document(load))).data()["cells"][0]

    assert row["decided_by"] == "extra"
    assert dict(zip(FIELDS, row["metrics"]["extra"], strict=True))["value"] == 7.0
    assert row["latency"]["ttft_ms"][SHARES.index(0.5)] == 20.0
    assert row["latency"]["ttft_ms"][SHARES.index(0.25)] == 15.0
    assert row["latency"]["ttft_ms"][-1] == 3


def test_loads_that_differ_only_in_how_heavy_they_are_are_one_curve() -> None:
    def load(users: int, **fields: Any) -> Any:
        parameters = {"input_len": 64, "num_prompts": 8 * users, "max_concurrency": users, "request_rate": None}
        return cell(f"load@c{users}", parameters=parameters, **fields)

    other = load(4, quant="Q8_0")
    rows = Parsed(render(document(load(1), load(2), other))).data()["cells"]

    curves = [row["load"]["curve"] for row in rows]
    assert curves[0] == curves[1] != curves[2]
    assert [row["load"]["max_concurrency"] for row in rows] == [1, 2, 4]


def test_published_figures_stand_beside_the_cell_they_are_of() -> None:
    figure = PublishedFigure(
        metric="tg_tps", value=41.5, unit="tok/s", source="guide.md", date="2025-08-01", device="Jetson Thor"
    )
    report = document(cell(), cell("tg8"))
    rows = Parsed(render(report, published={report.cells[0].place: [figure]})).data()["cells"]

    assert [row["published"] for row in rows] == [
        [["tg_tps", 41.5, "tok/s", "guide.md", "2025-08-01", "Jetson Thor", None, None, False]],
        [],
    ]


def test_figures_that_are_no_numbers_are_named_and_never_become_other_figures() -> None:
    odd = cell(
        "load",
        metrics={"tg_tps": judged(float("nan"), float("inf"))},
        launches=[launch({"ttft_ms": [float("nan"), -1.0], "tg_tps": [float("-inf")]})],
    )
    page = Parsed(render(document(odd)))

    figures = dict(zip(FIELDS, page.data()["cells"][0]["metrics"]["tg_tps"], strict=True))
    assert (figures["value"], figures["change"]) == ("NaN", "Infinity")
    assert page.data()["cells"][0]["latency"]["ttft_ms"] == [-1.0] * len(SHARES) + [1]
    assert page.records()[0]["launches"][0]["samples"] == {"ttft_ms": ["NaN", -1.0], "tg_tps": ["-Infinity"]}


@pytest.mark.parametrize("text", [*HOSTILE, "</script><script>alert(1)</script>", "<!--<script>", "]]>", "a\u2028b"])
def test_text_from_outside_makes_no_element_no_attribute_and_no_script(text: str) -> None:
    page = Parsed(render(hostile(text)))
    plain = Parsed(render(hostile("plain")))

    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    assert [sorted(attributes) for _, attributes in page.elements] == [
        sorted(attributes) for _, attributes in plain.elements
    ]
    assert {tag for tag, _ in page.elements} <= ELEMENTS_OF_OUR_OWN
    assert len(page.scripts) == len(plain.scripts)
    shown = json.loads(cleaned(json.dumps(text, ensure_ascii=False)))
    assert page.data()["cells"][0]["id"] == shown
    assert page.records()[0]["launches"][0]["engine"]["name"] == shown


@given(text=st.text(st.characters(exclude_categories=("Cf", "Cs", "Zl", "Zp"))))
@settings(max_examples=50, deadline=None)
def test_json_in_a_script_reads_back_the_same_and_has_no_sign_that_ends_it(text: str) -> None:
    written = script_json({text: [text]})

    assert not set("<>&") & set(written)
    assert json.loads(written) == json.loads(cleaned(json.dumps({text: [text]}, ensure_ascii=False)))


@given(text=st.text(st.characters(exclude_categories=())))
@settings(max_examples=50, deadline=None)
def test_no_letter_in_a_script_ends_it_or_reorders_others(text: str) -> None:
    written = script_json({text: [text]})

    assert not set("<>&") & set(written)
    assert written == cleaned(written)
    assert list(json.loads(written)) == json.loads(written)[next(iter(json.loads(written)))]


def test_half_of_a_surrogate_pair_in_a_log_does_not_keep_a_record_from_being_written() -> None:
    record = failed(reason="a \ud800 b", parameters={"x": float("inf"), "y": [float("nan")]})

    read = json.loads(record_json(record))
    assert read["reason"] == "a \ud800 b"
    assert read["parameters"] == {"x": "Infinity", "y": ["NaN"]}


def test_the_page_allows_its_own_scripts_only_and_loads_nothing() -> None:
    page = render(made_run(5))
    parsed = Parsed(page)

    policy = next(
        attributes["content"] or ""
        for tag, attributes in parsed.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ")
    assert policy.count("sha256-") == len(LIBRARIES) + 1
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    assert not [attributes for _, attributes in parsed.elements if {"src", "srcset"} & set(attributes)]
    assert not [tag for tag, _ in parsed.elements if tag in {"link", "img", "iframe", "object", "base"}]


def test_no_script_of_ours_reads_text_as_html_or_can_end_its_element() -> None:
    scripts = [text for attributes, text in Parsed(render(document())).scripts if not attributes]

    assert len(scripts) == len(LIBRARIES) + 1
    own = scripts[-1]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", own)
    assert not [script for script in scripts if re.search(r"</script|<!--", script, re.IGNORECASE)]


@pytest.mark.parametrize(
    ("file", "sha256"),
    [
        ("d3.min.js", "912111098ea99503a6f4967361d2bbdc9dbf58cf9c678c8e27e5b02d1a07f0c1"),
        ("plot.umd.min.js", "4358086467740777dd788d6b27a95cebdbaefdd50c730a3060117073bd7134cb"),
    ],
)
def test_what_is_vendored_is_as_its_authors_published_it(file: str, sha256: str) -> None:
    from importlib import resources

    content = resources.files("pytest_thor.report.html").joinpath("vendored").joinpath(file).read_bytes()

    assert hashlib.sha256(content).hexdigest() == sha256


def test_the_licences_of_what_is_vendored_are_in_every_page() -> None:
    text = Parsed(render(document())).text

    for holder in ("Mike Bostock", "Observable, Inc.", "Mikola Lysenko", "this permission notice appear in all copies"):
        assert holder in text


def test_every_script_there_is_runs_and_the_page_alone_is_small() -> None:
    from importlib import resources

    assets = resources.files("pytest_thor.report.html").joinpath("assets")
    there = {file.name.removesuffix(".js") for file in assets.iterdir() if file.name.endswith(".js")}
    assert there == set(SCRIPTS)
    assert len(render(document()).encode()) < 1_000_000


def test_a_long_report_shows_two_hundred_paragraphs_and_says_how_many_more_there_are() -> None:
    page = render(document(*(regressed(f"tg{number}") for number in range(203))))

    assert page.count('<article class="card') == 200
    assert "… and 3 more, in the table below." in page
