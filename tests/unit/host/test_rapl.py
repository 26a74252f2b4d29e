"""The processor's own energy counters."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from pytest_thor.host import rapl
from tests.unit.host.trees import write

ZONE = "sys/class/powercap/intel-rapl:0"


def package(root: Path, energy_uj: str) -> Path:
    write(root, f"{ZONE}/name", "package-0\n")
    write(root, f"{ZONE}/max_energy_range_uj", "1000000\n")
    write(root, f"{ZONE}/energy_uj", energy_uj)
    return root


def test_a_counter_that_begins_anew_only_grows(tmp_path: Path) -> None:
    [source] = rapl.sources(package(tmp_path, "900000\n"))

    first = source.read()
    write(tmp_path, f"{ZONE}/energy_uj", "100000\n")
    second = source.read()
    source.close()

    assert second[0] - first[0] == pytest.approx(0.2)


def test_parts_of_a_package_are_named_after_it(tmp_path: Path) -> None:
    root = package(tmp_path, "1\n")
    write(root, "sys/class/powercap/intel-rapl:0:1/name", "dram\n")
    write(root, "sys/class/powercap/intel-rapl:0:1/energy_uj", "5000000\n")

    [source] = rapl.sources(root)

    assert [channel.name for channel in source.channels] == ["cpu package-0", "cpu package-0 dram"]
    assert source.read()[1] == pytest.approx(5.0)
    source.close()


def test_a_counter_that_cannot_be_opened_is_missing_and_told(tmp_path: Path) -> None:
    root = package(tmp_path, "1\n")
    (root / ZONE / "energy_uj").unlink()

    [source] = rapl.sources(root)

    assert math.isnan(source.read()[0])
    assert "energy_j.cpu package-0: No such file" in str(source.trouble())


def test_most_machines_have_none(tmp_path: Path) -> None:
    assert rapl.sources(tmp_path) == []
