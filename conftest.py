"""What pytest must know before anything is collected.

A measurement at this project's root reads this file too, where nothing but the plugin is installed.
"""

from __future__ import annotations

# pytester forgets what a run inside this process imported; C extensions such as PyYAML's cannot be imported twice.
import pytest_thor.matrix.loader
import pytest_thor.measuring
import pytest_thor.run  # noqa: F401

pytest_plugins = ["pytester"]
