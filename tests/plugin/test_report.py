"""report.json: what is in it, and that it is what its schema says."""

from __future__ import annotations

import json

import jsonschema

from pytest_thor.report.document import ReportDocument
from pytest_thor.schemas import schemas
from tests.plugin.project import FAST, PP64, SLOW_TG16, Project


def validate(project: Project) -> None:
    [schema] = [json.loads(text) for path, text in schemas().items() if path.name == "report.schema.json"]
    jsonschema.Draft202012Validator(schema).validate(project.report)
    ReportDocument.model_validate(project.report)


def test_every_kind_of_run_gives_a_report_that_its_schema_accepts(project: Project) -> None:
    project.run("--thor-update-baseline=missing")
    validate(project)
    project.run(script=SLOW_TG16)
    validate(project)
    project.run(script={**FAST, "fault": "killed", "after": 1})
    validate(project)
    project.model.unlink()
    project.run()
    validate(project)


def test_the_report_says_what_was_measured_where_and_with_what(project: Project) -> None:
    project.run("--thor-launches=2")

    report, cell = project.report, project.cell(PP64)
    assert report["schema"] == "pytest-thor/report/1"
    assert [matrix["name"] for matrix in report["matrix"]] == ["small"]
    assert report["summary"] == {
        "cells": 3,
        "verdicts": {"no-baseline": 3},
        "outcomes": {"passed": 3},
        "environment": None,
        "exit_status": 0,
        "policy": {"inconclusive": "warn", "invalid": "fail", "strict": False},
    }
    assert [engine["commit"] for engine in report["environment"]["engines"]] == ["abcdef0"]
    assert cell["parameters"] == {"n_depth": 0, "n_prompt": 64, "repetitions": 3}
    assert cell["location"].endswith("small.yaml:3")
    assert cell["artifact"]["size_bytes"] == project.model.stat().st_size
    assert [len(launch["samples"]["pp_tps"]) for launch in cell["launches"]] == [3, 3]
    assert cell["metrics"]["pp_tps"]["limit"] is None  # not known is null, never 0


def test_a_full_hash_is_taken_on_request(project: Project) -> None:
    project.run()
    assert project.cell(PP64)["artifact"]["sha256"] is None

    project.run("--thor-full-hash")

    assert len(project.cell(PP64)["artifact"]["sha256"]) == 64
