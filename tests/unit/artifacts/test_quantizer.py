"""llama-quantize's own lines: its build and its steps, and no line that ends the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_thor.artifacts.quantizer import quantize


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        ("[   1/   4]", ["20 %"]),
        ("[ 1/ 4]\\n[ 4/ 4]", ["20 %", "100 %"]),
        ("[   0/   0]", []),
        ("[   7/   0]", []),
        ("[1/" + "9" * 400 + "]", []),
    ],
)
def test_a_step_is_told_where_it_is_one(printed: str, told: list[str], tmp_path: Path) -> None:
    program = tmp_path / "llama-quantize"
    program.write_text(f"#!/bin/sh\nprintf 'main: build = 7 (abc)\\n{printed}\\n'\n")
    program.chmod(0o755)
    said: list[str] = []

    build = quantize(tmp_path / "a", tmp_path / "b", "Q8_0", program=program, on_progress=said.append)

    assert build == "7 (abc)"
    assert said == [f"quantizing to Q8_0: {share}" for share in told]
