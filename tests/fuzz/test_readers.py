"""Whatever a reader is given, it comes to an end, and only the errors that it declares come out of it.

A failure prints what was read; put it beside the seeds of its target once it is mended. ``benchmarks/fuzz_readers.py``
drives the same targets for as long as one likes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutation import damaged
from tests.fuzz.targets import TARGETS

EXAMPLES = 30


@pytest.mark.parametrize("name", TARGETS)
def test_a_sound_content_is_read(name: str, tmp_path: Path) -> None:
    for number, seed in enumerate(TARGETS[name].seeds):
        folder = tmp_path / str(number)
        folder.mkdir()
        TARGETS[name].read(seed, folder)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_damaged_content_is_read_or_refused(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    content = data.draw(damaged(target.seeds))
    with tempfile.TemporaryDirectory() as folder:
        target.read(content, Path(folder))
