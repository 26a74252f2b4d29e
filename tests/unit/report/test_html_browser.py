"""The report in a real browser: it loads, sorts, filters, opens, hovers and prints, and runs only what it should."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_thor import units
from pytest_thor.report.document import ArtifactRecord, PastRunRecord, ReportDocument
from pytest_thor.report.html.page import render
from pytest_thor.report.published_figure import PublishedFigure
from tests.unit.report.chromium import NAMES, Browser, Page, browser, chromium, open_page
from tests.unit.report.made_runs import made_run
from tests.unit.report.report_documents import cell, document, failed, hostile, judged, launch, regressed
from tests.unit.report.test_quant_shares import quant
from tests.unit.report.test_saturation import KNEE, LOADS, point

EXECUTABLE = chromium()
pytestmark = pytest.mark.skipif(
    EXECUTABLE is None,
    reason=f"needs Chromium (Debian: apt install chromium; or THOR_CHROMIUM=PATH); none of {', '.join(NAMES)} is there",
)
ATTACK = "</script><img src=x onerror=window.attacked=1><script>window.attacked=1</script>\"'><svg onload=attacked=1>"

Opened = Callable[..., Page]


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert EXECUTABLE is not None
    with browser(EXECUTABLE, tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 240 cells with everything in it."""
    file = tmp_path_factory.mktemp("made") / "report.html"
    file.write_text(render(made_run(240)), encoding="utf-8")
    return file


@pytest.fixture
def opened(driven: Browser, tmp_path: Path) -> Iterator[Opened]:
    """Opens a report or a file, and at the end holds the console against what it should be: silent."""
    pages = []

    def open_one(what: ReportDocument | str | Path, **screen: Any) -> Page:
        file = what if isinstance(what, Path) else tmp_path / "report.html"
        if not isinstance(what, Path):
            page = what if isinstance(what, str) else render(what)
            file.write_text(page, encoding="utf-8", errors="replace")
        pages.append(open_page(driven, file, **screen))
        return pages[-1]

    yield open_one
    for page in pages:
        assert page.problems() == []
        page.call("Page.close")


def column(page: Page, label: str) -> list[str]:
    """Return the texts of one column of the table."""
    return list(
        page.run(f"""(() => {{
            const heads = [...document.querySelectorAll('#cells thead th')];
            const place = heads.findIndex((head) => head.textContent === {label!r});
            return [...document.querySelectorAll('#cells tr.cell')].map((row) => row.cells[place].textContent);
        }})()""")
    )


def click_head(page: Page, label: str) -> None:
    page.run(
        f"[...document.querySelectorAll('#cells thead th')].find((head) => head.textContent === {label!r}).click()"
    )


def search(page: Page, text: str) -> None:
    page.run(f"document.getElementById('search').value = {json.dumps(text)}")
    page.run("document.getElementById('filter').requestSubmit()")


@pytest.mark.parametrize("screen", [{}, {"dark": True}, {"width": 390, "height": 844, "phone": True}], ids=str)
def test_a_run_with_everything_loads_in_silence_and_is_no_wider_than_the_screen(
    opened: Opened, made: Path, screen: dict[str, Any]
) -> None:
    page = opened(made, **screen)

    assert page.run("document.documentElement.scrollWidth") <= screen.get("width", 1440)
    assert page.run("document.querySelectorAll('.plot svg').length") >= 10
    assert page.run("[...document.querySelectorAll('.plot')].every((plot) => plot.scrollWidth <= plot.clientWidth + 1)")
    assert (
        page.run("""[...document.querySelectorAll('.plot svg text')].filter((text) => {
        const label = text.getBoundingClientRect(), frame = text.closest('.picture').getBoundingClientRect();
        return label.width && (label.left < frame.left || label.right > frame.right);
    }).map((text) => text.textContent)""")
        == []
    )


