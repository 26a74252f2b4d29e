"""The matrix file's JSON Schema, for editors: from the same definitions as the loader's."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from pytest_thor.matrix.document import Document
from pytest_thor.matrix.vocabulary import Vocabulary
from pytest_thor.measurement import SUMMARIES

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MODE: JsonSchemaMode = "validation"


def json_schema(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a matrix file.

    Each engine's settings are checked by the schema of its own settings class; architectures and metrics are
    those of the vocabulary. What the schema cannot say (templates, patterns, cells that make no sense) is the
    loader's.
    """
    classes: list[type[BaseModel]] = [
        Document,
        *dict.fromkeys(vocabulary.engines[name].settings for name in sorted(vocabulary.engines)),
    ]
    references, whole = models_json_schema([(model, _MODE) for model in classes])
    definitions: dict[str, Any] = whole["$defs"]
    document = definitions.pop(references[Document, _MODE]["$ref"].rpartition("/")[2])
    _name_engines(definitions["BackendEntry"], vocabulary, references)
    for key in ("architecture", "synthetic"):
        _name_architectures(definitions["ModelEntry"]["properties"][key], vocabulary)
    for holder in (document, definitions["OverrideEntry"]):
        holder["properties"]["thresholds"]["propertyNames"] = {"enum": _metric_names(vocabulary)}
    for key in document["properties"]:
        document["properties"][key].pop("default", None)
    for section in ("ModelEntry", "Quality", "Serving", "Slo", "Sweep"):
        for schema in definitions[section]["properties"].values():
            _refuse_null(schema)
    for schema in (document, *definitions.values()):
        _tidy(schema)
    return {
        "$schema": _DIALECT,
        **document,
        "title": "pytest-thor matrix",
        "$defs": dict(sorted(definitions.items())),
    }


def schema_text(vocabulary: Vocabulary) -> str:
    """Return ``json_schema`` as the text of the shipped file, ``matrix.schema.json``."""
    return json.dumps(json_schema(vocabulary), indent=2, ensure_ascii=False) + "\n"


def _name_engines(backend: dict[str, Any], vocabulary: Vocabulary, references: Any) -> None:  # noqa: ANN401
    names = sorted(vocabulary.engines)
    backend["properties"]["engine"]["enum"] = names
    backend["properties"]["settings"].pop("additionalProperties", None)
    backend["allOf"] = [
        {
            "if": {"properties": {"engine": {"const": name}}, "required": ["engine"]},
            "then": {"properties": {"settings": references[vocabulary.engines[name].settings, _MODE]}},
        }
        for name in names
    ]


def _name_architectures(schema: dict[str, Any], vocabulary: Vocabulary) -> None:
    for branch in schema["anyOf"]:
        if branch.get("type") == "string":
            branch["enum"] = sorted(vocabulary.architectures)


def _refuse_null(schema: dict[str, Any]) -> None:
    """Take the null out of an optional key: it is left out, not null."""
    branches = [branch for branch in schema.get("anyOf", ()) if branch.get("type") != "null"]
    if len(branches) == 1 and len(schema["anyOf"]) == 2:
        del schema["anyOf"], schema["default"]
        schema.update(branches[0])


def _tidy(schema: Any) -> None:  # noqa: ANN401 - any JSON
    """Allow no names but good ones, drop the titles that pydantic makes out of keys, and take ``on`` as text or true.

    Validators read YAML 1.1 or 1.2; to the former an unquoted ``on`` is a boolean.
    """
    if isinstance(schema, list):
        for item in schema:
            _tidy(item)
    elif isinstance(schema, dict):
        if isinstance(schema.get("title"), str):
            del schema["title"]
        if {"on", "off"} <= set(_texts(schema.get("enum"))):
            schema["enum"] = [*schema["enum"], True, False]
            schema.pop("type", None)
        if "patternProperties" in schema:
            schema["additionalProperties"] = False
        for value in schema.values():
            _tidy(value)


def _texts(values: Any) -> list[str]:  # noqa: ANN401 - any JSON
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []


def _metric_names(vocabulary: Vocabulary) -> list[str]:
    latencies = [name for name, metric in vocabulary.metrics.items() if metric.unit == "ms"]
    return sorted([*vocabulary.metrics, *(f"{name}.{summary}" for name in latencies for summary in SUMMARIES)])
