"""Every reader of data from outside, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tests.fuzz import artifacts, engines, host, matrices, published, serving, stored
from tests.fuzz.target import Target

_ROOMS = (matrices, artifacts, engines, serving, host, stored, published)
TARGETS: Mapping[str, Target] = MappingProxyType({target.name: target for room in _ROOMS for target in room.TARGETS})