def test_there_is_a_picture_for_everything_that_has_data(opened: Opened, made: Path) -> None:
    page = opened(made)

    assert page.run("[...document.querySelectorAll('[data-picture]')].map((each) => each.dataset.picture)") == [
        *("Prefill speed", "Size against speed", "Latency over load"),
        *("Decode speed", "Throughput under load", "Latency distributions"),
        *("Throughput against concurrency", "Energy per token"),
        *("Efficiency", "History"),
    ]
    assert page.run("document.querySelectorAll('[data-picture=History] svg').length") == 6


def test_quants_and_sweeps_stand_in_tables_and_in_the_pictures(opened: Opened) -> None:
    quants = [quant("Q4_K_M", 60.0), quant("F16", 20.0)]
    loads = [point(load, tps) for load, tps in zip(LOADS, KNEE, strict=True)]
    page = opened(document(*quants, *loads))

    assert page.run("[...document.querySelectorAll('.sheet summary')].map((each) => each.textContent)") == [
        "qwen3-8b · llama.cpp",
        "qwen3-8b · Q4_K_M · llama.cpp · load",
    ]
    assert page.run("[...document.querySelectorAll('.sheet')].every((each) => each.open)")
    search(page, "tg128")
    assert sorted(column(page, "of F16")) == ["", "300.0 %"]
    page.run("document.querySelector('[type=reset]').click()")
    ring = 'document.querySelectorAll(\'[data-picture="Throughput against concurrency"] circle[r="8"]\').length'
    page.wait_until(f"{ring} === 1")


def test_of_several_published_figures_the_one_of_this_device_stands_in_the_table_and_else_none(opened: Opened) -> None:
    def figure(value: float, **fields: Any) -> PublishedFigure:
        return PublishedFigure(metric="tg_tps", value=value, unit="tok/s", source="guide.md:1", **fields)

    report = document(cell("tg1"), cell("tg2"), cell("tg3"), cell("tg4"))
    beside = [
        [figure(30.0), figure(31.0, same_device=True)],
        [figure(30.0), figure(32.0)],
        [figure(9000.0, doubt="too fast"), figure(33.0)],
        [figure(9000.0, doubt="too fast")],
    ]
    places = [record.place for record in report.cells]
    page = opened(render(report, published=dict(zip(places, beside, strict=True))))

    assert column(page, "published") == ["31.00 tok/s", "", "33.00 tok/s", ""]
    page.run("document.querySelectorAll('#cells tr.cell')[3].click()")
    page.wait_until("document.querySelector('.detail li.published')")
    assert "it cannot be true" in page.run("document.querySelector('.detail li.published').textContent")


def test_cells_of_several_devices_have_a_column_for_it_and_a_place_of_their_own_in_every_picture(
    opened: Opened,
) -> None:
    sized = ArtifactRecord(path="a.gguf", format="gguf", size_bytes=2**32)
    history = [PastRunRecord(finished_at="2026-01-01", verdict="unchanged", values={"tg_tps": [40.0]})]
    metrics = {"tg_tps": judged(limit=80.0, efficiency=0.5)}
    known: dict[str, Any] = {"metrics": metrics, "artifact": sized, "history": history}
    page = opened(document(*(cell(device=device, **known) for device in ("left", "right"))))
    efficiency = "[...document.querySelectorAll('[data-picture=Efficiency] text')].map((text) => text.textContent)"
    chosen = "[...document.querySelectorAll('[data-picture=History] option')].map((option) => option.textContent)"

    assert column(page, "device") == ["left", "right"]
    assert [text for text in page.run(efficiency) if "Q4_K_M" in text] == [
        f"qwen3-8b · Q4_K_M · {device}" for device in ("left", "right")
    ]
    assert page.run(chosen)[1:] == [f"{cell().id} ({device})" for device in ("left", "right")]
    assert column(opened(document(cell())), "cell") == [cell().id]


