"""report.json read back, or refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.errors import ReportError
from pytest_thor.report.document import write
from pytest_thor.report.reading import parse, read
from tests.unit.report.report_documents import cell, document, judged, launch, regressed


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    report = document(cell(), regressed())
    write(report, tmp_path / "report.json")

    assert read(tmp_path / "report.json") == report
    assert read(tmp_path) == report


def test_a_report_without_cells_is_one(tmp_path: Path) -> None:
    write(document(), tmp_path / "report.json")
    assert read(tmp_path) == document()


def test_what_the_engine_really_said_survives_although_json_has_no_word_for_it(tmp_path: Path) -> None:
    report = document(cell(metrics={"tg_tps": judged(float("inf"))}))
    write(report, tmp_path / "report.json")

    assert read(tmp_path).cells[0].metrics["tg_tps"].value == float("inf")


@given(st.lists(st.floats(), max_size=3), st.text('[]\n\\",1 ', max_size=20))
def test_samples_stand_on_one_line_and_nothing_else_is_touched(
    tmp_path_factory: pytest.TempPathFactory, few: list[float], words: str
) -> None:
    many = [number / 7 for number in range(-20, 20)]
    report = document(cell(reason=words, launches=[launch({"itl_ms": many, "ttft_ms": few}, log_tail=words)]))
    path = tmp_path_factory.getbasetemp() / "many.json"
    write(report, path)

    assert f'"itl_ms": {json.dumps(many)}' in path.read_text()
    assert read(path).model_dump_json() == report.model_dump_json()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "not JSON"),
        ('{"schema": "pytest-thor/report/1", "cells": [', "the file may be cut short"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a report: expected an object"),
        ('{"machine_info": {}}', "not a report: expected an object"),
        ('{"schema": "pytest-thor/report/2", "new": 1}', "another version: 'pytest-thor/report/2'"),
        ('{"schema": "pytest-thor/baseline/1"}', "\"schema\" is 'pytest-thor/baseline/1'"),
        ('{"schema": 1}', "\"schema\" is '1'"),
        ('{"schema": "pytest-thor/report/1"}', "not a whole report: started_at: Field required"),
        (b"\xff\xfe{}", "not JSON"),
    ],
)
def test_what_is_no_report_of_this_version_is_refused_and_named(content: str | bytes, complaint: str) -> None:
    with pytest.raises(ReportError) as error:
        parse(content, source="some/report.json")

    assert str(error.value).startswith("some/report.json: ")
    assert complaint in str(error.value)
    assert len(str(error.value)) < 1000


def test_many_mistakes_are_told_in_one_line() -> None:
    content = json.loads(document(cell()).model_dump_json(by_alias=True))
    content["cells"][0] |= {"verdict": "splendid", **{f"more-{number}": 1 for number in range(19)}}

    with pytest.raises(ReportError, match=r"cells\.0\.verdict: .*; and 15 more"):
        parse(json.dumps(content), source="report.json")


def test_of_a_list_of_wrong_cells_the_first_is_told() -> None:
    content = json.loads(document(cell()).model_dump_json(by_alias=True))
    content["cells"] = [{**content["cells"][0], "verdict": "splendid"}] * 100

    with pytest.raises(ReportError, match=r"cells\.0\.verdict: [^;]*$"):
        parse(json.dumps(content), source="report.json")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"gone/report\.json: cannot read the report: No such file"):
        read(tmp_path / "gone" / "report.json")
