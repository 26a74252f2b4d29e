"""The table of engines: each row is what it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel

from pytest_thor.engines import ENGINES, SERVING_ENGINES
from pytest_thor.engines.llama_cpp_python import LlamaCppPython
from pytest_thor.errors import EngineMissing

if TYPE_CHECKING:
    from tests.unit.engines.conftest import MakeCell


@pytest.mark.parametrize("name", ENGINES)
def test_a_row_bears_its_engines_name_and_settings(name: str) -> None:
    traits = ENGINES[name].traits
    assert traits.name == name
    assert traits.formats
    assert traits.kinds
    assert issubclass(traits.settings, BaseModel)
    required = {"url": "http://127.0.0.1:8000"} if name == "openai" else {}
    assert traits.settings.model_validate(required).model_dump(exclude_defaults=True) == required


@pytest.mark.parametrize("name", SERVING_ENGINES)
def test_a_serving_engine_measures_loads_and_nothing_else(name: str, make_cell: MakeCell) -> None:
    assert ENGINES[name] is SERVING_ENGINES[name]
    assert SERVING_ENGINES[name].traits.kinds == {"serving"}
    cells = [make_cell("decode", 8), make_cell("decode", 9)]
    assert SERVING_ENGINES[name]().batches(cells) == [tuple(cells)]
    assert SERVING_ENGINES[name]().batches([]) == []


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_setting_that_the_bindings_cannot_carry_is_named(tmp_path: Path, make_cell: MakeCell) -> None:
    identity = '{"version": "0.1", "llama_version": null, "build_commit": null, "system_info": "", "settings": []}'
    engine = LlamaCppPython(script(tmp_path / "python", f"echo '{identity}'"))
    with pytest.raises(EngineMissing, match=r"llama-cpp-python 0\.1 .* cannot carry the setting poll, threads"):
        engine.launch([make_cell("decode", 8, settings={"threads": 2, "poll": 0})], Path("x"), print)


def test_one_worker_takes_any_mix_of_depths_and_repetitions(make_cell: MakeCell) -> None:
    cells = [make_cell("decode", 8), make_cell("prefill", 8, n_depth=64), make_cell("decode", 8, repetitions=9)]
    assert LlamaCppPython().batches(cells) == [tuple(cells)]
    assert LlamaCppPython().batches([]) == []
