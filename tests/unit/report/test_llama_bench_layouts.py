"""llama-bench's own layouts, held against what a real llama-bench printed of the same figures."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from pytest_thor.plain_text import printable
from pytest_thor.report.document import ReportDocument
from pytest_thor.report.llama_bench_rows import FIELDS, bench_rows
from pytest_thor.report.llama_bench_sql import llama_bench_sql, llama_bench_sqlite
from pytest_thor.report.llama_bench_table import llama_bench_table
from tests.unit.report.report_documents import (
    ENGINE,
    EVIDENCE,
    GOLDEN,
    HOSTILE,
    cell,
    document,
    failed,
    golden_rows,
    hostile,
    launch,
    skipped,
)

JOINED_ON = (
    *("cpu_info", "gpu_info", "backends", "n_gpu_layers", "n_cpu_moe", "tensor_buft_overrides", "model_filename"),
    *("model_type", "n_batch", "n_ubatch", "embeddings", "cpu_mask", "cpu_strict", "poll", "n_threads", "type_k"),
    *("type_v", "load_mode", "no_kv_offload", "split_mode", "main_gpu", "tensor_split", "flash_attn", "n_prompt"),
    *("n_gen", "n_depth", "fit_target", "fit_min_ctx"),
)
"""What compare-llama-bench.py requires to be equal, with SQL's idea of equal."""
OTHERS_SCRIPT = Path(os.environ.get("THOR_COMPARE_LLAMA_BENCH", f"{sys.prefix}/share/llama.cpp/compare-llama-bench.py"))


def stored(report: ReportDocument, folder: Path, name: str = "llama-bench.sqlite") -> sqlite3.Connection:
    path = folder / name
    path.write_bytes(llama_bench_sqlite(report))
    return sqlite3.connect(path)


def test_the_table_is_llama_benchs_own_to_the_character() -> None:
    report = golden_rows("table.jsonl", settings={"threads": 2, "flash_attn": "on", "batch_size": 64})

    assert llama_bench_table(report) == (GOLDEN / "llama_bench" / "table.md").read_text(encoding="utf-8")


def test_the_sql_is_llama_benchs_own_but_for_its_rounding_of_nanoseconds() -> None:
    real = (GOLDEN / "llama_bench" / "rows.sql").read_text(encoding="utf-8")
    # llama-bench takes mean and deviation of nanoseconds in whole numbers, which cuts off what ours keeps.
    nanoseconds = re.compile(r"'(\d+)', '(\d+)', (?='[\d.]+', '[\d.]+'\);)")
    ours = llama_bench_sql(golden_rows("rows.jsonl"))

    assert nanoseconds.sub("", ours) == nanoseconds.sub("", real)
    for (mean, deviation), (its_mean, its_deviation) in zip(
        nanoseconds.findall(ours), nanoseconds.findall(real), strict=True
    ):
        assert int(mean) == pytest.approx(int(its_mean), abs=1)
        assert int(deviation) == pytest.approx(int(its_deviation), rel=0.01)


def test_a_table_pools_the_repetitions_of_all_launches_and_names_what_is_not_in_it() -> None:
    report = document(
        cell("pp512", launches=[launch({"pp_tps": [1000.0]}), launch({"pp_tps": [1100.0]})]),
        cell("tg64@4096", parameters={"n_gen": 64, "n_depth": 4096}, launches=[launch({"tg_tps": [40.0, 41.0]})]),
        cell("tg128", verdict="invalid", launches=[launch({"tg_tps": [9e9]})]),
        failed("tg32"),
        skipped("pp2048"),
        cell("load"),
    )
    table = llama_bench_table(report)

    cells = [[value.strip() for value in line.strip("|").split("|")] for line in table.splitlines()]
    assert cells[0] == ["model", "size", "params", "backend", "ngl", "test", "t/s"]
    model = ["qwen3 8B Q4_K - Medium", "4.68 GiB", "8.19 B", "CUDA", "99"]
    assert cells[2] == [*model, "pp512", "1050.00 ± 70.71"]
    assert cells[3] == [*model, "tg64 @ d4096", "40.50 ± 0.71"]
    assert {len(line) for line in table.splitlines()[:4]} == {len(table.splitlines()[0])}
    assert re.findall(r"not measured: (.*)", table) == [
        "qwen3-8b-Q4_K_M-llama.cpp-tg128 (invalid)",
        "qwen3-8b-Q4_K_M-llama.cpp-tg32 (error)",
        "qwen3-8b-Q4_K_M-llama.cpp-pp2048 (skipped)",
    ]


