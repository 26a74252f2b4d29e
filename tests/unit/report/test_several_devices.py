"""The same cell on two devices, as shards of a fleet measure it: nowhere are two figures shown under one name."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pytest_thor.report.document import CellRecord, ReportDocument
from pytest_thor.report.exports import action_benchmark, bencher, long_csv
from pytest_thor.report.github import annotation_lines
from pytest_thor.report.html.changes import cards
from pytest_thor.report.llama_bench_sql import llama_bench_sqlite
from pytest_thor.report.llama_bench_table import llama_bench_table
from pytest_thor.report.markdown import comment, markdown
from pytest_thor.report.naming import Naming, naming_of
from pytest_thor.report.saturation import sweep_lines, sweeps_of
from pytest_thor.report.sweep_sheets import sweep_sheet
from pytest_thor.report.vllm_bench import vllm_blocks
from tests.unit.report.report_documents import EVIDENCE, cell, document, judged, launch, regressed, skipped
from tests.unit.report.test_saturation import KNEE, LOADS, point

ID = "qwen3-8b-Q4_K_M-llama.cpp-tg128"
SPEEDS = {"left": 40.0, "right": 20.0}
LEFT, RIGHT = f"{ID} (left)", f"{ID} (right)"


def of(device: str, **fields: object) -> CellRecord:
    tps = SPEEDS[device]
    known: dict[str, Any] = {
        "launches": [launch({"tg_tps": [tps, tps]}, evidence={**EVIDENCE, "cpu_info": "AMD EPYC"})],
        "metrics": {"tg_tps": judged(tps)},
    }
    return cell(device=device, **{**known, **fields})


@pytest.fixture
def fleet() -> ReportDocument:
    return document(of("left"), of("right"))


def test_a_name_has_what_tells_cells_apart_and_no_more() -> None:
    alone, elsewhere = of("left"), of("left", matrix="other")

    assert naming_of([alone, alone]).full(alone) == ID
    assert naming_of([alone, of("right")]).full(alone) == LEFT
    assert naming_of([alone, elsewhere]).full(elsewhere) == f"{ID} (other)"
    assert naming_of([alone, of("right"), elsewhere]).full(elsewhere) == f"{ID} (other, left)"
    assert naming_of([]) == Naming()


@pytest.mark.parametrize("devices", [("left",), ("left", "right")])
def test_tools_that_keep_figures_have_a_series_for_each_device(devices: tuple[str, ...]) -> None:
    report = document(*map(of, devices))
    wanted = [f"qwen3/{ID}"] if len(devices) == 1 else [f"qwen3/{LEFT}", f"qwen3/{RIGHT}"]

    kept = json.loads(bencher(report))
    entries = json.loads(action_benchmark(report, "higher"))

    assert {name: figures["tg_tps"]["value"] for name, figures in kept.items()} == dict(
        zip(wanted, SPEEDS.values(), strict=False)
    )
    assert [entry["name"] for entry in entries] == [f"{name} tg_tps" for name in wanted]


def test_csv_has_a_column_for_it(fleet: ReportDocument) -> None:
    rows = [line.split(",") for line in long_csv(fleet).decode().splitlines()]
    place, value = rows[0].index("device"), rows[0].index("value")

    assert {(row[place], float(row[value])) for row in rows[1:]} == set(SPEEDS.items())


def test_llama_benchs_table_is_one_for_each_device(fleet: ReportDocument) -> None:
    left, right = llama_bench_table(fleet).split("\n\n|")

    assert "40.00 ± 0.00" in left
    assert left.rstrip().endswith("build: abcdef0 (7) on left")
    assert "20.00 ± 0.00" in right
    assert right.endswith("build: abcdef0 (7) on right\n")
    assert llama_bench_table(document(of("left"))).endswith("build: abcdef0 (7)\n")


def test_a_cell_that_only_one_device_measured_is_named_for_the_other() -> None:
    report = document(of("left"), skipped(device="right"))

    assert f"not measured: {ID} (right) (skipped)" in llama_bench_table(report)


def test_compare_llama_bench_joins_no_rows_of_two_devices(fleet: ReportDocument, tmp_path: Path) -> None:
    file = tmp_path / "llama-bench.sqlite"
    file.write_bytes(llama_bench_sqlite(fleet))
    with closing(sqlite3.connect(file)) as database:
        rows = database.execute("SELECT cpu_info, avg_ts FROM llama_bench").fetchall()

    assert rows == [("AMD EPYC (left)", 40.0), ("AMD EPYC (right)", 20.0)]


def test_markdown_and_its_comment_tell_them_apart() -> None:
    report = document(regressed(device="left"), regressed(device="right"), of("left", id="other"))

    for text in (markdown(report), comment(report)):
        lines = [line for line in text.splitlines() if f"<code>{ID}</code>" in line]
        assert len(lines) == 4  # in the table of what wants attention, and above its paragraph
        assert sorted("(left)" in line for line in lines) == [False, False, True, True]
        assert sorted("(right)" in line for line in lines) == [False, False, True, True]
    alone = markdown(document(regressed(device="left")))
    assert "(left)" not in alone


def test_skipped_cells_are_named_with_their_device() -> None:
    text = markdown(document(skipped(device="left"), of("right")))

    assert f"<code>{LEFT}</code>" in text


def test_annotations_and_cards_tell_them_apart() -> None:
    report = document(regressed(device="left"), regressed(device="right"))

    lines = annotation_lines(report, root=Path("/repo"))
    shown, _ = cards(report.cells, naming_of(report.cells))

    assert [f"title={name}%3A regressed" in line for name, line in zip((LEFT, RIGHT), lines, strict=True)] == [True] * 2
    assert [card.aside for card in shown] == ["left", "right"]


def test_blocks_of_loads_are_headed_with_the_device() -> None:
    loads = [cell("load", device=device, launches=[launch(evidence={})]) for device in SPEEDS]

    heads = [line for line in vllm_blocks(document(*loads)).splitlines() if line.startswith("# qwen3")]

    assert [head.partition(",")[0].rpartition(" ")[2] for head in heads] == ["(left)", "(right)"]


def test_sweeps_are_headed_with_it() -> None:
    points = [
        point(load, tps).model_copy(update={"device": device})
        for device in SPEEDS
        for load, tps in zip(LOADS, KNEE, strict=True)
    ]
    naming = naming_of(points)

    sweeps = sweeps_of(points)

    assert ["left" in sweep_lines(sweep, naming)[0] for sweep in sweeps] == [True, False]
    assert ["left" in sweep_sheet(sweep, naming).title for sweep in sweeps] == [True, False]
