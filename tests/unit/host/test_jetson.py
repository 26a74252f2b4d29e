"""A Jetson's own sensors, read from recorded trees of both releases."""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path

import pytest

from pytest_thor.host import cpu, jetson
from pytest_thor.host.sensor_file import FileSource
from pytest_thor.host.source import Source
from tests.unit.host.trees import RELEASES, plant, write

ZONE = "sys/class/thermal/thermal_zone1/temp"


def readings(*sources: Source) -> dict[str, float]:
    found: dict[str, float] = {}
    for source in sources:
        values = source.read()
        found |= {f"{c.group}.{c.name}": v for c, v in zip(source.channels, values, strict=True)}
        source.close()
    return found


@pytest.mark.parametrize("release", RELEASES)
def test_power_rails_are_found_by_name_whatever_their_number(tmp_path: Path, release: str) -> None:
    power = readings(FileSource(jetson.power_rails(plant(release, tmp_path))))

    assert power == pytest.approx(
        {
            "power_w.VDD_GPU": 9.81 * 0.2,
            "power_w.VDD_CPU_SOC_MSS": 9.812 * 0.6,
            "power_w.VIN_SYS_5V0": 4.9 * 1.15,
            "power_w.VIN": 19.78,
        }
    )


@pytest.mark.parametrize("release", RELEASES)
def test_temperatures_throttling_and_clocks(tmp_path: Path, release: str) -> None:
    root = plant(release, tmp_path)

    found = readings(*jetson.sources(root), *cpu.sources(root))

    assert found["temperature_c.cpu"] == pytest.approx(37.343)
    assert found["temperature_c.tj"] == pytest.approx(38.875)
    assert found["throttle.gpu-throttle-alert"] == 0
    assert found["throttle_events.oc3"] == 179
    assert found["clock_hz.cpu0"] == 2.601e9
    assert not any("fan" in name for name in found)


def test_a_clock_that_a_release_does_not_show_is_no_channel(tmp_path: Path) -> None:
    older, newer = (plant(release, tmp_path / release) for release in RELEASES)

    assert readings(*jetson.sources(older))["clock_hz.memory"] == 4.266e9
    assert "clock_hz.memory" not in readings(*jetson.sources(newer))


def test_orins_gpu_clock_has_another_name(tmp_path: Path) -> None:
    write(tmp_path, "sys/class/devfreq/17000000.gpu/cur_freq", "918000000\n")
    write(tmp_path, "sys/class/devfreq/15340000.vic/cur_freq", "1\n")

    assert readings(*jetson.sources(tmp_path)) == {"clock_hz.gpu": 918e6}


def test_a_busy_sensor_is_missing_this_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [source] = [FileSource(cpu.temperatures(plant("thor-r38.4", tmp_path)))]

    def busy(*_: int) -> bytes:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", busy)
        assert all(math.isnan(value) for value in source.read())
    assert source.trouble() is None
    assert not any(math.isnan(value) for value in source.read())
    source.close()


def test_a_sensor_whose_driver_goes_away_is_missing_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = FileSource(cpu.temperatures(plant("thor-r38.4", tmp_path)))

    def gone(*_: int) -> bytes:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    monkeypatch.setattr(os, "pread", gone)

    assert all(math.isnan(value) for value in source.read())
    assert "temperature_c.gpu: No such device" in str(source.trouble())
    source.close()


def test_a_file_that_vanishes_before_it_is_opened_is_missing(tmp_path: Path) -> None:
    root = plant("thor-r38.4", tmp_path)
    (root / ZONE).unlink()

    source = FileSource(cpu.temperatures(root))

    found = dict(zip([channel.name for channel in source.channels], source.read(), strict=True))
    assert math.isnan(found["gpu"])
    assert found["cpu"] == pytest.approx(37.343)
    assert "temperature_c.gpu: No such file" in str(source.trouble())
    source.close()


@pytest.mark.parametrize("content", ["", "off\n", "-\n", "1e400x\n"])
def test_what_is_no_number_is_missing_never_zero(tmp_path: Path, content: str) -> None:
    root = plant("thor-r38.4", tmp_path)
    write(root, ZONE, content)

    assert math.isnan(readings(FileSource(cpu.temperatures(root)))["temperature_c.gpu"])


def test_another_machine_has_none_of_it(tmp_path: Path) -> None:
    assert jetson.sources(tmp_path) == []
    assert cpu.sources(tmp_path) == []


def test_clocks_of_very_many_cpus_are_read_from_some_spread_over_all(tmp_path: Path) -> None:
    for number in range(192):
        write(tmp_path, f"sys/devices/system/cpu/cpufreq/policy{number}/scaling_cur_freq", "2000000\n")

    found = readings(*cpu.sources(tmp_path))

    assert len(found) == 16
    assert {"clock_hz.cpu0", "clock_hz.cpu180"} <= found.keys()