def test_each_build_has_a_table_and_the_reference_of_an_a_b_run_is_not_mixed_in() -> None:
    other = {**EVIDENCE, "build_commit": "1234567", "build_number": 8}
    reference = [launch({"tg_tps": [20.0]}, evidence=other)]
    one = cell("tg128", reference_launches=reference)
    two = cell("tg64", launches=[launch({"tg_tps": [30.0]}, evidence=other)])

    table = llama_bench_table(document(one, two))

    assert re.findall(r"build: .*", table) == ["build: abcdef0 (7)", "build: 1234567 (8)"]
    assert "20.00" not in table


def test_an_engine_that_says_little_leaves_gaps_and_no_zeros(tmp_path: Path) -> None:
    report = document(cell(launches=[launch({"tg_tps": [40.0]}, evidence={})]))

    assert (
        "|        n/a |        n/a | n/a        | n/a |           tg128 |         40.00 ± 0.00 |"
        in llama_bench_table(report)
    )
    row = stored(report, tmp_path).execute("SELECT build_commit, n_batch, model_type, avg_ts FROM llama_bench")
    assert row.fetchall() == [("abcdef0", "", "qwen3-8b Q4_K_M", 40.0)]


def test_nothing_measured_is_no_table() -> None:
    assert llama_bench_table(document(skipped(), cell("load"))) == ""


@pytest.mark.parametrize("text", HOSTILE)
def test_foreign_text_neither_leaves_its_cell_nor_its_literal(text: str, tmp_path: Path) -> None:
    report = hostile(f"{text}'); DROP TABLE llama_bench; --")

    lines = [line for line in llama_bench_table(report).splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in lines} == {lines[0].count("|")}
    assert "<script>" not in "".join(lines)
    through_text = sqlite3.connect(":memory:")
    through_text.executescript(llama_bench_sql(report))
    [kept] = through_text.execute("SELECT model_type FROM llama_bench").fetchall()
    assert kept == (printable(f"{text}'); DROP TABLE llama_bench; --").replace("\n", " "),)
    [as_it_is] = stored(report, tmp_path).execute("SELECT model_type FROM llama_bench").fetchall()
    assert as_it_is == (f"{text}'); DROP TABLE llama_bench; --",)


@pytest.mark.parametrize("speed", [float("nan"), float("inf"), -1.0, 0.0, 5e-324, 1.7e308])
def test_a_launch_with_a_figure_that_is_no_speed_has_no_row(speed: float) -> None:
    launches = [launch({"tg_tps": [40.0, speed]}), launch({"tg_tps": [41.0]})]

    assert [row.speeds_tps for row in bench_rows(document(cell(launches=launches)))] == [(41.0,)]


def test_the_database_has_llama_benchs_columns_and_a_row_per_launch(tmp_path: Path) -> None:
    connection = stored(document(cell()), tmp_path)

    columns = connection.execute("SELECT name, type FROM pragma_table_info('llama_bench')").fetchall()
    assert columns == list(FIELDS.items())
    rows = connection.execute("SELECT n_gen, avg_ts, stddev_ts, avg_ns FROM llama_bench").fetchall()
    assert rows == [
        (128, 40.0, pytest.approx(2**0.5), round(128e9 * (1 / 39 + 1 / 41) / 2)),
        (128, 40.0, 0.0, 3_200_000_000),
    ]


def test_two_builds_join_where_every_setting_is_equal_also_one_that_neither_reports(tmp_path: Path) -> None:
    other = {**EVIDENCE, "build_commit": "1234567"}
    report = document(cell(reference_launches=[launch({"tg_tps": [20.0]}, evidence=other)]))
    equal = " AND ".join(f"b.{name} = c.{name}" for name in JOINED_ON)

    rows = stored(report, tmp_path).execute(
        f"SELECT AVG(b.avg_ts), AVG(c.avg_ts) FROM llama_bench b JOIN llama_bench c ON {equal} "
        "AND b.build_commit = '1234567' AND c.build_commit = 'abcdef0'"
    )

    assert rows.fetchall() == [(20.0, 40.0)]


@pytest.mark.skipif(
    not OTHERS_SCRIPT.is_file() or not all(map(find_spec, ("git", "tabulate"))),
    reason="needs llama.cpp's compare-llama-bench.py, which `make` puts into .venv (or THOR_COMPARE_LLAMA_BENCH=PATH)",
)
def test_llama_cpps_own_script_reads_it(tmp_path: Path) -> None:
    other = ENGINE.model_copy(update={"commit": "1234567"})
    evidence = {**EVIDENCE, "build_commit": "1234567"}
    reference = [launch({"tg_tps": [20.0]}, engine=other, evidence=evidence)]
    stored(document(cell(reference_launches=reference)), tmp_path).close()

    done = subprocess.run(
        [
            *(sys.executable, str(OTHERS_SCRIPT), "-b", "1234567", "-c", "abcdef0"),
            *("-i", "llama-bench.sqlite"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    [row] = [line for line in done.stdout.splitlines() if "tg128" in line]
    assert [value.strip() for value in row.strip("|").split("|")][-3:] == ["20.00", "40.00", "2.00"]
