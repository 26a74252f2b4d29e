"""What ``--expect`` understands, and what it notices: every cell that is missing, and every one of another run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.cell import Cell
from pytest_thor.errors import ReportError
from pytest_thor.merging.expected import Expected, ExpectedJob, parse_expected
from pytest_thor.report.document import CellRecord
from pytest_thor.sharding import deal, github_matrix
from tests.unit.comparison.compared_documents import measured
from tests.unit.test_sharding import LAUNCHES, roots, worlds

JOBS = json.dumps(
    {
        "include": [
            {"name": "1-of-2", "argv": ["-m", "thor_cell(model='x')or(thor_cell(model='y',quant='q'))"], "cells": 3},
            {"name": "2-of-2", "argv": ["-m", "thor_cell(matrix='m')"], "cells": 2},
        ]
    }
)


def record(cell: Cell) -> CellRecord:
    words: dict[str, Any] = {**cell.fields, "id": cell.id}
    return measured(**words)


def test_a_number_a_job_matrix_and_a_listing(tmp_path: Path) -> None:
    (tmp_path / "jobs.json").write_text(JOBS, encoding="utf-8")
    first = ExpectedJob(name="1-of-2", cells=3, words=({"model": "x"}, {"model": "y", "quant": "q"}))
    jobs = Expected(shards=2, jobs=(first, ExpectedJob(name="2-of-2", cells=2, words=({"matrix": "m"},))))

    assert parse_expected("4") == Expected(shards=4)
    assert parse_expected(JOBS) == jobs
    assert parse_expected(str(tmp_path / "jobs.json")) == jobs
    assert parse_expected('[{"id": "a-b", "matrix": "m", "line": 3}]') == Expected(ids=(("m", "a-b"),))


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", '{"include": 3}', '{"include": [{}]}', "/nowhere/at/all.json"])
def test_anything_else_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ReportError, match="--thor-list=github"):
        parse_expected(text)


@pytest.mark.parametrize(
    "argv",
    [
        ["-k", "thor_cell(model='x')"],
        ["-m", "x"],
        ["-m", "thor_cell()"],
        ["-m", "thor_cell(reason='x')"],
        ["-m", "thor_cell(model=__import__('os'))"],
        ["-m", "thor_cell(model='x')and(thor_cell(quant='q'))"],
        ["-m", "not"],
        ["-m", "thor_cell(model='x')()"],
        ["-m", "thor_cell" + "(model='x')" * 300_000],
        ["-m", "1" + "+1" * 300_000],
        ["-m", "thor_cell" + ".a" * 300_000],
        ["-m", "(" * 300_000],
        ["-m", "thor_cell(model='" + "x" * 300_000],
        ["-m"],
        [],
    ],
)
def test_a_job_whose_cells_cannot_be_told_is_refused(argv: list[str]) -> None:
    with pytest.raises(ReportError, match="--thor-list=github"):
        parse_expected(json.dumps({"include": [{"name": "a", "argv": argv, "cells": 1}]}))


@given(st.text(max_size=30))
def test_no_text_makes_it_crash(text: str) -> None:
    try:
        parse_expected(text)
    except ReportError:
        return
    assert text.strip()


def test_names_are_told_only_where_they_explain_what_is_missing() -> None:
    jobs = parse_expected(JOBS)

    assert jobs.missing(["thor-report-2-of-2"], ()) == [
        "1 of 2 shards left no report: no report of 1-of-2",
        "5 of 5 cells are in no report: 3 of 1-of-2, 2 of 2-of-2",
    ]
    assert jobs.missing(["left"], ())[0] == "1 of 2 shards left no report"


def test_the_report_of_another_run_does_not_make_up_for_a_missing_one() -> None:
    first, second, other = (measured(model=name) for name in ("first", "second", "other"))
    plan = {
        "include": [
            {"name": each.model, "argv": ["-m", f"thor_cell(model={each.model!r})"], "cells": 1}
            for each in (first, second)
        ]
    }

    assert parse_expected(json.dumps(plan)).missing(["first", "other"], [first, other]) == [
        "1 of 2 cells are in no report: 1 of second",
        f"the reports have 1 cell of another run: {other.id}",
    ]
    listed = [{"matrix": each.matrix, "id": each.id} for each in (first, second)]
    assert parse_expected(json.dumps(listed)).missing(["a", "b"], [first, other]) == [
        f"1 of 2 cells are in no report: {second.id}",
        f"the reports have 1 cell of another run: {other.id}",
    ]


@given(worlds(), st.none() | st.integers(1, 4), st.data())
def test_a_plan_misses_what_is_gone_and_nothing_else(
    world: tuple[list[Cell], list[Cell]], shards: int | None, data: st.DataObject
) -> None:
    everything, chosen = world
    jobs = deal(chosen, roots(everything), launches=LAUNCHES, shards=shards)
    expected = parse_expected(github_matrix(jobs, everything))
    names = [job.name for job in jobs]
    gone = set(data.draw(st.lists(st.sampled_from(chosen), unique=True))) if chosen else set()
    there = [record(cell) for cell in chosen if cell not in gone]

    told = expected.missing(names, there)
    assert [sentence.partition(":")[0] for sentence in told] == (
        [f"{len(gone)} of {len(chosen)} {'cell' if len(chosen) == 1 else 'cells'} are in no report"] if gone else []
    )
    strange = [cell for cell in everything if cell not in chosen]
    if chosen and strange:
        [*_, last] = expected.missing(names, [*there, record(strange[0])])
        assert last.startswith("the reports have 1 cell of another run: ")
