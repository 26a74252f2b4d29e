"""A stage for whole workflows, and an engine whose speed a test decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflows.stage import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)
