"""What every test of the project gets.

It stands here and not at the root, where a measurement is started too: that one must take the lock of the device.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# A property's examples may be slow on a machine that measures at the same time: no deadline, no flaky failure.
settings.register_profile("project", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("project")


@pytest.fixture(autouse=True)
def own_device_lock(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the tests' device lock apart from that of a measurement on this machine."""
    folder = tmp_path_factory.getbasetemp() / "locks"
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv("THOR_LOCK_DIR", str(folder))
    return folder
