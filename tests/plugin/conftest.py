"""What the plugin's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_thor.artifacts.synthetic import make_synthetic
from tests.plugin.project import Project


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_synthetic("qwen3-tiny", "F16", cache=tmp_path_factory.mktemp("synthetic"))


@pytest.fixture
def project(pytester: pytest.Pytester, tiny_model: Path) -> Project:
    return Project(pytester, tiny_model)


@pytest.fixture(autouse=True)
def outside_github_actions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the runs inside the tests out of the summary of the job that runs the tests."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
