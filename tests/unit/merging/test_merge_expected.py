"""What ``--expect`` understands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.errors import ReportError
from pytest_thor.merging.expected import Expected, parse_expected

JOBS = json.dumps(
    {
        "include": [
            {"name": "1-of-2", "args": "-m x", "argv": ["-m", "x"], "cells": 3, "expected_s": None},
            {"name": "2-of-2", "args": "-m y", "argv": ["-m", "y"], "cells": 2, "expected_s": 12},
        ]
    }
)


def test_a_number_a_job_matrix_and_a_listing(tmp_path: Path) -> None:
    (tmp_path / "jobs.json").write_text(JOBS, encoding="utf-8")
    jobs = Expected(shards=2, names=("1-of-2", "2-of-2"), cells=5)

    assert parse_expected("4") == Expected(shards=4)
    assert parse_expected(JOBS) == jobs
    assert parse_expected(str(tmp_path / "jobs.json")) == jobs
    assert parse_expected('[{"id": "a-b", "matrix": "m", "line": 3}]') == Expected(ids=(("m", "a-b"),))


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", '{"include": 3}', '{"include": [{}]}', "/nowhere/at/all.json"])
def test_anything_else_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ReportError, match="--thor-list=github"):
        parse_expected(text)


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
        "5 of 5 cells are in no report",
    ]
    assert jobs.missing(["left"], ())[0] == "1 of 2 shards left no report"
