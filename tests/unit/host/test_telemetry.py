"""The sampler, on recorded trees and on this machine."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_thor.host.part import Part
from pytest_thor.host.series import Series
from pytest_thor.host.source import MISSING, Channel, Source
from pytest_thor.host.telemetry import BUDGET, Sampler, local_sources
from pytest_thor.host.telemetry_summary import Telemetry, tables, total_energy
from tests.unit.host.trees import RELEASES, plant, write


class Steps:
    """A source that reads one value after another, and says when the last of them was read."""

    interval_s = 0.002

    def __init__(self, channel: Channel, values: Sequence[float]) -> None:
        self.channels: tuple[Channel, ...] = (channel,)
        self.over = threading.Event()
        self.closed = False
        self._values = list(values)

    def read(self) -> Sequence[float]:
        if len(self._values) == 1:
            self.over.set()
            return (self._values[0],)
        return (self._values.pop(0),)

    def trouble(self) -> str | None:
        return None

    def close(self) -> None:
        self.closed = True


def sampled(source: Steps, root: Path) -> dict[str, Any]:
    """Sample until every value was read; return the whole of it as JSON."""
    with Sampler([source], root=root, watch_processes=False) as sampler:
        start = time.monotonic()
        assert source.over.wait(30)
        telemetry = sampler.between(start, time.monotonic())
    return dict(json.loads(json.dumps(telemetry.to_json(), allow_nan=False)))


def test_power_is_summed_up_to_energy(tmp_path: Path) -> None:
    source = Steps(Channel(group="power_w", name="VIN"), [20.0] * 20)

    found = sampled(source, tmp_path)

    assert found["power_w"]["VIN"] == pytest.approx({"min": 20, "mean": 20, "max": 20})
    assert found["energy_j"]["VIN"] == pytest.approx(20 * found["duration_s"])
    assert found["total_energy"] == {"rails": ["VIN"], "j": found["energy_j"]["VIN"]}
    assert found["samples"] >= 18
    assert found["covered"] == 1
    assert source.closed


def test_what_was_missing_throughout_is_null_never_zero(tmp_path: Path) -> None:
    found = sampled(Steps(Channel(group="power_w", name="VIN"), [MISSING] * 5), tmp_path)

    assert found["power_w"] == {"VIN": None}
    assert found["energy_j"] == {"VIN": None}
    assert found["total_energy"] is None


@pytest.mark.parametrize("release", RELEASES)
def test_a_recorded_thor_is_read_whole(tmp_path: Path, release: str) -> None:
    root = plant(release, tmp_path)
    with Sampler(local_sources(root), root=root) as sampler:
        start = time.monotonic()
        telemetry = sampler.between(start, time.monotonic())

    assert set(telemetry.power_w) == {"VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0", "VIN"}
    assert telemetry.throttle["gpu-throttle-alert"] == {"share": 0, "max": 0}
    assert telemetry.throttle_events == {"oc1": 0, "oc2": 0, "oc3": 0}
    assert telemetry.temperature_c["tj"]["max"] == pytest.approx(38.875)
    assert telemetry.total_energy is not None
    assert telemetry.total_energy["rails"] == ["VIN"]
    assert telemetry.settings["gpu governor"] == "nvhost_podgov"
    assert telemetry.notes == ()


def test_a_setting_that_changes_is_named_with_both_values(tmp_path: Path) -> None:
    root = plant("thor-r38.4", tmp_path)
    with Sampler([], root=root) as sampler:
        start = time.monotonic()
        write(root, "var/lib/nvpmodel/status", "pmode:0003\n")
        sampler._read_due(everything=True)
        telemetry = sampler.between(start, time.monotonic())

    assert telemetry.settings_changed == {"nvpmodel": ("pmode:0000", "pmode:0003")}
    assert (telemetry.samples, telemetry.rate_hz) == (0, None)


def test_this_machine_while_it_runs() -> None:
    with Sampler(local_sources()) as sampler:
        start = time.monotonic()
        while time.monotonic() < start + 0.05:
            pass
        telemetry = sampler.between(start, time.monotonic())

    assert telemetry.covered == 1
    assert telemetry.memory_bytes["available"]["mean"] > 0
    assert telemetry.cpu["ours_cores"] > 0
    assert telemetry.started_at.startswith("20")


@pytest.mark.parametrize("windows", [[], [(2.0, 1.0)]])
def test_no_window_is_an_error(windows: list[tuple[float, float]]) -> None:
    with Sampler([]) as sampler, pytest.raises(ValueError, match="no windows"):
        sampler.over(windows)


class Dear(Steps):
    """A source whose reading costs 5 ms of processor time."""

    def read(self) -> Sequence[float]:
        begin = time.thread_time()
        while time.thread_time() - begin < 0.005:
            pass
        return super().read()


def test_a_dear_source_is_read_less_often(tmp_path: Path) -> None:
    source = Dear(Channel(group="load", name="x"), [1.0] * 4)
    with Sampler([source], root=tmp_path, watch_processes=False) as sampler:
        sampler._read_due(everything=True)
        assert sampler._series[0].interval_s >= 0.005 / BUDGET  # and readings so far apart are still joined


def test_energy_needs_readings_of_most_of_the_window() -> None:
    series = Series([Channel(group="power_w", name="gpu0")], interval_s=1.0)
    series.add(0.0, [10.0])
    series.add(8.0, [10.0])

    half = tables([series], [(0.0, 16.0)])
    nearly = tables([series], [(0.0, 8.5)])

    assert half["energy_j"]["gpu0"] is None
    assert half["power_w"]["gpu0"]["mean"] == pytest.approx(10)
    assert nearly["energy_j"]["gpu0"] == pytest.approx(85)


def test_energy_that_the_device_counts_goes_before_the_integral() -> None:
    power = Series([Channel(group="power_w", name="gpu0")], interval_s=1.0)
    energy = Series([Channel(group="energy_j", name="gpu0", kind="counter")], interval_s=1.0)
    for time_s in (0.0, 1.0):
        power.add(time_s, [10.0])
        energy.add(time_s, [100 + 12 * time_s])

    assert tables([power, energy], [(0.0, 1.0)])["energy_j"]["gpu0"] == pytest.approx(12)
    assert tables([energy, power], [(0.0, 1.0)])["energy_j"]["gpu0"] == pytest.approx(12)


@pytest.mark.parametrize(
    ("energy_j", "rails"),
    [
        ({"VIN": 9.0, "VDD_GPU": 4.0, "gpu0": 4.0}, ["VIN"]),
        ({"gpu0": 4.0, "gpu1": 5.0, "cpu package-0": 1.0}, ["gpu0", "gpu1"]),
        (
            {"cpu package-0": 1.0, "cpu package-0 core": 0.5, "cpu package-0 dram": 0.2},
            ["cpu package-0", "cpu package-0 dram"],
        ),
        ({"VDD_GPU": 4.0}, None),
        ({"VIN": None}, None),
    ],
)
def test_a_device_is_fed_through_rails_that_count_nothing_twice(
    energy_j: dict[str, float | None], rails: list[str] | None
) -> None:
    found = total_energy(energy_j)

    assert (found["rails"] if found else None) == rails


@pytest.mark.parametrize(
    ("part", "rails"),
    [
        (None, ["VIN"]),
        (Part(gpus=(1,)), ["gpu1"]),
        (Part(gpus=(0, 1), cpus=(0,)), ["gpu0", "gpu1"]),
        (Part(cpus=(0,)), None),
    ],
)
def test_what_feeds_others_too_is_no_energy_of_a_part(part: Part | None, rails: list[str] | None) -> None:
    energy_j = {"VIN": 90.0, "gpu0": 40.0, "gpu1": 30.0, "cpu package-0": 10.0}

    found = total_energy(Sampler([], part=part)._own_rails(energy_j))

    assert (found["rails"] if found else None) == rails


@pytest.mark.parametrize(
    ("duration_s", "total", "tokens", "expected"),
    [
        (2.0, {"rails": ["VIN"], "j": 60.0}, 120, 0.5),
        (0.2, {"rails": ["VIN"], "j": 60.0}, 120, None),
        (2.0, None, 120, None),
        (2.0, {"rails": ["VIN"], "j": 60.0}, 0, None),
    ],
)
def test_energy_per_token_is_given_only_where_sensors_can_tell(
    duration_s: float, total: dict[str, Any] | None, tokens: int, expected: float | None
) -> None:
    telemetry = Telemetry(
        started_at="", duration_s=duration_s, windows=1, samples=20, rate_hz=10.0, covered=1.0, total_energy=total
    )

    assert telemetry.energy_j_per_token(tokens) == expected


def test_local_sources_fit_the_protocol() -> None:
    sources: list[Source] = local_sources()
    for source in sources:
        assert len(source.read()) == len(source.channels)
        source.close()
