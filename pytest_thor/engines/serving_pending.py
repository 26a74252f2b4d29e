"""What the serving engines answer while serving is not measured."""

from __future__ import annotations

from typing import NoReturn

from pytest_thor.errors import EngineMissing


def refuse(engine: str) -> NoReturn:
    """Say that cells of this engine are declared, and not measured by this version.

    Raises:
        EngineMissing: always.
    """
    raise EngineMissing(
        f"{engine}: serving workloads are not measured by this version of pytest-thor; its cells are listed and skipped"
    )
