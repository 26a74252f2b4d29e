"""An engine that counts the machine's cores is told how many it may use, where these are fewer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_thor.engines.cores import allowed_cores, default_threads


def cpus(root: Path, siblings: dict[int, str]) -> Path:
    for number, mask in siblings.items():
        folder = root / f"cpu{number}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings").write_text(f"{mask}\n")
    return root


@pytest.mark.parametrize(
    ("allowed", "cores"),
    [({0, 1, 2, 3}, None), ({0, 1}, 2), ({0, 2}, 1), ({1}, 1), ({0, 1, 2}, 2)],
)
def test_cpus_that_share_a_core_count_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: set[int], cores: int | None
) -> None:
    there = cpus(tmp_path, {0: "5", 2: "5", 1: "a", 3: "a"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: allowed)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)

    assert allowed_cores(there) == cores


def test_where_the_kernel_tells_no_siblings_each_cpu_is_a_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3})
    monkeypatch.setattr(os, "cpu_count", lambda: 64)

    assert allowed_cores(tmp_path) == 2


def test_an_engine_that_may_use_the_whole_machine_keeps_its_own_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: len(os.sched_getaffinity(0)))

    assert default_threads() == {}
