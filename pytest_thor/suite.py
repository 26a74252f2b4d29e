"""The bundled tests: what a matrix file contains when pytest collects it."""

from __future__ import annotations

import pytest

from pytest_thor.fixtures import ThorRun


@pytest.mark.thor_cells(kind="prefill")
def test_prefill(thor_run: ThorRun) -> None:
    """The prompt is processed as fast as the baseline says."""
    thor_run.check()


@pytest.mark.thor_cells(kind="decode")
def test_decode(thor_run: ThorRun) -> None:
    """Tokens are generated as fast as the baseline says."""
    thor_run.check()


@pytest.mark.thor_cells(kind="serving")
def test_serving(thor_run: ThorRun) -> None:
    """Requests are served as fast as the baseline says."""
    thor_run.check()


@pytest.mark.thor_cells(kind="quality")
def test_quality(thor_run: ThorRun) -> None:
    """The text is predicted as well as the baseline says."""
    thor_run.check()
