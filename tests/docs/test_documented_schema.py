"""docs/report-schema.md has every field of report.json, its example is one, and every format's version is told."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import jsonschema
import pytest
from pydantic import BaseModel

from pytest_thor.baseline import entry, history
from pytest_thor.report import document
from pytest_thor.report.document import MetricRecord, ReportDocument
from tests.docs.documented import ROOT, of_kind

PAGE = (ROOT / "docs" / "report-schema.md").read_text(encoding="utf-8")
RECORDS = [
    record
    for _, record in inspect.getmembers(document, inspect.isclass)
    if issubclass(record, BaseModel) and record.__module__ == document.__name__
]
INSIDE = {"pytest-thor/measured-limits/1"}
"""Versions of files that are nobody's but this machine's."""


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_every_field_of_a_record_is_explained(record: type[BaseModel]) -> None:
    names = [field.alias or name for name, field in record.model_fields.items()]
    assert [name for name in names if f"`{name}`" not in PAGE] == []


def test_every_field_that_is_explained_exists() -> None:
    known = {field.alias or name for record in RECORDS for name, field in record.model_fields.items()}
    first_columns = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", PAGE, re.MULTILINE)
    assert first_columns
    assert {name for column in first_columns for name in re.findall(r"`(\w+)`", column)} <= known


def test_the_example_is_a_metric_with_every_field() -> None:
    [block] = [block for block in of_kind("json") if block.page == "docs/report-schema.md"]
    [(_, example)] = json.loads(f"{{{block.text}}}").items()
    schema = json.loads((Path(document.__file__).parent / "report.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(example, {"$ref": "#/$defs/MetricRecord", "$defs": schema["$defs"]})
    assert set(example) == set(MetricRecord.model_fields)


def test_the_schema_is_where_the_page_says() -> None:
    [block] = [block for block in of_kind("python") if block.page == "docs/report-schema.md"]
    known: dict[str, dict[str, object]] = {}
    exec(block.text, known)
    assert set(known["schema"]["required"]) <= {  # type: ignore[call-overload]
        field.alias or name for name, field in ReportDocument.model_fields.items()
    }


def test_every_version_of_a_format_is_told() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "pytest_thor").rglob("*.py"))
    written = set(re.findall(r'"(pytest-thor/[a-z-]+/\d+)"', source)) - INSIDE
    written |= {entry.SCHEMA, f"{history.FAMILY}{history.VERSION}"}
    assert written == set(re.findall(r"`(pytest-thor/[a-z-]+/\d+)`", PAGE))
