"""Keep LLM inference from getting slower: a matrix of cells becomes tests, measured and judged against baselines.

The public names are those that a project's own tests meet: the cell that a test is parametrized with, what it
measures, and the verdicts. Each is loaded when it is asked for, since every start of pytest imports this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_thor.cell import Cell
    from pytest_thor.errors import ThorError
    from pytest_thor.measurement import Launch
    from pytest_thor.verdict import Verdict
else:
    _MODULES = {"Cell": "cell", "Launch": "measurement", "ThorError": "errors", "Verdict": "verdict"}

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


__all__ = ["Cell", "Launch", "ThorError", "Verdict"]
