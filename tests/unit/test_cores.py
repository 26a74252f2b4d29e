"""An engine that counts the machine's cores is told how many it may use, where these are fewer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_thor.cores import cores, cpu_quota, default_threads, with_siblings


def machine(root: Path, siblings: dict[int, str]) -> Path:
    for number, mask in siblings.items():
        folder = root / f"sys/devices/system/cpu/cpu{number}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings").write_text(f"{mask}\n")
    return root


@pytest.mark.parametrize(("allowed", "count"), [({0, 1, 2, 3}, 2), ({0, 1}, 2), ({0, 2}, 1), ({1}, 1), ({0, 1, 2}, 2)])
def test_cpus_that_share_a_core_count_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: set[int], count: int
) -> None:
    there = machine(tmp_path, {0: "5", 2: "5", 1: "a", 3: "a"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: allowed)

    assert cores(there) == count


def test_where_the_kernel_tells_no_siblings_each_cpu_is_a_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3})

    assert cores(tmp_path) == 2


@pytest.mark.parametrize("spare", [0, 1])
def test_only_an_engine_that_may_not_use_the_whole_machine_is_told(
    spare: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: len(os.sched_getaffinity(0)) + spare)

    assert default_threads(tmp_path) == ({"threads": cores(tmp_path)} if spare else {})


def test_cpus_come_with_those_of_their_cores(tmp_path: Path) -> None:
    there = machine(tmp_path, {0: "00000001,00000001", 32: "00000001,00000001", 1: "nonsense"})

    assert with_siblings([0, 1, 2], there) == (0, 1, 2, 32)


def group(root: Path, file: str, *, cgroup: str, text: str) -> Path:
    for name, content in (("proc/self/cgroup", cgroup), (f"sys/fs/cgroup/{file}", text)):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.mark.parametrize(
    ("file", "cgroup", "text", "quota"),
    [
        ("cpu.max", "0::/\n", "150000 100000\n", 1.5),  # a container with a namespace of its own
        ("a/b/cpu.max", "0::/a/b\n", "200000 100000\n", 2.0),
        ("a/cpu.max", "0::/a/b\n", "200000 100000\n", 2.0),  # the group above
        ("cpu.max", "0::/docker/0123\n", "50000 100000\n", 0.5),  # named by the host's path
        ("unified/a/cpu.max", "1:cpuset:/\n0::/a\n", "100000 100000\n", 1.0),
        ("cpu.max", "0::/\n", "max 100000\n", None),
        ("cpu.max", "0::/\n", "", None),
        ("cpu.max", "0::/\n", "0 100000\n", None),
        ("cpu.max", "0::/../../x\n", "100000 100000\n", 1.0),
        ("memory.max", "0::/\n", "1\n", None),
    ],
)
def test_the_time_that_a_container_gets_is_counted_in_cpus(
    file: str, cgroup: str, text: str, quota: float | None, tmp_path: Path
) -> None:
    assert cpu_quota(group(tmp_path, file, cgroup=cgroup, text=text)) == quota


@pytest.mark.parametrize(
    ("cgroup", "folder"),
    [("4:cpu,cpuacct:/\n", "cpu,cpuacct"), ("1:cpu:/docker/x\n", "cpu"), ("4:cpuacct,cpu:/a\n", "cpu/a")],
)
@pytest.mark.parametrize(("us", "quota"), [("-1", None), ("250000", 2.5)])
def test_the_older_hierarchy_is_read_too(
    cgroup: str, folder: str, us: str, quota: float | None, tmp_path: Path
) -> None:
    group(tmp_path, f"{folder}/cpu.cfs_quota_us", cgroup=cgroup, text=f"{us}\n")
    group(tmp_path, f"{folder}/cpu.cfs_period_us", cgroup=cgroup, text="100000\n")

    assert cpu_quota(tmp_path) == quota


@pytest.mark.parametrize(("quota", "threads"), [(0.5, 1), (1.5, 1), (2.0, 2), (3.99, 3), (4.0, 4), (16.0, 4)])
def test_threads_are_no_more_than_the_time_is_enough_for(
    quota: float, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    there = group(tmp_path, "cpu.max", cgroup="0::/\n", text=f"{int(quota * 100_000)} 100000\n")

    assert cores(there) == threads
    assert default_threads(there) == ({} if threads == 4 else {"threads": threads})
