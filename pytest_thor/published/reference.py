"""A published reference: one document's results as a file, to be shown beside ours. It never gates."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import TypeAdapter, ValidationError

from pytest_thor import foreign_json
from pytest_thor.errors import PublishedError
from pytest_thor.files import atomic_write_text
from pytest_thor.foreign_file import read_plain
from pytest_thor.published.records import PublishedResult, Reading

SCHEMA: Literal["pytest-thor/published/1"] = "pytest-thor/published/1"
"""The version of the format. History: 1, the first."""

_ADAPTER = TypeAdapter(Reading)
_LARGEST_BYTES = 64 << 20
_ASKED = {
    "prefill": ("n_prompt", "n_depth"),
    "decode": ("n_gen", "n_depth"),
    "serving": ("input_len", "output_len", "max_concurrency", "num_prompts"),
}


def dump(reading: Reading) -> str:
    """Return a reading as JSON: its schema first, then what it comes from; what is missing is left out."""
    document = cast(dict[str, Any], _ADAPTER.dump_python(reading, mode="json"))
    for result in document["results"]:
        del result["source"]  # said once, above
    return json.dumps(_lean({"schema": SCHEMA, **document}), ensure_ascii=False, indent=1) + "\n"


def write(reading: Reading, path: Path) -> None:
    """Write a reference in one step.

    Raises:
        PublishedError: it cannot be written.
    """
    try:
        atomic_write_text(path, dump(reading))
    except OSError as error:
        raise PublishedError(f"{path}: cannot write it: {error.strerror}; give another --output") from error


def load(path: Path) -> Reading:
    """Read a reference back.

    Raises:
        PublishedError: it cannot be read, or is none.
    """
    try:
        document = foreign_json.parse(read_plain(path, at_most_bytes=_LARGEST_BYTES))
        found = document.pop("schema", None) if isinstance(document, dict) else None
        if found != SCHEMA:
            raise PublishedError(
                f"{path}: its schema is {repr(found)[:80]}, expected {SCHEMA!r}: make it with pytest-thor import"
            )
        document.setdefault("unread", [])
        for result in document.get("results", []):
            result["source"] = document["source"]["name"]
        reading = _ADAPTER.validate_python(document)
    except OSError as error:
        raise PublishedError(f"{path}: cannot read it: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise PublishedError(f"{path}: {where}: {first['msg']}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PublishedError(f"{path}: not a published reference: {error}") from error
    if not all(_is_finite(result) for result in reading.results):
        raise PublishedError(f"{path}: holds a figure that is no number (NaN or infinite): make it anew")
    return reading


def load_all(folder: Path) -> tuple[Reading, ...]:
    """Read every reference of a folder, by name; none where the folder is not there.

    Raises:
        PublishedError: one of them cannot be read.
    """
    return tuple(load(path) for path in sorted(folder.glob("*.json"))) if folder.is_dir() else ()


def beside(
    readings: Iterable[Reading], *, models: Iterable[str], quant: str, kind: str, parameters: Mapping[str, Any]
) -> tuple[PublishedResult, ...]:
    """Return the published results of one cell: the same model, quant and workload, on whatever device.

    ``models`` are the names that the cell's model goes by (its own and its architecture's). Every parameter of the
    workload that the result states must agree, and one that both leave open is no agreement on nothing: a result that
    states none of them is left out.
    """
    names = {_plain(name) for name in models}
    asked = _ASKED.get(kind, ())
    return tuple(
        result
        for reading in readings
        for result in reading.results
        if result.kind == kind
        and result.model is not None
        and _plain(result.model) in names
        and result.quant is not None
        and _plain(result.quant) == _plain(quant)
        and any(name in result.workload for name in asked)
        and all(result.workload[name] == parameters.get(name) for name in asked if name in result.workload)
    )


def _is_finite(result: PublishedResult) -> bool:
    figures = result.metrics.values()
    values = [value for figure in figures for value in (figure.value, figure.spread or 0.0, *figure.samples)]
    return all(map(math.isfinite, values))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _lean(value: Any) -> Any:  # noqa: ANN401 - JSON of any kind
    if isinstance(value, dict):
        return {key: _lean(each) for key, each in value.items() if each is not None and each not in ([], {}, ())}
    return [_lean(each) for each in value] if isinstance(value, list) else value
