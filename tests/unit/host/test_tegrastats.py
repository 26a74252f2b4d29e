"""The lines of tegrastats, of both releases and of none."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.host import tegrastats
from pytest_thor.host.tegrastats import TegrastatsSource, parse
from tests.unit.host.trees import GOLDEN


def named(line: str) -> dict[str, float]:
    return {f"{channel.group}.{channel.name}": value for channel, value in parse(line).items()}


def golden(release: str) -> str:
    return (GOLDEN / f"tegrastats-{release}.txt").read_text(encoding="utf-8")


def test_a_line_of_r38() -> None:
    found = named(golden("r38"))

    assert found["memory_bytes.available"] == (125772 - 105265) * 2**20
    assert found["memory_bytes.swap_used"] == 0
    assert found["clock_hz.gpu"] == 314e6
    assert found["clock_hz.memory"] == 2750e6
    assert found["busy.memory"] == 0
    assert found["busy.cpu"] == pytest.approx(13 / 3 / 100)
    assert found["temperature_c.tj"] == 38.875
    assert found["power_w.VIN"] == 19.78
    assert found["power_w.VDD_CPU_SOC_MSS"] == 5.887
    assert "busy.gpu" not in found


def test_a_line_of_r39() -> None:
    found = named(golden("r39"))

    assert found["busy.gpu"] == 0.87
    assert found["clock_hz.gpu"] == 1574e6
    assert found["temperature_c.cpu"] == 51.2
    assert found["power_w.VDD_GPU"] == 42.0
    assert "temperature_c.gpu" not in found  # the sensor's block was powered down
    assert "memory_bytes.swap_used" not in found


@pytest.mark.parametrize("line", ["", "tegrastats: not found", "RAM ?/?MB CPU [] EMC_FREQ @ GR3D_FREQ off"])
def test_a_line_of_something_else_tells_nothing(line: str) -> None:
    assert named(line) == {}


@given(st.text(alphabet="RAMCPUGRED3_FQ VIN0123456789@%[],/.-mWMBoff\n"))
def test_no_line_breaks_it(line: str) -> None:
    assert all(math.isfinite(value) for value in parse(line).values())


def test_a_running_tegrastats_is_read_without_waiting(tmp_path: Path) -> None:
    program = tmp_path / "tegrastats"
    program.write_text(f"#!/bin/sh\ncat {GOLDEN}/tegrastats-r39.txt\nexec sleep 60\n")
    program.chmod(0o755)
    source = TegrastatsSource(str(program))

    found = dict(zip([f"{channel.group}.{channel.name}" for channel in source.channels], source.read(), strict=True))
    assert source.trouble() is None
    source.close()

    assert found["power_w.VIN"] == 88.78
    assert "exit status" in str(source.trouble())


def test_one_that_ended_is_missing(tmp_path: Path) -> None:
    program = tmp_path / "tegrastats"
    program.write_text(f"#!/bin/sh\ncat {GOLDEN}/tegrastats-r38.txt\n")
    program.chmod(0o755)
    source = TegrastatsSource(str(program))
    source._process.wait()

    assert all(math.isnan(value) for value in source.read())
    source.close()


def test_where_there_is_none_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(FileNotFoundError, match="no tegrastats"):
        TegrastatsSource()


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "script",
    ["exec sleep 60", "exec yes tegrastats", "exec yes '' ", "printf 'RAM 1/'; exec sleep 60", "exec cat /dev/zero"],
)
def test_one_that_is_silent_or_floods_without_a_word_is_given_up(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tegrastats, "_PATIENCE_S", 0.3)
    program = tmp_path / "tegrastats"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    source = TegrastatsSource(str(program))

    assert (source.channels, list(source.read())) == ((), [])
    assert source.trouble() == "tegrastats wrote no line that tells anything"
    source.close()
    assert len(source._begun) <= tegrastats._LONGEST_LINE


def test_the_last_whole_line_of_a_flood_is_read(tmp_path: Path) -> None:
    program = tmp_path / "tegrastats"
    program.write_text("#!/bin/sh\nexec yes 'RAM 1000/4000MB'\n")
    program.chmod(0o755)
    source = TegrastatsSource(str(program))

    readings = [list(source.read()) for _ in range(100)]
    source.close()

    assert readings == [[3000 * 2.0**20]] * 100