def test_there_is_no_picture_of_what_was_not_measured(opened: Opened) -> None:
    page = opened(document(cell(), regressed("tg8"), failed("pp4")))
    assert page.run("[...document.querySelectorAll('[data-picture]')].map((each) => each.dataset.picture)") == [
        "Decode speed"
    ]

    page = opened(document())
    assert page.run("document.querySelectorAll('[data-picture], #cells tr.cell').length") == 0


@pytest.mark.parametrize("text", [ATTACK, "\x00\u202e\ud800", "javascript:window.attacked=1"])
def test_text_from_outside_is_shown_and_does_nothing(opened: Opened, text: str) -> None:
    reports = made_run(30, text=text), hostile(text)
    for report in reports:
        page = opened(report)

        page.run("document.querySelectorAll('#cells tr.cell').forEach((row) => row.click())")
        page.wait_until(
            "document.querySelectorAll('div.detail').length === document.querySelectorAll('tr.cell').length"
        )
        page.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        page.wait_until("document.querySelector('.detail details dl')")

        assert page.run("window.attacked") is None
        assert page.run("document.querySelectorAll('img, iframe, object, svg [onload]').length") == 0
        if text.isprintable():
            assert text in page.run("document.body.textContent")


def test_figures_that_cannot_be_are_drawn_nowhere_and_break_nothing(opened: Opened) -> None:
    figures = (math.nan, math.inf, -math.inf, 0.0, -3.0, 1e300, 5e-324)
    cells = []
    for place, figure in enumerate(figures):
        odd = judged(figure, limit=figure, efficiency=figure, ci_low=figure, baseline=figure, change=figure)
        samples = {"tg_tps": [figure, 1.0], "ttft_ms": [figure, figure], "output_tps": [figure]}
        launches = [launch(samples), launch(samples)]
        past = [PastRunRecord(finished_at="?", verdict=None, values={"tg_tps": [figure]})] * 2
        load = {"max_concurrency": place, "request_rate": figure}
        metrics = {"tg_tps": odd, "output_tps": odd, "ttft_ms.median": odd, "energy_j_per_token": odd}
        files = ArtifactRecord(path="x", format="gguf", size_bytes=place)
        common = {"launches": launches, "metrics": metrics, "history": past, "artifact": files}
        cells += [cell(f"tg{place}", **common), cell(f"load@c{place}", parameters=load, **common)]
    page = opened(document(*cells))

    page.run("document.querySelectorAll('#cells tr.cell').forEach((row) => row.click())")
    page.wait_until(f"document.querySelectorAll('div.detail').length === {len(cells)}")

    assert "NaN tok/s" in page.run("document.getElementById('cells').textContent")
    assert "NaN" not in page.run("[...document.querySelectorAll('.plot svg')].map((svg) => svg.outerHTML).join()")


def test_a_click_on_a_head_sorts_and_another_turns_it_round_and_what_is_missing_stays_last(
    opened: Opened, made: Path
) -> None:
    page = opened(made)
    page.run("document.getElementById('more').scrollIntoView()")
    search(page, "tg128")

    click_head(page, "change")
    rising = column(page, "change")
    click_head(page, "change")
    falling = column(page, "change")

    known = [float(text.removesuffix(" %")) for text in rising if text]
    assert len(known) > 20
    assert known == sorted(known)
    assert "" not in rising[: len(known)]
    assert [float(text.removesuffix(" %")) for text in falling if text] == sorted(known, reverse=True)
    assert falling[-1] == rising[-1] == ""
    heads = page.run("[...document.querySelectorAll('th[aria-sort]')].map((head) => [head.textContent, head.ariaSort])")
    assert heads == [["change", "descending"]]


def test_sizes_are_sorted_as_numbers_and_names_as_people_do(opened: Opened) -> None:
    page = opened(document(cell("tg128"), cell("tg16"), cell("tg8")))

    click_head(page, "cell")

    assert [name.rpartition("-")[2] for name in column(page, "cell")] == ["tg8", "tg16", "tg128"]


