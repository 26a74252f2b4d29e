"""Keep LLM inference from getting slower: a matrix of cells becomes tests, measured and judged against baselines.

The public names are those that a project's own tests meet: the cell that a test is parametrized with, what it
measures, and the verdicts. Importing this package loads nothing else.
"""

from __future__ import annotations

from pytest_thor.cell import Cell
from pytest_thor.errors import ThorError
from pytest_thor.measurement import Launch
from pytest_thor.verdict import Verdict

__all__ = ["Cell", "Launch", "ThorError", "Verdict"]
