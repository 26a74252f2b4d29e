"""What a machine's files say against measuring on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_thor.host.device import HERE, Gpu, identify
from pytest_thor.host.findings import Finding, findings
from pytest_thor.host.part import Part
from pytest_thor.host.telemetry import local_sources
from tests.unit.host.trees import plant, write


def said(root: Path) -> dict[str, Finding]:
    sources = local_sources(root)
    found = findings(identify(root), sources, root=root)
    for source in sources:
        source.close()
    return {finding.topic: finding for finding in found}


@pytest.fixture
def thor(tmp_path: Path) -> Path:
    root = plant("thor-r38.4", tmp_path)
    write(root, "proc/sys/vm/drop_caches", "0\n")
    return root


def test_a_thor_at_its_fastest_is_ready(thor: Path) -> None:
    assert said(thor) == {}


def test_a_thor_as_it_comes_is_ready_with_advice(tmp_path: Path) -> None:
    found = said(plant("thor-r39.0", tmp_path))

    assert {finding.level for finding in found.values()} == {"note"}
    assert found["power mode"].remedy == "sudo nvpmodel -m 0"
    assert "NOPASSWD: /usr/sbin/sysctl -q vm.drop_caches=1" in str(found["caches"].remedy)


@pytest.mark.parametrize(
    ("file", "content", "topic", "level", "words"),
    [
        ("sys/class/thermal/cooling_device2/cur_state", "1", "throttling", "spoils", "gpu-throttle-alert"),
        ("sys/class/thermal/thermal_zone4/temp", "81000", "temperature", "spoils", "tj is at 81 °C"),
        ("sys/class/devfreq/gpu-gpc-0/min_freq", "306000000", "clocks", "note", "gpu 306 to 1575 MHz"),
        ("var/lib/nvpmodel/status", "nothing", "power mode", "spoils", "is not told"),
        ("proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 90 kB", "memory", "spoils", "90.00 KiB of 1000.00 KiB"),
        ("proc/meminfo", "SwapTotal: 2048 kB\nSwapFree: 1024 kB", "swap", "note", "1.00 MiB are swapped out"),
        ("sys/devices/system/cpu/cpufreq/policy0/scaling_governor", "powersave", "governor", "spoils", "powersave"),
        ("sys/class/powercap/intel-rapl:0/name", "package-0", "", "", ""),
    ],
)
def test_each_is_named(thor: Path, file: str, content: str, topic: str, level: str, words: str) -> None:  # noqa: PLR0917
    write(thor, file, f"{content}\n")

    found = said(thor)

    assert list(found) == ([topic] if topic else [])
    if topic:
        assert found[topic].level == level
        assert words in found[topic].sentence


def test_powersave_is_no_brake_where_the_driver_scales_by_itself(thor: Path) -> None:
    write(thor, "sys/devices/system/cpu/cpufreq/policy0/scaling_governor", "powersave\n")
    write(thor, "sys/devices/system/cpu/intel_pstate/status", "active\n")

    assert said(thor)["governor"].level == "note"


def test_a_jetson_whose_sensors_are_hidden_says_what_shows_them(thor: Path) -> None:
    for number in (2, 3):
        (thor / f"sys/class/hwmon/hwmon{number}/name").unlink()

    assert "no power rail is visible" in said(thor)["energy"].sentence


def test_a_virtual_machine_without_anything(tmp_path: Path) -> None:
    write(tmp_path, "proc/cpuinfo", "model name : AMD EPYC\nflags : fpu hypervisor\n")

    assert list(said(tmp_path)) == ["energy", "virtual"]


def test_a_part_that_has_half_of_its_cores_is_told_what_to_take(thor: Path) -> None:
    for number, mask in ((0, "5"), (1, "a"), (2, "5"), (3, "a")):
        write(thor, f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings", f"{mask}\n")
    device = identify(thor)

    def shared(*cpus: int) -> list[Finding]:
        return [
            each for each in findings(replace(device, part=Part(cpus=cpus)), [], root=thor) if each.topic == "cores"
        ]

    assert shared(0, 2) == []
    [found] = shared(0, 1, 2)
    assert found.sentence == "CPU 3 are on the cores of cpus:0-2: who computes there slows these down"
    assert found.remedy == "--device cpus:0-3"


def test_a_container_that_gets_less_time_than_it_has_cpus_is_told(tmp_path: Path) -> None:
    write(tmp_path, "proc/cpuinfo", "processor\t: 0\nprocessor\t: 1\nmodel name : AMD EPYC\n")
    write(tmp_path, "proc/self/cgroup", "0::/\n")
    write(tmp_path, "sys/fs/cgroup/cpu.max", "150000 100000\n")

    assert "gets the time of 1.5 CPUs and may run on 2" in said(tmp_path)["quota"].sentence
    write(tmp_path, "sys/fs/cgroup/cpu.max", "200000 100000\n")
    assert "quota" not in said(tmp_path)


def test_a_lock_that_cannot_be_opened_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("THOR_LOCK_DIR", str(tmp_path / "file"))

    [found] = [each for each in findings(identify(), []) if each.topic == "lock" and each.level == "spoils"]

    assert "the device's lock cannot be opened: Not a directory" in found.sentence
    assert found.sentence.endswith("THOR_LOCK_DIR")


def test_locks_that_a_container_keeps_to_itself_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THOR_LOCK_DIR", str(tmp_path))
    device = replace(identify(), container="docker", virtual=False)

    def locks() -> list[Finding]:
        return [each for each in findings(device, []) if each.topic == "lock"]

    monkeypatch.setattr(Path, "is_mount", lambda path: path in {Path("/"), Path("/tmp")})
    [found] = locks()
    assert found.sentence.startswith(f"locks in {tmp_path} hold in this container only")
    monkeypatch.setattr(Path, "is_mount", lambda path: path == tmp_path.parent)
    assert locks() == []
    device = replace(device, container="none")
    monkeypatch.setattr(Path, "is_mount", lambda _: False)
    assert locks() == []


def test_a_gpu_that_is_not_measured_whole_is_found() -> None:
    device = replace(identify(), gpus=(Gpu(name="NVIDIA H200", memory_bytes=None, divided=True),))

    [found] = [each for each in findings(device, [], root=HERE) if each.topic == "gpu"]
    assert (found.level, found.sentence[:16]) == ("spoils", "gpu:0 is divided")
