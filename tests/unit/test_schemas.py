"""The shipped JSON Schemas are those of the code."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from pytest_thor.schemas import schemas

MATRICES = sorted((Path(__file__).parents[2] / "matrices").glob("*.yaml"))


@pytest.mark.parametrize("path", schemas(), ids=lambda path: path.name)
def test_a_shipped_schema_is_current(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == schemas()[path], "run `make schemas`"


@pytest.mark.parametrize("matrix", MATRICES, ids=lambda path: path.name)
def test_an_editor_accepts_the_matrices_of_the_project(matrix: Path) -> None:
    [schema] = [text for path, text in schemas().items() if path.name == "matrix.schema.json"]
    jsonschema.Draft202012Validator(yaml.safe_load(schema)).validate(yaml.safe_load(matrix.read_text(encoding="utf-8")))