def test_words_selections_and_verdicts_filter_the_table_and_the_pictures(opened: Opened, made: Path) -> None:
    page = opened(made)
    count = "document.getElementById('shown').textContent"
    assert page.run(count) == "240 of 240 cells"

    search(page, "Q8_0 tg128")
    names = column(page, "cell")
    assert names
    assert all("Q8_0" in name and "tg128" in name for name in names)
    assert page.run(count) == f"{len(names)} of 240 cells"
    assert page.run("document.querySelector('[data-picture=\"Prefill speed\"] .plot').textContent") == (
        "No cell with this matches the filter."
    )

    page.run("document.querySelector('[type=reset]').click()")
    page.wait_until(f"{count} === '240 of 240 cells'")
    page.run("document.querySelector('[data-word=regressed]').click()")
    page.run("document.querySelector('[data-word=invalid]').click()")
    page.run("""(() => {
        const select = document.querySelector('[data-filter=kind]');
        select.value = 'decode';
        select.dispatchEvent(new Event('change'));
    })()""")
    assert set(column(page, "verdict")) <= {"regressed", "invalid"}
    assert set(column(page, "metric")) == {"tg_tps"}

    search(page, "no such cell")
    assert page.run(count) == "0 of 240 cells"


def test_a_click_opens_a_cell_with_all_that_it_has(opened: Opened) -> None:
    good = launch({"tg_tps": [39.125, 41.0]}, telemetry={"covered": 0.97}, doubts=["the clock fell"])
    bad = launch(failure="it crashed", log_tail="CUDA error: <out of memory>")
    record = regressed(launches=[good, bad], fingerprint={"must_match": {"gpu": "Thor"}}, settings={"n_gpu_layers": 99})
    page = opened(document(record))

    page.run("document.querySelector('#cells tr.cell').click()")
    page.wait_until("document.querySelector('.detail details')")
    page.run("document.querySelectorAll('.detail details').forEach((each) => { each.open = true; })")
    page.wait_until("document.querySelector('.detail').textContent.includes('covered')")

    shown = page.run("document.querySelector('.detail').textContent")
    for text in (
        *(
            "tg128 regressed.",
            "39.12, 41.00",
            "39.125",
            "launch 1: the clock fell",
            "it crashed",
            "CUDA error: <out of memory>",
        ),
        *("0.97", "build_number", "Thor", "n_gpu_layers", "Qwen3-8B-Q4_K_M.gguf", "llama-bench b7 (abcdef0)"),
    ):
        assert text in shown
    assert page.run("document.querySelector('tr.cell button').ariaExpanded") == "true"

    page.run("document.querySelector('#cells tr.cell').click()")
    assert page.run("document.querySelectorAll('.detail').length") == 0


def test_a_paragraph_leads_to_its_cell_even_where_the_filter_hides_it(opened: Opened, made: Path) -> None:
    page = opened(made)
    search(page, "no such cell")

    page.run("document.querySelector('[data-open]').click()")
    page.wait_until("document.querySelector('.detail')")

    heading = page.run("document.querySelector('.card h3').textContent")
    assert page.run("document.querySelector('tr.detail').previousElementSibling.textContent").count(heading) == 1


def test_rows_are_made_as_they_come_into_sight(opened: Opened) -> None:
    page = opened(document(*(cell(f"tg{number}") for number in range(700))))
    rows = "document.querySelectorAll('#cells tr.cell').length"
    first = page.run(rows)

    page.run("window.scrollTo(0, document.documentElement.scrollHeight)")

    assert first < 700
    page.wait_until(f"{rows} > {first}")


