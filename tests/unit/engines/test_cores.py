"""An engine that counts the machine's cores is told how many it may use, where these are fewer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_thor.engines.cores import cores, default_threads


def machine(root: Path, siblings: dict[int, str]) -> Path:
    for number, mask in siblings.items():
        folder = root / f"cpu{number}" / "topology"
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
def test_only_an_engine_that_may_not_use_the_whole_machine_is_told(monkeypatch: pytest.MonkeyPatch, spare: int) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: len(os.sched_getaffinity(0)) + spare)

    assert default_threads() == ({"threads": cores()} if spare else {})
