"""Real engines, a model small enough for them to answer at once, and cells to measure it with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

from pytest_thor.artifacts.synthetic import make_synthetic
from pytest_thor.cell import Cell, Setting
from pytest_thor.engines.llama_bench import LlamaBench
from pytest_thor.engines.llama_cpp_python import LlamaCppPython
from tests.cells import SYNTHETIC, build_cell

MakeCell: TypeAlias = Callable[..., Cell]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_synthetic("qwen3-tiny", "F16", cache=tmp_path_factory.mktemp("synthetic"))


@pytest.fixture(scope="session")
def llama_bench() -> LlamaBench:
    """The real llama-bench; `make` installs it, so that its absence is an error and not a skip."""
    engine = LlamaBench()
    engine.identify()
    return engine


@pytest.fixture(scope="session")
def llama_cpp_python() -> LlamaCppPython:
    engine = LlamaCppPython()
    engine.identify()
    return engine


@pytest.fixture
def tiny_cell() -> MakeCell:
    def make(
        n_depth: int = 0, repetitions: int = 2, settings: Mapping[str, Setting] | None = None, **tokens: int
    ) -> Cell:
        """A cell of ``n_prompt=8`` or ``n_gen=4``."""
        parameters = {**tokens, "n_depth": n_depth, "repetitions": repetitions}
        return build_cell(
            "prefill" if "n_prompt" in tokens else "decode",
            parameters,
            workload="-".join(f"{name}{value}" for name, value in parameters.items()),
            artifact=SYNTHETIC,
            engine="any",
            settings=settings,
            timeout_s=120,
        )

    return make