def test_printing_has_every_row_and_no_control(opened: Opened) -> None:
    page = opened(document(*(cell(f"tg{number}") for number in range(350))), dark=True)

    printed = page.pdf()

    assert printed.startswith(b"%PDF-")
    assert page.run("document.querySelectorAll('#cells tr.cell').length") == 350
    page.call("Emulation.setEmulatedMedia", media="print")
    for hidden in ("#filter", "#theme", "#more"):
        assert page.run(f"getComputedStyle(document.querySelector('{hidden}')).display") == "none"
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_colours_follow_the_system_until_the_switch_says_otherwise(opened: Opened, made: Path) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    dark, light = opened(made, dark=True), opened(made)
    assert dark.run(paper) != light.run(paper)

    for theme, same in (("light", light.run(paper)), ("dark", dark.run(paper)), (None, dark.run(paper))):
        dark.run("document.getElementById('theme').click()")
        assert (dark.run("document.documentElement.dataset.theme"), dark.run(paper)) == (theme, same)


def test_a_hover_tells_the_value_its_unit_and_what_others_published(opened: Opened) -> None:
    figure = PublishedFigure(metric="tg_tps", value=41.5, unit="tok/s", source="guide.md", date="2025-08-01")
    report = document(cell(metrics={"tg_tps": judged(40.0, limit=80.0, efficiency=0.5)}))
    page = opened(render(report, published={report.cells[0].place: [figure]}))
    page.run("document.querySelector('[data-picture=\"Decode speed\"]').scrollIntoView({block: 'center'})")

    box = page.run("""(() => {
        const bar = document.querySelector('[data-picture="Decode speed"] [aria-label=bar] rect');
        const box = bar.getBoundingClientRect();
        return [box.x + box.width - 4, box.y + box.height / 2];
    })()""")
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=box[0], y=box[1])
    page.wait_until("document.querySelector('[data-picture] [aria-label=tip] text')")

    told = page.run("document.querySelector('[data-picture] [aria-label=tip]').textContent")
    told = re.sub(r"[\s\u200b]", "", told)  # lines are broken where they are too long
    for text in (
        "decode speed: 40.00 tok/s",
        "limit of the device: 80.00 tok/s, reached 50.0 %",
        "guide.md, 2025-08-01",
    ):
        assert text.replace(" ", "") in told


@pytest.fixture(scope="module")
def blank(driven: Browser, tmp_path_factory: pytest.TempPathFactory) -> Page:
    file = tmp_path_factory.mktemp("blank") / "report.html"
    file.write_text(render(document()), encoding="utf-8")
    return open_page(driven, file)


SIZES = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15)
TIES = st.integers(-(10**6), 10**6).map(lambda eighths: eighths / 8)


@given(values=st.lists(st.one_of(SIZES, TIES, TIES.map(lambda tie: tie / 100)), min_size=20, max_size=60))
@settings(max_examples=40, deadline=None)
def test_the_page_writes_quantities_as_every_other_output_does(blank: Page, values: list[float]) -> None:
    values = [value for value in values if value == 0 or abs(value) > 1e-30]
    script = resources.files("pytest_thor.report.html").joinpath("assets/units.js").read_text(encoding="utf-8")
    shown = blank.run(f"""(() => {{ {script}
        return {json.dumps(values)}.map((value) => [
            units.significant(value), units.bytes(value), units.percent(value, true), units.duration(Math.abs(value)),
            units.quantity(value, "nat"),
        ]);
    }})()""")

    assert shown == [
        [
            units.format_significant(value),
            units.format_bytes(value),
            units.format_percent(value, signed=True),
            units.format_duration(abs(value)),
            units.format_quantity(value, "nat"),
        ]
        for value in values
    ]


def test_figures_that_are_not_finite_are_written_alike_too(blank: Page) -> None:
    script = resources.files("pytest_thor.report.html").joinpath("assets/units.js").read_text(encoding="utf-8")
    shown = blank.run(
        f"(() => {{ {script} return [NaN, Infinity, -Infinity].map((value) => units.significant(value)) }})()"
    )

    assert shown == [units.format_significant(value) for value in (math.nan, math.inf, -math.inf)]
