"""The JSON Schemas that ship with the package: ``python -m pytest_thor.schemas`` writes them from the code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pytest_thor.collection import vocabulary
from pytest_thor.files import atomic_write_text
from pytest_thor.matrix.schema import schema_text as matrix_schema
from pytest_thor.report.document import schema_text as report_schema

PACKAGE = Path(__file__).parent


def schemas() -> Mapping[Path, str]:
    """Return the text of each schema file by its path in the package."""
    return {
        PACKAGE / "matrix" / "matrix.schema.json": matrix_schema(vocabulary()),
        PACKAGE / "report" / "report.schema.json": report_schema(),
    }


if __name__ == "__main__":
    for path, text in schemas().items():
        atomic_write_text(path, text)
