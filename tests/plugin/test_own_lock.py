"""A measurement started at the root of this project takes the lock that every session on the machine respects."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_root_conftest_leaves_the_device_lock_alone() -> None:
    tree = ast.parse((ROOT / "conftest.py").read_text(encoding="utf-8"))
    functions = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]

    assert functions == [], "a fixture at the root would also hold for `pytest --thor-matrix` there"
