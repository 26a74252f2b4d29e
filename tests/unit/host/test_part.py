"""Parts of a machine: how they are written, whether they are there, and that a process is bound to one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.errors import DeviceError
from pytest_thor.host.part import (
    Part,
    check_part,
    environment,
    overlapping,
    parse_part,
    pin,
    ranges,
    shared_memory_nodes,
    sharing_cores,
    visible_gpus,
)
from tests.unit.host.trees import write

NUMBERS = st.frozensets(st.integers(0, 40), max_size=12).map(lambda found: tuple(sorted(found)))
NAMES = st.none() | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
ALLOWED = sorted(os.sched_getaffinity(0))


@given(NUMBERS, NUMBERS, NAMES)
def test_a_part_is_read_as_it_is_written(gpus: tuple[int, ...], cpus: tuple[int, ...], name: str | None) -> None:
    if gpus or cpus:
        part = Part(gpus=gpus, cpus=cpus, name=name)
        assert parse_part(part.written) == part


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("gpu:0", Part(gpus=(0,))),
        (" gpu:1,0 ", Part(gpus=(0, 1))),
        ("cpus:8,0-3,2", Part(cpus=(0, 1, 2, 3, 8))),
        ("fast=cpus:8-9+gpu:1", Part(gpus=(1,), cpus=(8, 9), name="fast")),
    ],
)
def test_what_a_user_may_write(text: str, part: Part) -> None:
    assert parse_part(text) == part


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gpu",
        "gpu:",
        "gpu:-1",
        "gpu:a",
        "cpus:3-1",
        "cpus:0-",
        "cpu:0",
        "gpu:0+gpu:1",
        "gpu:0+",
        "cpus:0-99999",
        "x=",
    ],
)
def test_what_cannot_be_read_is_told_with_what_can(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected gpu:INDEX or cpus:FIRST-LAST, such as"):
        parse_part(text)


@pytest.mark.parametrize("name", ["..", ".hidden", "a/b", "a b", "a=b", "ä", "x" * 65, "-x"])
def test_a_name_is_one_that_a_folder_may_have(name: str) -> None:
    with pytest.raises(ValueError, match="is no name for a device"):
        parse_part(f"{name}=gpu:0")


@given(st.text(max_size=40))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    try:
        part = parse_part(text)
    except ValueError:
        return
    assert parse_part(part.written) == part


def test_numbers_are_listed_as_the_kernel_does() -> None:
    assert ranges([]) == ""
    assert ranges([0]) == "0"
    assert ranges([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8"


def test_what_is_not_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    check_part(Part(cpus=(ALLOWED[0],), gpus=(1,)), ["GPU-a", "GPU-b"])

    with pytest.raises(DeviceError, match=r"^cpus:9998-9999: there is no CPU 9998-9999; this process may run on "):
        check_part(Part(cpus=(9998, 9999)), [])
    with pytest.raises(DeviceError, match=r"^x=gpu:2: there is no GPU 2; this machine has gpu:0 to gpu:1"):
        check_part(Part(gpus=(2,), name="x"), ["GPU-a", None])
    with pytest.raises(DeviceError, match=r"there is no GPU 0; this machine has no NVIDIA GPU"):
        check_part(Part(gpus=(0,)), [])
    with pytest.raises(DeviceError, match=r"there is no GPU 1; this machine has gpu:0$"):
        check_part(Part(gpus=(0, 1)), ["GPU-a"])


@pytest.mark.parametrize("visible", ["0", "GPU-aa", "GPU-a,GPU-c", "2,0"])
def test_a_gpu_that_the_environment_leaves_is_taken(visible: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    check_part(Part(gpus=(0,)), ["GPU-aa", "GPU-bb", "GPU-cc"])


@pytest.mark.parametrize(
    ("cpus", "told"),
    [
        ((9,), "there is no CPU 9"),
        ((3, 9), "there is no CPU 9"),
        ((3,), "it is offline: CPU 3"),
        ((2, 3), "it is offline: CPU 3"),
        ((2,), "this process is kept from CPU 2"),
    ],
)
def test_why_a_cpu_is_not_to_be_had_is_said(
    cpus: tuple[int, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "sys/devices/system/cpu/present", "0-7\n")
    write(tmp_path, "sys/devices/system/cpu/online", "0-2,4-7\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})

    with pytest.raises(DeviceError, match=rf"^cpus:{ranges(cpus)}: {told}.*; this process may run on 0-1$"):
        check_part(Part(cpus=cpus), [], root=tmp_path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("gpu:GPU-8f6d0d1e-0000", "a GPU is named by its index, such as gpu:0; nvidia-smi -L lists the index"),
        ("gpu:MIG-8f6d0d1e-0000", "MIG instances are no devices here"),
        ("left=gpu:0:1+cpus:0", "MIG instances are no devices here"),
    ],
)
def test_what_nvidia_smi_calls_otherwise_is_refused_with_what_to_write(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_part(text)


@pytest.mark.parametrize(
    ("visible", "left"),
    [
        (None, (0, 1, 2)),
        ("", ()),
        ("2,0", (2, 0)),
        (" 1 , 1 ", (1,)),
        ("0,-1,2", (0,)),
        ("1,7,0", (1,)),
        ("GPU-b,GPU-a1", (1, 0)),
        ("GPU-", ()),
        ("NoDevFiles", ()),
    ],
)
def test_cudas_list_is_read_up_to_the_first_word_that_names_no_gpu(
    visible: str | None, left: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    assert visible_gpus(["GPU-a1", "GPU-b2", "GPU-c3"]) == left


def test_a_number_of_cudas_is_nvidia_smis_only_where_it_must_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    uuids = ["GPU-a", "GPU-b"]

    assert visible_gpus(uuids, alike=True) == (1,)
    with pytest.raises(DeviceError, match=r"^CUDA_VISIBLE_DEVICES=1: the GPUs here differ, .* --thor-device gpu:INDEX"):
        visible_gpus(uuids, alike=False)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert visible_gpus(uuids, alike=False) == (1,)


def test_a_mig_instance_that_the_environment_names_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-3eb87630-93d5-b2b6-b8ff-9b359caf4ee2")

    with pytest.raises(DeviceError, match=r"MIG instances are no devices here.*nvidia-smi -i INDEX -mig 0"):
        visible_gpus(["GPU-a"])


@pytest.mark.parametrize("visible", ["", "1", "GPU-b", ","])
def test_a_gpu_that_the_environment_hides_is_refused(visible: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(DeviceError, match=rf"CUDA_VISIBLE_DEVICES={visible} keeps GPU 0 from this process"):
        check_part(Part(gpus=(0,)), ["GPU-aa", "GPU-bb"])


def test_a_bound_process_hands_it_on_until_it_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    code = "import os; print(sorted(os.sched_getaffinity(0)), os.environ['CUDA_VISIBLE_DEVICES'])"

    restore = pin(Part(gpus=(1,), cpus=(ALLOWED[-1],)))
    try:
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        order = os.environ["CUDA_DEVICE_ORDER"]
    finally:
        restore()

    assert told == f"[{ALLOWED[-1]}] 1\n"
    assert order == "PCI_BUS_ID"
    assert sorted(os.sched_getaffinity(0)) == ALLOWED
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1,2"
    assert "CUDA_DEVICE_ORDER" not in os.environ


def test_a_cpu_set_sees_no_gpu() -> None:
    assert environment(Part(cpus=(0,)))["CUDA_VISIBLE_DEVICES"] == ""


def test_parts_that_share_something_are_found() -> None:
    first, second = Part(cpus=(0, 1)), Part(cpus=(2,), gpus=(0,))

    assert overlapping([first, second, Part(gpus=(1,))]) is None
    assert overlapping([first, second, Part(gpus=(0, 1))]) == (second, Part(gpus=(0, 1)))
    assert overlapping([second, first, Part(cpus=(1, 5))]) == (first, Part(cpus=(1, 5)))


def test_cpu_sets_of_one_core_are_found(tmp_path: Path) -> None:
    for number, mask in ((0, "5"), (1, "a"), (2, "5"), (3, "a")):
        write(tmp_path, f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings", f"{mask}\n")

    assert sharing_cores([Part(cpus=(0, 2)), Part(cpus=(1, 3)), Part(gpus=(0,))], tmp_path) is None
    assert sharing_cores([Part(cpus=(0, 1)), Part(cpus=(2,))], tmp_path) == (Part(cpus=(0, 1)), Part(cpus=(2,)))


def test_cpu_sets_of_one_memory_node_are_found(tmp_path: Path) -> None:
    write(tmp_path, "sys/devices/system/node/node0/cpulist", "0-3\n")
    write(tmp_path, "sys/devices/system/node/node1/cpulist", "4-7\n")
    left, middle, right = Part(cpus=(0, 1)), Part(cpus=(2, 4)), Part(cpus=(5, 6))

    assert shared_memory_nodes([left, right, Part(gpus=(0,)), Part(gpus=(1,))], tmp_path) == []
    assert shared_memory_nodes([left, middle, right], tmp_path) == [(left, middle), (middle, right)]
    assert shared_memory_nodes([left, right], tmp_path / "nowhere") == [(left, right)]
