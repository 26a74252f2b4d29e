"""The matrix: a YAML file becomes the cells that are measured.

``load`` reads and checks the file, ``expand`` forms its cells. Importing this package is cheap: pydantic and
YAML are loaded when ``load`` or ``json_schema`` is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_thor.matrix.declared import Matrix
from pytest_thor.matrix.expand import expand
from pytest_thor.matrix.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pytest_thor.matrix.loader import load
    from pytest_thor.matrix.schema import json_schema, schema_text

__all__ = ["Matrix", "Vocabulary", "expand", "json_schema", "load", "schema_text"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module's attributes are of any type
    if name == "load":
        from pytest_thor.matrix.loader import load

        return load
    if name in {"json_schema", "schema_text"}:
        from pytest_thor.matrix import schema

        return getattr(schema, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
