"""What machine this is, read from a tree of files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_thor.errors import DeviceError
from pytest_thor.host.device import check_gpus, identify
from pytest_thor.host.lock import claim_of
from pytest_thor.host.part import Part
from pytest_thor.host.power_mode import power_mode
from tests.unit.host.trees import plant, write

CPU = max(os.sched_getaffinity(0))
THOR = {
    "proc/device-tree/model": "NVIDIA Jetson AGX Thor Developer Kit\0",
    "proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd83\n",
    "proc/meminfo": "MemTotal:       128790528 kB\nMemFree:  1 kB\n",
    "etc/nv_tegra_release": "# R38 (release), REVISION: 2.1, GCID: 42061081, BOARD: generic, EABI: aarch64\n",
}


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_a_jetson_is_named_after_its_board(tmp_path: Path) -> None:
    device = identify(tree(tmp_path, THOR))

    assert device.slug == "jetson-agx-thor"
    assert device.name == "NVIDIA Jetson AGX Thor Developer Kit"
    assert device.l4t == "38.2.1"
    assert device.memory_bytes == 128790528 * 1024
    assert device.cpu.endswith("0xd83")


def test_a_machine_without_a_board_is_named_after_its_processor(tmp_path: Path) -> None:
    files = {"proc/cpuinfo": "model name\t: Intel(R) Xeon(R) Processor @ 2.50GHz\n"}

    device = identify(tree(tmp_path, files))

    assert device.slug == f"intel-xeon-2.50ghz-{len(os.sched_getaffinity(0))}c"
    assert device.l4t is None


def test_what_cannot_be_read_is_not_known(tmp_path: Path) -> None:
    device = identify(tmp_path)

    assert device.memory_bytes is None
    assert device.l4t is None


def test_the_slug_is_safe_as_a_folder_name(tmp_path: Path) -> None:
    device = identify(tree(tmp_path, {"proc/device-tree/model": "../Weird / Board\u00e9 (TM)"}))

    assert "/" not in device.slug
    assert not device.slug.startswith(".")


@pytest.mark.parametrize(
    ("answer", "mode"),
    [("NV Power Mode: MAXN\n0\n", "MAXN"), ("NV Power Mode: 120W\n1\n", "120W"), ("nvpmodel: error\n", None)],
)
def test_the_power_mode_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, mode: str | None
) -> None:
    program = tmp_path / "nvpmodel"
    program.write_text(f"#!/bin/sh\nprintf '{answer}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    assert power_mode() == mode


@pytest.mark.parametrize(
    ("release", "l4t", "jetpack", "mode", "clocks"),
    [
        (
            "thor-r38.4",
            "38.4.0",
            "7.1",
            "MAXN",
            "gpu locked at 1575 MHz, memory locked at 4266 MHz, cpu locked at 2601 MHz",
        ),
        ("thor-r39.0", "39.0.0", "7.2", "120W", "gpu 306 to 1386 MHz, cpu 648 to 2601 MHz"),
    ],
)
def test_a_recorded_jetson_is_known_from_its_files_alone(  # noqa: PLR0917 - pytest passes them by name
    tmp_path: Path, release: str, l4t: str, jetpack: str, mode: str, clocks: str
) -> None:
    device = identify(plant(release, tmp_path))

    assert (device.slug, device.soc, device.machine) == ("jetson-agx-thor", "tegra264", "aarch64")
    assert (device.l4t, device.jetpack, device.power_mode) == (l4t, jetpack, mode)
    assert device.clocks == clocks
    assert device.cpu_governor == "schedutil"
    assert device.kernel == "6.8.12-tegra"
    assert device.logical_cpus == 2
    assert device.swap_bytes == 0


@pytest.mark.parametrize(
    ("files", "container"),
    [
        ({}, None),
        ({"proc/1/cgroup": "0::/init.scope\n"}, "none"),
        ({"proc/1/cgroup": "4:memory:/kubepods/pod1\n"}, "kubepods"),
        ({".dockerenv": ""}, "docker"),
        ({"run/.containerenv": ""}, "podman"),
    ],
)
def test_a_container_is_noticed(tmp_path: Path, files: dict[str, str], container: str | None) -> None:
    assert identify(tree(tmp_path, files)).container == container


def test_a_graphics_card_of_a_recorded_machine_is_named(tmp_path: Path) -> None:
    write(tmp_path, "proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: \t\t NVIDIA GeForce RTX 4090\nIRQ: 1\n")
    write(tmp_path, "proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu\n")
    write(tmp_path, "proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu hypervisor\n")

    device = identify(tmp_path)

    assert device.slug == "geforce-rtx-4090"
    assert device.driver == "550.54.14"
    assert device.virtual is True


def test_this_very_machine_has_a_name() -> None:
    device = identify()

    assert device.slug
    assert device.logical_cpus >= 1
    assert device.memory_bytes is not None
    assert (device.driver is not None) == (shutil.which("nvidia-smi") is not None)


class TwoCards:
    """NVML as far as identifying goes, of a machine with two GPUs."""

    NVMLError = RuntimeError

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802 - NVML's names
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetName(self, handle: int) -> bytes:  # noqa: N802
        return (b"NVIDIA H200", b"NVIDIA L4")[handle]

    def nvmlDeviceGetUUID(self, handle: int) -> str:  # noqa: N802
        return f"GPU-{handle}0"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(total=(141 << 30, 24 << 30)[handle])

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: int) -> int:  # noqa: N802
        return (700_000, 72_000)[handle]

    def nvmlDeviceGetMigMode(self, handle: int) -> list[int]:  # noqa: ARG002, N802
        raise self.NVMLError("Not Supported")

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.1"

    def nvmlSystemGetCudaDriverVersion(self) -> int:  # noqa: N802
        return 13000

    def nvmlShutdown(self) -> None:  # noqa: N802
        pass


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_thor.host.device.open_library", TwoCards)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("two_cards")
def test_a_gpu_is_a_device_of_its_own() -> None:
    whole, first, second = identify(), identify(part=Part(gpus=(0,))), identify(part=Part(gpus=(1,)))

    assert whole.slug == "h200-2x"
    assert [gpu.name for gpu in whole.gpus] == ["NVIDIA H200", "NVIDIA L4"]
    assert (first.slug, first.name, second.slug, second.name) == ("h200-gpu0", "NVIDIA H200", "l4-gpu1", "NVIDIA L4")
    [gpu] = second.gpus
    assert (gpu.index, gpu.uuid, gpu.memory_bytes, gpu.power_limit_w) == (1, "GPU-10", 24 << 30, 72.0)
    assert second.logical_cpus == whole.logical_cpus


@pytest.mark.usefixtures("two_cards")
def test_gpus_that_work_together_are_one_device() -> None:
    device = identify(part=Part(gpus=(0, 1), cpus=(CPU,)))

    assert device.slug == f"h200-gpu0-1-cpus{CPU}"
    assert len(device.gpus) == 2
    assert device.logical_cpus == 1


@pytest.mark.usefixtures("two_cards")
def test_a_cpu_set_has_no_gpu() -> None:
    device = identify(part=Part(cpus=(CPU,)))

    assert device.gpus == ()
    assert device.slug.endswith(f"-cpus{CPU}")
    assert device.name == device.cpu


@pytest.mark.usefixtures("two_cards")
def test_a_name_is_the_devices_folder() -> None:
    assert identify(part=Part(gpus=(1,), name="Left")).slug == "Left"


@pytest.mark.usefixtures("two_cards")
def test_a_part_that_is_not_there_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"gpu:2: there is no GPU 2; this machine has gpu:0 to gpu:1"):
        identify(part=Part(gpus=(2,)))


class Divided(TwoCards):
    """The same with the first GPU in MIG mode: now, and from the next reset on."""

    def nvmlDeviceGetMigMode(self, handle: int) -> list[int]:  # noqa: N802
        return [1, 1] if handle == 0 else [0, 1]


def test_a_divided_gpu_is_no_device_and_the_one_beside_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_thor.host.device.open_library", Divided)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    told = r"^gpu:0 is divided: MIG instances are no devices here"

    with pytest.raises(DeviceError, match=told):
        check_gpus(identify())
    with pytest.raises(DeviceError, match=told):
        check_gpus(identify(part=Part(gpus=(0,))))
    check_gpus(identify(part=Part(gpus=(1,))))
    check_gpus(identify(part=Part(cpus=(CPU,))))


@pytest.mark.usefixtures("two_cards")
@pytest.mark.parametrize(("visible", "slug"), [("1", "l4"), ("GPU-0", "h200"), ("1,0", "h200-2x"), ("", "")])
def test_gpus_that_cuda_is_kept_from_are_none_of_the_machine(
    visible: str, slug: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")

    device = identify()

    check_gpus(device)
    assert device.slug == slug or (not slug and device.name == device.cpu)
    assert [gpu.index for gpu in device.gpus] == {"1": [1], "GPU-0": [0], "1,0": [0, 1], "": []}[visible]


@pytest.mark.usefixtures("two_cards")
def test_two_different_gpus_are_not_told_apart_by_cudas_own_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)

    with pytest.raises(DeviceError, match="the GPUs here differ"):
        check_gpus(identify())
    with pytest.raises(DeviceError, match="the GPUs here differ"):
        identify(part=Part(gpus=(1,)))


class Integrated(TwoCards):
    """NVML on a Jetson: one GPU, its name and its UUID, and hardly more."""

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 1

    def nvmlDeviceGetName(self, handle: int) -> bytes:  # noqa: ARG002, N802
        return b"NVIDIA Thor"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:  # noqa: ARG002, N802
        raise self.NVMLError("Not Supported")

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: int) -> int:  # noqa: ARG002, N802
        raise self.NVMLError("Not Supported")


def test_a_jetson_is_one_device_without_any_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_thor.host.device.open_library", Integrated)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    whole, part = identify(), identify(part=Part(gpus=(0,)))

    check_gpus(whole)
    assert (claim_of(whole).parts, claim_of(part).parts) == ((), ("gpu-GPU-00",))
    [gpu] = whole.gpus
    assert (gpu.name, gpu.memory_bytes, gpu.power_limit_w, gpu.divided) == ("NVIDIA Thor", None, None, False)
    assert (whole.slug, part.slug) == ("thor", "thor-gpu0")
