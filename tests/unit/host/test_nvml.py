"""NVML, as a library that supports some things and not others."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_thor.host import nvml
from tests.unit.host.card import FULL, Card


def readings(source: nvml.NvmlSource) -> dict[str, float]:
    return {f"{c.group}.{c.name}": v for c, v in zip(source.channels, source.read(), strict=True)}


def test_everything_that_a_large_gpu_tells() -> None:
    [source] = nvml.sources(Card(FULL))

    assert readings(source) == {
        "power_w.gpu0": 350.0,
        "energy_j.gpu0": 9000.0,
        "clock_hz.gpu0": 1980e6,
        "clock_hz.gpu0 memory": 3201e6,
        "throttle.gpu0 thermal": 1.0,
        "throttle.gpu0 power brake": 0.0,
        "throttle.gpu0 hardware slowdown": 0.0,
        "throttle.gpu0 power cap": 1.0,
        "temperature_c.gpu0": 55,
        "memory_bytes.gpu0 used": 2**30,
        "busy.gpu0": 0.97,
    }
    assert source.trouble() is None


def test_what_is_not_supported_is_no_channel_and_told() -> None:
    [source] = nvml.sources(Card({"nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=3, memory=0)}))

    assert readings(source) == {"busy.gpu0": 0.03}
    assert "power_w.gpu0: NVML: Not Supported" in str(source.trouble())


def test_what_fails_later_is_missing() -> None:
    card = Card(dict(FULL))
    [source] = nvml.sources(card)
    del card.facts["nvmlDeviceGetPowerUsage"]

    found = readings(source)

    assert math.isnan(found["power_w.gpu0"])
    assert found["temperature_c.gpu0"] == 55


def test_only_the_gpus_that_are_asked_for_are_sources() -> None:
    assert [source.channels[0].name for source in nvml.sources(Card(FULL), (0, 3))] == ["gpu0"]
    assert nvml.sources(Card(FULL), (1,)) == []
    assert nvml.sources(Card(FULL), ()) == []


def test_a_gpu_that_tells_nothing_is_no_source() -> None:
    assert nvml.sources(Card()) == []


def test_who_computes_on_it() -> None:
    assert nvml.gpu_processes(Card(FULL)) == (nvml.GpuProcess(gpu=0, pid=42, memory_bytes=None),)
    assert nvml.gpu_processes(Card()) == ()


def test_without_a_driver_there_is_no_library(tmp_path: Path) -> None:
    assert nvml.open_library(tmp_path) is None


def test_the_masks_are_those_of_nvidias_binding() -> None:
    pynvml = pytest.importorskip("pynvml")

    assert pynvml.nvmlClocksEventReasonSwThermalSlowdown | pynvml.nvmlClocksEventReasonHwThermalSlowdown == 0x60
    assert dict(nvml._REASONS) == {
        "thermal": 0x60,
        "power brake": pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown,
        "hardware slowdown": pynvml.nvmlClocksEventReasonHwSlowdown,
        "power cap": pynvml.nvmlClocksEventReasonSwPowerCap,
    }
