"""The whole machine's time, memory and paging, and whose time it was."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.host import proc
from pytest_thor.host.processes import ProcessWatch, family, read_all
from tests.unit.host.trees import plant, write

TICKS = os.sysconf("SC_CLK_TCK")


def readings(root: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    for source in proc.sources(root):
        found |= {f"{c.group}.{c.name}": v for c, v in zip(source.channels, source.read(), strict=True)}
        source.close()
    return found


def test_a_recorded_machines_files(tmp_path: Path) -> None:
    found = readings(plant("thor-r38.4", tmp_path))

    assert found == {
        "cpu_s.busy": (1000 + 500 + 20 + 30) / TICKS,
        "cpu_s.steal": 0,
        "memory_bytes.available": 62914560 * 1024,
        "memory_bytes.swap_used": 0,
        "moved_bytes.swapped_in": 0,
        "moved_bytes.swapped_out": 0,
        "moved_bytes.read_from_disk": 4096 * 1024,
        "load.1min": 0.52,
    }


@pytest.mark.parametrize(
    ("file", "content", "missing"),
    [
        ("proc/meminfo", "MemTotal: 1 kB\n", "memory_bytes.available"),
        ("proc/vmstat", "pgpgin 1\n", "moved_bytes.swapped_in"),
        ("proc/stat", "cpu  1 2 3 4 5 6 7\n", "cpu_s.steal"),
        ("proc/stat", "nothing of the kind\n", "cpu_s.busy"),
        ("proc/loadavg", "", "load.1min"),
    ],
)
def test_what_a_file_does_not_say_is_missing(tmp_path: Path, file: str, content: str, missing: str) -> None:
    write(tmp_path, file, content)

    assert math.isnan(readings(tmp_path)[missing])


def test_a_file_in_another_form_is_told(tmp_path: Path) -> None:
    write(tmp_path, "proc/stat", "nothing of the kind\n")

    source = proc.sources(tmp_path)[0]
    source.read()

    assert str(source.trouble()).endswith("proc/stat: not in the form that Linux writes")
    source.close()


def test_this_machine_tells_everything() -> None:
    assert not [name for name, value in readings(Path("/")).items() if math.isnan(value)]


def process(
    root: Path, pid: int, parent: int, *, name: str = "x", ticks: int = 0, ended: int = 0, cpu: int = 0
) -> None:
    line = f"{pid} ({name}) S {parent} 1 1 0 -1 0 0 0 0 0 {ticks} 0 {ended} 0 20 0 1 0 5 0 0 {'0 ' * 14}{cpu} 0 0\n"
    write(root, f"proc/{pid}/stat", line)


def test_time_is_told_apart_by_whose_process_it_was(tmp_path: Path) -> None:
    watch = ProcessWatch(tmp_path, pid=100)
    process(tmp_path, 1, 0)
    process(tmp_path, 2, 0)
    process(tmp_path, 100, 1)
    process(tmp_path, 101, 100, name="engine")
    process(tmp_path, 50, 1, name="a ) (b")
    watch.look(10.0)
    process(tmp_path, 101, 100, name="engine", ticks=20 * TICKS)
    process(tmp_path, 50, 1, name="a ) (b", ticks=5 * TICKS)
    process(tmp_path, 7, 2, name="kswapd0", ticks=TICKS)
    watch.look(20.0)

    shares = watch.between(12.0, 15.0)

    assert shares is not None
    assert (shares.ours_cores, shares.others_cores, shares.kernel_cores) == pytest.approx((2.0, 0.5, 0.1))
    assert [(other.name, other.cores) for other in shares.busiest] == [("a ) (b", 0.5)]
    assert watch.ours == {100, 101}


def test_on_a_cpu_set_others_count_while_they_run_there(tmp_path: Path) -> None:
    watch = ProcessWatch(tmp_path, pid=100, cpus=(2, 3))
    process(tmp_path, 100, 1)
    for pid, name in ((50, "near"), (60, "far"), (70, "passing")):
        process(tmp_path, pid, 1, name=name, ticks=900 * TICKS, cpu=7)
    watch.look(0.0)
    process(tmp_path, 50, 1, name="near", ticks=902 * TICKS, cpu=3)
    process(tmp_path, 60, 1, name="far", ticks=905 * TICKS, cpu=7)
    process(tmp_path, 70, 1, name="passing", ticks=901 * TICKS, cpu=2)
    watch.look(5.0)
    process(tmp_path, 70, 1, name="passing", ticks=906 * TICKS, cpu=7)
    watch.look(10.0)

    shares = watch.between(0.0, 10.0)

    assert shares is not None
    assert shares.others_cores == pytest.approx(0.3)
    assert [other.name for other in shares.busiest] == ["near", "passing"]


def test_the_time_of_some_cpus_is_theirs_alone() -> None:
    text = b"cpu  9 9 9 9 9 9 9 9\ncpu0 100 0 20 5 5 1 1 7\ncpu1 1 1 1 1 1 1 1 1\ncpu10 40 0 0 0 0 0 0 3\nintr 1\n"

    assert proc.cpu_seconds(text, (0, 10)) == pytest.approx((162 / TICKS, 10 / TICKS))
    assert all(math.isnan(value) for value in proc.cpu_seconds(text, (0, 5)))


def test_a_process_that_came_and_went_between_two_looks_still_counts(tmp_path: Path) -> None:
    watch = ProcessWatch(tmp_path, pid=100)
    process(tmp_path, 50, 1, name="make")
    watch.look(0.0)
    process(tmp_path, 50, 1, name="make", ended=3 * TICKS)
    watch.look(1.0)

    shares = watch.between(0.2, 0.8)

    assert shares is not None
    assert shares.others_cores == pytest.approx(3.0)


def test_one_look_says_nothing(tmp_path: Path) -> None:
    watch = ProcessWatch(tmp_path, pid=100)
    assert watch.between(0, 1) is None
    watch.look(0.5)
    assert watch.between(0, 1) is None


def test_a_child_of_ours_is_ours() -> None:
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        watch = ProcessWatch()
        watch.look(time.monotonic())
        assert {os.getpid(), child.pid} <= watch.ours
        assert os.getppid() not in watch.ours
        child.communicate()


@given(st.binary(max_size=200))
def test_whatever_stands_in_a_process_file_raises_nothing(
    tmp_path_factory: pytest.TempPathFactory, text: bytes
) -> None:
    root = tmp_path_factory.mktemp("proc", numbered=True)
    (root / "7").mkdir()
    (root / "7/stat").write_bytes(text)

    assert len(list(read_all(root))) <= 1


def test_a_family_of_a_tangled_tree_ends(tmp_path: Path) -> None:
    process(tmp_path, 5, 6)
    process(tmp_path, 6, 5)

    assert family(read_all(tmp_path / "proc"), 5) == {5, 6}
