"""What the fault tests share: one repository with a baseline, and a seed that can be chosen."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from pytest_thor.artifacts.synthetic import make_synthetic
from tests.faults.scene import Scene


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_synthetic("qwen3-tiny", "F16", cache=tmp_path_factory.mktemp("synthetic"))


@pytest.fixture(scope="session")
def scene_with_baseline(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    scene = Scene(tmp_path_factory.mktemp("faults") / "scene", model)
    scene.store_baseline()
    return scene


@pytest.fixture
def scene(scene_with_baseline: Scene) -> Scene:
    """A repository in which nothing was measured yet; its engine starts helpers in sessions of their own."""
    scene_with_baseline.anew()
    scene_with_baseline.script(helper=True)
    return scene_with_baseline


@pytest.fixture
def random(request: pytest.FixtureRequest) -> Random:
    """Random points, the same in every run unless THOR_FAULT_SEED says otherwise."""
    seed = os.environ.get("THOR_FAULT_SEED", "1")
    print(f"THOR_FAULT_SEED={seed} python -m pytest '{request.node.nodeid}'")
    return Random(f"{seed} {request.node.name}")
