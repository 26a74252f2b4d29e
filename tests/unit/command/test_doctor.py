"""``pytest-thor doctor`` on recorded trees and on this machine."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pytest_thor.checkup import Checkup, EngineFound, check
from pytest_thor.command import doctor, main
from pytest_thor.host import measured_roof
from pytest_thor.host.device import Gpu, identify
from pytest_thor.host.findings import Finding
from pytest_thor.host.limits import limits_in_use
from pytest_thor.host.lock import claim_of, exclusive, held_by
from pytest_thor.host.part import parse_part
from pytest_thor.measurement import EngineBuild
from tests.unit.host.trees import plant, write


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *words])


@pytest.fixture
def thor(tmp_path: Path) -> Path:
    root = plant("thor-r38.4", tmp_path / "thor")
    write(root, "proc/sys/vm/drop_caches", "0\n")
    return root


def test_a_recorded_thor_at_its_fastest_is_ready(thor: Path) -> None:
    result = run("--root", str(thor))

    assert result.exit_code == 0, result.output
    assert "NVIDIA Jetson AGX Thor Developer Kit (jetson-agx-thor)" in result.output
    assert "L4T               38.4.0 (JetPack 7.1)" in result.output
    assert "VIN 19.8 W" in result.output
    assert "limits            273 GB/s from memory, TFLOP/s: 8.10 fp32, 258 bf16/fp16, 516 fp8/int8" in result.output
    assert "(data sheet: Jetson AGX Thor (T5000))" in " ".join(result.output.split())
    assert result.output.endswith("Nothing in this tree would spoil a measurement.\n")


def test_what_spoils_a_measurement_comes_with_its_remedy_and_status_1(thor: Path) -> None:
    write(thor, "sys/class/thermal/cooling_device2/cur_state", "2\n")

    result = run("--root", str(thor))

    assert result.exit_code == 1
    assert "✗ the hardware throttles now: gpu-throttle-alert\n  → sudo jetson_clocks --fan" in result.output
    assert result.output.endswith("One thing would spoil a measurement.\n")


def test_a_remedy_is_one_line_however_long(tmp_path: Path) -> None:
    root = plant("thor-r39.0", tmp_path)

    lines = run("--root", str(root)).output.splitlines()

    assert any(line.endswith("| sudo tee /etc/sudoers.d/pytest-thor") and "echo" in line for line in lines)


def test_json_says_the_same(thor: Path) -> None:
    result = run("--root", str(thor), "--json")

    found = json.loads(result.output)
    assert found["schema"] == "pytest-thor/doctor/1"
    assert found["status"] == result.exit_code == 0
    assert found["device"]["jetpack"] == "7.1"
    assert found["engines"] is None
    assert found["limits"]["read_bytes_per_s"] == 273e9
    assert found["limits"]["operations_per_s"]["fp4"] == 1032e12
    assert "module data sheets" in found["limits"]["source"]
    assert (found["limits"]["measured"], found["limits"]["unknown_because"]) == (False, None)
    assert found["telemetry"]["channels"]["power_w"]["VIN"] == pytest.approx(19.78)


def test_a_sensor_that_cannot_be_read_is_null(thor: Path) -> None:
    write(thor, "sys/class/thermal/thermal_zone1/temp", "\n")

    found = json.loads(run("--root", str(thor), "--json").output)

    assert found["telemetry"]["channels"]["temperature_c"]["gpu"] is None
    assert "temperature_c.gpu" in found["telemetry"]["trouble"][0]


def test_this_machine_is_watched(own_device_lock: Path, tmp_path: Path) -> None:
    program = tmp_path / "llama-bench"
    checkup = check(engines={"llama-bench": program}, watch_s=0.05)

    assert checkup.device == identify()
    assert checkup.engines is not None
    bench = next(engine for engine in checkup.engines if engine.name == "llama-bench")
    assert str(program) in str(bench.problem)
    assert checkup.channels["memory_bytes"]["available"]
    limits = checkup.to_json()["limits"]
    assert (limits["name"] is None) == (limits["unknown_because"] is not None)
    json.dumps(checkup.to_json(), allow_nan=False)


def test_a_processors_limits_are_told_once_they_were_measured_and_never_measured_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured_roof, "_measure", lambda *_: pytest.fail("the doctor measured"))
    bare = replace(identify(), name="Some CPU", gpus=())
    unknown, reason = limits_in_use(bare, cache=tmp_path)
    measured_roof._keep(measured_roof._place(bare, tmp_path), (23e9, 0.25e12))
    known, nothing = limits_in_use(bare, cache=tmp_path)

    assert (unknown, str(reason)[:13]) == (None, "not known yet")
    assert known is not None
    assert (known.bandwidth, known.peaks["fp32"], known.measured, nothing) == (23e9, 0.25e12, True, None)


def test_the_processor_is_measured_on_request_while_nobody_else_measures(
    own_device_lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []

    def measure(*_: object) -> tuple[float, float]:
        seen.append(held_by(claim_of(identify())))
        return 23e9, 0.25e12

    monkeypatch.setattr(measured_roof, "_measure", measure)
    checkup = check(engines={}, watch_s=0.01, cache=tmp_path, measure=doctor._alone)
    [holder] = seen
    assert str(os.getpid()) in str(holder)
    assert checkup.to_json()["processor_limits"]["read_bytes_per_s"] == 23e9
    assert held_by(claim_of(identify())) is None


def test_another_machines_limits_are_not_measured_here(thor: Path) -> None:
    result = run("--measure-limits", "--root", str(thor))
    assert result.exit_code == 2
    assert "--measure-limits: a recorded tree cannot be measured" in result.output


def test_a_gpu_that_the_table_lacks_is_named() -> None:
    gpu = Gpu(name="NVIDIA GeForce GTX 750", memory_bytes=2 << 30)
    found = limits_in_use(replace(identify(), name=gpu.name, gpus=(gpu,)), cache=None)

    assert found[0] is None
    assert "no data sheet of NVIDIA GeForce GTX 750 is in the table" in str(found[1])


@pytest.mark.parametrize(
    ("found", "level", "status"),
    [(True, None, 0), (True, "note", 0), (True, "spoils", 1), (False, "spoils", 2), (False, None, 2)],
)
def test_the_exit_status(found: bool, level: str | None, status: int) -> None:
    build = EngineBuild(name="llama-bench", path="/opt/llama-bench")
    engines = (
        EngineFound(name="llama-bench", build=build if found else None),
        EngineFound(name="openai", build=EngineBuild(name="openai", path=""), needs_nothing=True),
    )
    said = () if level is None else (Finding(topic="x", level=level, sentence="x"),)  # type: ignore[arg-type]

    assert Checkup(device=identify(), engines=engines, channels={}, trouble=(), findings=said).status == status


@pytest.mark.parametrize(
    ("word", "complaint"), [("llama-bench", "write NAME=PATH"), ("lama=/x", "there is no engine lama; there are")]
)
def test_an_engine_that_is_wrongly_said(word: str, complaint: str) -> None:
    result = run("--engine", word)

    assert result.exit_code == 2
    assert complaint in result.output


CPU = max(os.sched_getaffinity(0))


@pytest.mark.parametrize("words", [("--device", f"mine=cpus:{CPU}"), ()])
def test_a_part_is_looked_over_alone(
    words: tuple[str, ...], own_device_lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.sched_getaffinity(0)
    monkeypatch.setenv("THOR_CACHE", str(tmp_path))
    monkeypatch.setenv("THOR_DEVICE", "gpu:77" if words else f"mine=cpus:{CPU}")
    monkeypatch.setattr(doctor, "check", partial(check, watch_s=0.01))
    part = parse_part(f"mine=cpus:{CPU}")
    seen: list[set[int]] = []

    def measure(*_: object) -> tuple[float, float]:
        seen.append(os.sched_getaffinity(0))
        return 23e9, 0.25e12

    monkeypatch.setattr(measured_roof, "_measure", measure)
    with exclusive(claim_of(identify(part=part)), on_wait=pytest.fail):
        found = json.loads(run(*words, "--json").output)
    shown = run(*words, "--measure-limits").output

    assert (found["device"]["slug"], found["device"]["logical_cpus"]) == ("mine", 1)
    assert found["device"]["part"]["cpus"] == [CPU]
    assert found["lock"] == str(own_device_lock)
    [holder] = [each["sentence"] for each in found["findings"] if each["topic"] == "lock" and each["level"] == "spoils"]
    assert f"is being measured by process {os.getpid()} since " in holder
    assert f"part              mine=cpus:{CPU}\n" in shown
    assert f"lock              free, in {own_device_lock}" in shown.replace("\n                  ", "")
    assert seen == [{CPU}]
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize(
    ("words", "environment", "complaint"),
    [
        (("--device", "cpus:x"), "", "--device cpus:x: expected gpu:INDEX"),
        (("--device", "cpus:9999"), "", "cpus:9999: there is no CPU 9999; this process may run on"),
        ((), "cpus:x", "THOR_DEVICE=cpus:x: expected gpu:INDEX"),
    ],
)
def test_a_part_that_is_not_there_is_refused(
    words: tuple[str, ...], environment: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THOR_DEVICE", environment)
    result = run(*words)

    assert result.exit_code == 2
    assert complaint in result.output


def test_another_machine_has_no_part_here(thor: Path) -> None:
    result = run("--root", str(thor), "--device", "cpus:0")

    assert result.exit_code == 2
    assert "--device: a recorded tree is looked over as a whole" in result.output
