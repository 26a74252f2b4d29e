"""What the tests of the examples share with those of the plugin, and the models that they need."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_thor.artifacts.synthetic import make_synthetic
from tests.plugin.conftest import outside_github_actions, project, tiny_model

__all__ = ["outside_github_actions", "project", "tiny_model", "tiny_models"]


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A tiny GGUF file of each quant; made before pytester runs, which would forget numpy."""
    cache = tmp_path_factory.mktemp("tiny")
    return {quant: make_synthetic("qwen3-tiny", quant, cache=cache) for quant in ("F16", "Q8_0", "Q4_0")}
