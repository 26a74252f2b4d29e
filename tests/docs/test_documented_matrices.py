"""Every matrix that README and docs show, and every section of one, is taken by the real loader and has cells."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from pytest_thor.collection import vocabulary
from pytest_thor.matrix import expand, load
from pytest_thor.request_trace import read_trace
from tests.docs.documented import Block, of_kind
from tests.docs.matrix_parts import completed

MISTAKEN = "tg_tsp"
"""A word in the example whose mistakes docs/matrix.md shows; tests/unit/matrix/test_matrix_docs.py has it."""
SHOWN = [block for block in of_kind("matrix") if MISTAKEN not in block.text]


def place(block: Block) -> str:
    return block.place


@pytest.mark.parametrize("block", SHOWN, ids=place)
def test_a_matrix_can_be_used(block: Block, tmp_path: Path) -> None:
    text = block.text if "name:" in block.text.split("models:")[0] else completed(block.text)
    (tmp_path / "matrix.yaml").write_text(text)
    for name in re.findall(r"text: ([\w./-]+)", text):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("Some words to be predicted. " * 5000)

    cells = expand(load(tmp_path / "matrix.yaml", vocabulary()))

    # Nothing that the example names is left out: each model, backend and workload of it is in a cell.
    named = yaml.safe_load(block.text)
    swept = {cell.workload.name.split("@c")[0] for cell in cells} | {cell.workload.name for cell in cells}
    assert set(named.get("models", ())) <= {cell.model.name for cell in cells}
    assert set(named.get("backends", ())) <= {cell.backend.name for cell in cells}
    assert set(named.get("workloads", ())) <= swept


def test_both_spellings_of_a_trace_are_read_as_the_same(tmp_path: Path) -> None:
    [block] = [block for block in of_kind("json") if "arrival_s" in block.text]
    (tmp_path / "trace.jsonl").write_text(block.text)
    first, second = read_trace(tmp_path / "trace.jsonl").requests
    assert first == second
    assert first.arrival_s == 0.0
