"""Under pytest-xdist, the cells of one device go to one worker; every other test goes wherever there is room."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

_SCOPE = "thor device"


class DeviceScheduling(LoadScopeScheduling):
    """Load scheduling whose scope is the device that a test measures."""

    def __init__(self, config: pytest.Config, log: Producer, cell_ids: Collection[str]) -> None:
        super().__init__(config, log)
        self._cell_ids = frozenset(cell_ids)

    def _split_scope(self, nodeid: str) -> str:
        return _SCOPE if measures_a_cell(nodeid, self._cell_ids) else nodeid


def measures_a_cell(nodeid: str, cell_ids: Collection[str]) -> bool:
    """Tell from a node id whether its parameters contain a cell; other parameters may stand around it."""
    _, bracket, parameters = nodeid.removesuffix("]").partition("[")
    if not bracket:
        return False
    _, _, parameters = parameters.rpartition("/")  # the matrix's name, where a test sees several
    return parameters in cell_ids or any(f"-{cell_id}-" in f"-{parameters}-" for cell_id in cell_ids)
