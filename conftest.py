"""What every test of the project gets."""

from __future__ import annotations

from hypothesis import settings

# pytester forgets what a run inside this process imported; C extensions such as PyYAML's cannot be imported twice.
import pytest_thor.matrix.loader
import pytest_thor.measuring
import pytest_thor.run  # noqa: F401

pytest_plugins = ["pytester"]

# A property's examples may be slow on a machine that measures at the same time: no deadline, no flaky failure.
settings.register_profile("project", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("project")
