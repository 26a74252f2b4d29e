"""report.json read back, or refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_thor.errors import ReportError
from pytest_thor.report.document import write
from pytest_thor.report.reading import parse, read
from tests.unit.report.report_documents import cell, document, judged, regressed


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    report = document(cell(), regressed())
    write(report, tmp_path / "report.json")

    assert read(tmp_path / "report.json") == report
    assert read(tmp_path) == report


def test_what_the_engine_really_said_survives_although_json_has_no_word_for_it(tmp_path: Path) -> None:
    report = document(cell(metrics={"tg_tps": judged(float("inf"))}))
    write(report, tmp_path / "report.json")

    assert read(tmp_path).cells[0].metrics["tg_tps"].value == float("inf")


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
    content = json.loads(document(*[cell() for _ in range(20)]).model_dump_json(by_alias=True))
    for entry in content["cells"]:
        entry["verdict"] = "splendid"

    with pytest.raises(ReportError, match=r"cells\.0\.verdict: .*; and 15 more"):
        parse(json.dumps(content), source="report.json")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"gone/report\.json: cannot read the report: No such file"):
        read(tmp_path / "gone" / "report.json")
